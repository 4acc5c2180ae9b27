// SPDX-License-Identifier: Apache-2.0
#include "compute_op.h"

namespace split_tflm {
namespace {

// 0 where it leaves int32, which checks refuse.
int32_t extent(const api::EvalTensor* x, int32_t first, int32_t stop) {
  int64_t product = 1;
  for (int32_t axis = first; axis < stop; ++axis) {
    product *= dim(x, axis);
    if (product > INT32_MAX || product < 0) return 0;
  }
  return static_cast<int32_t>(product);
}

}  // namespace

void* init_op_data(api::Context* context, const char*, size_t) {
  return api::GetMicroContext(context)->AllocatePersistentBuffer(sizeof(OpData));
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

split_kernels::Constants stored_constants(api::Context* context, const api::OpNode* node) {
  const api::EvalTensor* const tensor = input(context, node, 1);
  return {tensor->data.data, static_cast<size_t>(dim(tensor, 0))};
}

const char* check_operands(api::Context* context, const api::OpNode* node, int operands) {
  if (node->inputs->size != operands || node->outputs->size != 1) {
    return "has a wrong number of operands or results";
  }
  const api::EvalTensor* const constants = optional_input(context, node, 1);
  if (optional_input(context, node, 0) == nullptr ||
      !has_shape(constants, kTfLiteInt8, 1) || constants->data.data == nullptr) {
    return "takes x and a constant int8 vector";
  }
  return nullptr;
}

const char* check_result(const api::EvalTensor* y, const split_kernels::WindowParams& p) {
  const bool fits = dim(y, 0) == p.batches && dim(y, 1) == p.out_rows &&
                    dim(y, 2) == p.out_columns && dim(y, 3) == p.out_channels;
  return fits ? nullptr : "y does not follow from x and options";
}

split_kernels::Finish finish_of(const FlexMap& options, int32_t y_zero_point) {
  const split_device::IntVector activation = split_device::integers_option(options, "activation");
  split_kernels::Finish finish;
  finish.rounding = split_device::integer_option(options, "rounding");
  finish.y_zero_point = y_zero_point;
  finish.activation_min = activation.at(0);
  finish.activation_max = activation.at(1);
  return finish;
}

bool set_summed(const FlexMap& options, const api::EvalTensor* x, split_kernels::PartialSumParams* params) {
  const split_device::IntVector axes = split_device::integers_option(options, "axes");
  const auto first = static_cast<int32_t>(axes.at(0)), stop = static_cast<int32_t>(axes.at(1));
  if (first >= stop || stop > rank(x)) return false;
  params->outer = extent(x, 0, first);
  params->summed = extent(x, first, stop);
  params->inner = extent(x, stop, rank(x));
  return true;
}

}  // namespace split_tflm
