// SPDX-License-Identifier: Apache-2.0
#include "tflm_graph.h"

#include <cstring>

namespace split_tflm {
namespace {

constexpr char kMarkName[] = "tflsplit";
constexpr uint32_t kSchemaVersion = 3;

using split_core::MutableBytes;
using split_device::Text;
using split_device::TextLine;

// The model's metadata of that name; empty if there is none.
Text find_mark(const api::Model& model) {
  const auto* const entries = model.metadata();
  for (uint32_t i = 0; entries != nullptr && i < entries->size(); ++i) {
    const auto* const entry = entries->Get(i);
    if (entry->name() == nullptr || std::strcmp(entry->name()->c_str(), kMarkName) != 0) continue;
    const auto* const buffers = model.buffers();
    if (buffers == nullptr || entry->buffer() >= buffers->size()) break;
    const auto* const data = buffers->Get(entry->buffer())->data();
    if (data == nullptr) break;
    return {reinterpret_cast<const char*>(data->data()), data->size()};
  }
  return {};
}

// Without the zeros that fill it up.
bool equal(Text mark, const char* wanted) {
  while (mark.size > 0 && mark.data[mark.size - 1] == '\0') --mark.size;
  return mark.size == std::strlen(wanted) && std::memcmp(mark.data, wanted, mark.size) == 0;
}

MutableBytes bytes_of(const api::Tensor* tensor) {
  return MutableBytes(static_cast<uint8_t*>(tensor->data.data), tensor->bytes);
}

}  // namespace

MutableBytes TflmGraph::input(size_t index) { return bytes_of(interpreter_.input(index)); }
MutableBytes TflmGraph::output(size_t index) { return bytes_of(interpreter_.output(index)); }

bool TflmGraph::invoke() {
  if (left_until_hang_ > 0) left_until_hang_ = left_until_hang_ == 1 ? -1 : left_until_hang_ - 1;
  while (left_until_hang_ < 0) {
  }
  return interpreter_.Invoke() == kTfLiteOk;
}

bool check_model(const DeviceDescription& device, TextLine* why) {
  if (reinterpret_cast<uintptr_t>(device.model) % 16 != 0) {
    why->add("the model is not aligned to 16 bytes");
    return false;
  }
  const api::Model* const model = api::GetModel(device.model);
  if (model->version() != kSchemaVersion) {
    why->add("the model has schema version ").add(int64_t{model->version()}).add(", not 3");
    return false;
  }
  const Text mark = find_mark(*model);
  if (equal(mark, device.mark)) return true;
  why->add("the model in flash is of another plan or rank: ").add_quoted(mark);
  why->add("; build the firmware again after `tflsplit rewrite`");
  return false;
}

bool allocate(const DeviceDescription& device, api::MicroInterpreter& interpreter,
              split_device::Exchange& exchange, TextLine* why) {
  const bool fits = device.arena_bytes >= device.predicted_arena_bytes;
  if (fits && interpreter.AllocateTensors() == kTfLiteOk) return true;
  if (exchange.refused()) {
    *why = exchange.text();
    return false;
  }
  why->add(fits ? "TFLM takes neither the graph nor its arena of " : "the arena of ");
  why->add(static_cast<int64_t>(device.arena_bytes)).add(" bytes");
  why->add(fits ? " (" : " is too small: ");
  why->add(static_cast<int64_t>(device.predicted_arena_bytes)).add(" bytes are required");
  why->add(fits ? " with the kernels it was planned for)" : "");
  return false;
}

}  // namespace split_tflm
