// SPDX-License-Identifier: Apache-2.0
#include "split_tflm/application.h"

#include "running.h"
#include "split_port/port.h"

namespace split_tflm {

const char* Application::turn() {
  if (running_ == nullptr && why_.empty()) {
    split_core::ByteStream* const stream =
        host_.set_up(split_port::clock(), split_port::boot_nonce() + 1);
    if (stream == nullptr) {
      why_.add("the memory for the application's links is too small");
    } else {
      running_ = set_up(device_, stream, &why_);
    }
    if (running_ != nullptr) running_->runner->set_companion(&host_);
    if (running_ != nullptr && running_->graph == nullptr) running_->runner->set_broken(why_);
  }
  if (running_ == nullptr) return why_.text();
  if (running_->graph == nullptr) {
    running_->runner->turn();
    return why_.text();
  }
  running_->runner->serve_once(*running_->graph);
  return nullptr;
}

const char* Application::infer(ReadRows read, void* context, uint8_t* rows, size_t rows_bytes,
                               uint8_t* outputs) {
  if (const char* const problem = turn()) return problem;
  host_.begin(read, context, rows, static_cast<uint32_t>(rows_bytes), outputs);
  while (!host_.is_over()) turn();
  return host_.is_done() ? nullptr : host_.text().text();
}

}  // namespace split_tflm
