// SPDX-License-Identifier: Apache-2.0
#include "compute_op.h"

namespace split_tflm {
namespace {

void* init(api::Context* context, const char*, size_t) {
  return api::GetMicroContext(context)->AllocatePersistentBuffer(sizeof(OpData));
}

const char* check_table(const api::EvalTensor* table, int32_t channels, const char* what) {
  if (table == nullptr) return nullptr;
  const bool fits = has_shape(table, kTfLiteInt32, 1) && dim(table, 0) == channels &&
                    table->data.data != nullptr;
  return fits ? nullptr : what;
}

}  // namespace

api::Registration compute_registration(Function prepare, Function invoke) {
  api::Registration result{};
  result.init = init;
  result.prepare = prepare;
  result.invoke = invoke;
  return result;
}

api::Status request_scratch(api::Context* context, size_t bytes, OpData* data) {
  int number = -1;
  const api::Status status =
      api::GetMicroContext(context)->RequestScratchBufferInArena(bytes, &number);
  data->scratch = number;
  return status;
}

void* scratch_of(api::Context* context, const OpData& data) {
  return data.scratch < 0 ? nullptr : api::GetMicroContext(context)->GetScratchBuffer(data.scratch);
}

void set_tables(api::Context* context, const api::OpNode* node, int first,
                split_kernels::Requantization* q) {
  q->bias = words(optional_input(context, node, first));
  q->multiplier = words(optional_input(context, node, first + 1));
  q->shift = words(optional_input(context, node, first + 2));
}

const char* check_tables(api::Context* context, const api::OpNode* node, int first,
                         int32_t channels) {
  if (optional_input(context, node, first + 1) == nullptr ||
      optional_input(context, node, first + 2) == nullptr) {
    return "multiplier and shift must be there";
  }
  constexpr const char* kWhat[] = {
      "bias must be a constant int32 vector with one element a channel",
      "multiplier must be a constant int32 vector with one element a channel",
      "shift must be a constant int32 vector with one element a channel"};
  for (int i = 0; i < 3; ++i) {
    const char* problem = check_table(optional_input(context, node, first + i), channels, kWhat[i]);
    if (problem != nullptr) return problem;
  }
  return nullptr;
}

split_kernels::Requantization requantization_of(api::Context* context, const api::OpNode* node,
                                                int first, const FlexMap& options,
                                                int32_t y_zero_point) {
  const split_device::IntVector activation = split_device::integers_option(options, "activation");
  split_kernels::Requantization q;
  set_tables(context, node, first, &q);
  q.y_zero_point = y_zero_point;
  q.activation_min = activation.at(0);
  q.activation_max = activation.at(1);
  return q;
}

}  // namespace split_tflm
