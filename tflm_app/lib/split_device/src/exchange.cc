// SPDX-License-Identifier: Apache-2.0
#include "split_device/exchange.h"

#include <cstring>

namespace split_device {

using split_core::Error;

void Exchange::begin(uint16_t epoch, uint32_t timeout_us) {
  node_.communicator().begin_epoch(epoch);
  timeout_us_ = timeout_us;
  failed_ = refused_ = superseded_ = false;
  error_ = Error{};
  text_.clear();
  op_ = nullptr;
  counters_ = TransferCounters{};
  for (uint8_t i = 0; i < posted_count_; ++i) posted_[i].tensor = nullptr;
}

void Exchange::begin_kernels() {
  alive();
  in_kernels_ = ticker_.exists();
  let_go();
}

void Exchange::end_kernels() {
  hold();
  in_kernels_ = false;
}

void Exchange::hold() {
  if (in_kernels_) ticker_.pause();
}

void Exchange::let_go() {
  if (in_kernels_) ticker_.resume();
}

bool Exchange::keep(const Error& error) {
  if (error.ok()) return true;
  if (failed_) return false;
  failed_ = true;
  error_ = error;
  char words[128];
  split_core::format_error(error, words, sizeof words);
  text_.clear();
  if (op_ != nullptr) text_.add(op_).add(" ").add_quoted(tensor_).add(": ");
  text_.add(words);
  return false;
}

void Exchange::refuse(const char* op, const char* key, const char* what) {
  if (failed_) return;
  failed_ = refused_ = true;
  text_.clear();
  text_.add(op).add(": ");
  // The key may be out of a damaged model.
  if (key != nullptr) {
    text_.add("option ").add_quoted({key, static_cast<uint32_t>(std::strlen(key))}).add(" ");
  }
  text_.add(what);
}

bool Exchange::post(const void* tensor, uint16_t channel, uint64_t ranks,
                    const split_core::StridedBox& box) {
  alive();
  if (failed_) return false;
  if (!keep(node_.communicator().post_send(channel, ranks, box))) return false;
  for (uint64_t left = ranks; left != 0; left &= left - 1) counters_.sent_bytes += box.size_bytes();
  PostedSend* place = nullptr;
  for (uint8_t i = 0; i < posted_count_; ++i) {
    PostedSend& entry = posted_[i];
    if (entry.tensor == tensor && entry.channel == channel) return true;
    if (entry.tensor == nullptr || node_.communicator().send_released(entry.channel)) {
      place = &entry;
    }
  }
  // As many entries as send slots: the slot that this SEND got had an entry that is free now.
  if (place != nullptr) *place = {tensor, channel};
  if (!ticker_.exists()) node_.poll();
  return true;
}

bool Exchange::receive(uint16_t channel, uint8_t source, const split_core::StridedBox& box) {
  if (failed_) return false;
  counters_.received_bytes += box.size_bytes();
  return keep(node_.communicator().begin_recv(channel, source, box));
}

bool Exchange::ask_ahead(uint16_t channel, uint8_t source, const split_core::StridedBox& memory) {
  if (failed_) return false;
  if (!keep(node_.communicator().ask_ahead(channel, source, memory))) return false;
  if (!ticker_.exists()) node_.poll();
  return true;
}

bool Exchange::is_released(const void* tensor) const {
  for (uint8_t i = 0; i < posted_count_; ++i) {
    const PostedSend& entry = posted_[i];
    if (entry.tensor == tensor && !node_.communicator().send_released(entry.channel)) return false;
  }
  return true;
}

bool Exchange::are_released(const void* const* tensors, size_t count) const {
  for (size_t i = 0; i < count; ++i) {
    if (!is_released(tensors[i])) return false;
  }
  return true;
}

template <typename Condition>
bool Exchange::wait_until(Condition condition) {
  if (failed_) return false;
  const uint32_t start_us = clock_.now_us();
  const uint64_t start_ticks = ticks_();
  while (true) {
    alive();
    node_.poll();
    if (!keep(node_.communicator().error())) break;
    if (condition()) break;
    if (observer_ != nullptr && !observer_->on_wait()) {
      failed_ = superseded_ = true;
      break;
    }
    if (clock_.now_us() - start_us >= timeout_us_) {
      node_.fail_with_timeout();
      node_.poll();  // let the others know while we are here
      keep(node_.communicator().error());
      failed_ = true;
      break;
    }
    clock_.idle();
  }
  counters_.wait_us += clock_.now_us() - start_us;
  counters_.wait_ticks += ticks_() - start_ticks;
  return !failed_;
}

bool Exchange::wait(const void* const* tensors, size_t count) {
  return wait_until([this, tensors, count] {
    if (!node_.communicator().recvs_complete()) return false;
    // Without a ticker nothing moves while a kernel runs: frames that were still here (our own, or
    // on their way through us) would make the others wait for its end.
    if (!ticker_.exists() && !node_.all_acknowledged()) return false;
    return are_released(tensors, count);
  });
}

bool Exchange::wait_released(const void* const* tensors, size_t count) {
  return wait_until([this, tensors, count] { return are_released(tensors, count); });
}

bool Exchange::is_here(const void* begin, size_t bytes) {
  hold();
  const bool here = !node_.communicator().is_receiving(begin, bytes);
  let_go();
  return here;
}

bool Exchange::await(const void* begin, size_t bytes) {
  hold();
  const bool here = wait_until(
      [this, begin, bytes] { return !node_.communicator().is_receiving(begin, bytes); });
  let_go();
  return here;
}

bool Exchange::wait_for(bool (*condition)(void* context), void* context) {
  return wait_until([condition, context] { return condition(context); });
}

bool Exchange::wait_for_all() {
  return wait_until([this] {
    return node_.communicator().recvs_complete() && node_.communicator().all_sends_released();
  });
}

}  // namespace split_device
