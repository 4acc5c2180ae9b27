// SPDX-License-Identifier: Apache-2.0
// TFLSPLIT_PARTIAL_FULLY_CONNECTED and TFLSPLIT_REQUANTIZE under TFLM.
#include "compute_op.h"

namespace split_tflm {
namespace {

using split_kernels::FullyConnectedParams;

// ---- PARTIAL_FULLY_CONNECTED ----

FullyConnectedParams fully_connected_of(const api::EvalTensor* x, const api::EvalTensor* y,
                                        int32_t x_zero_point) {
  FullyConnectedParams params;
  params.in_channels = dim(x, rank(x) - 1);
  params.batches = params.in_channels == 0 ? 0 : elements(x) / params.in_channels;
  params.out_channels = dim(y, rank(y) - 1);
  params.x_zero_point = x_zero_point;
  return params;
}

const char* check_fully_connected_tensors(api::Context* context, const api::OpNode* node) {
  if (const char* problem = check_operands(context, node)) return problem;
  const api::EvalTensor* const x = input(context, node, 0);
  const api::EvalTensor* const y = output(context, node, 0);
  if (x->type != kTfLiteInt8 || rank(x) < 1) return "x must be int8 with one dimension or more";
  if (y->type != kTfLiteInt32 || rank(y) < 1) return "y must be int32 with one dimension or more";
  const int32_t depth = dim(x, rank(x) - 1), channels = dim(y, rank(y) - 1);
  if (depth < 1 || channels < 1 || elements(x) / depth != elements(y) / channels) {
    return "y does not fit x";
  }
  return nullptr;
}

api::Status prepare_partial_fully_connected(api::Context* context, api::OpNode* node) {
  constexpr const char* kName = kPartialFullyConnectedName;
  OpData* const data = data_of(node);
  if (data == nullptr) return kTfLiteError;
  FlexMap options;
  const Problem problem =
      open_and_check(node, split_device::kPartialFullyConnectedOptions, &options);
  if (problem.found()) return refuse(context, kName, problem);
  const char* what = check_fully_connected_tensors(context, node);
  if (what != nullptr) return refuse(context, kName, what);
  *data = OpData{0, 0, -1};
  if (!input_zero_point(context, node, 0, &data->x_zero_point)) {
    return refuse(context, kName, "the arena has no room to look at x");
  }
  const FullyConnectedParams params = fully_connected_of(
      input(context, node, 0), output(context, node, 0), data->x_zero_point);
  what = split_kernels::check_fully_connected(params);
  if (what == nullptr) {
    what = split_kernels::check_fully_connected_constants(params, stored_constants(context, node));
  }
  if (what != nullptr) return refuse(context, kName, what);
  return request_scratch(context, split_kernels::partial_fully_connected_get_scratch_bytes(params),
                         data);
}

api::Status invoke_partial_fully_connected(api::Context* context, api::OpNode* node) {
  const OpData& data = *data_of(node);
  const api::EvalTensor* const x = input(context, node, 0);
  api::EvalTensor* const y = output(context, node, 0);
  split_kernels::partial_fully_connected(fully_connected_of(x, y, data.x_zero_point), bytes(x),
                                         constants_of(context, node), scratch_of(context, data),
                                         y->data.i32);
  return kTfLiteOk;
}

// ---- REQUANTIZE ----

const char* check_requantize_tensors(api::Context* context, const api::OpNode* node) {
  if (const char* problem = check_operands(context, node)) return problem;
  const api::EvalTensor* const sums = input(context, node, 0);
  const api::EvalTensor* const y = output(context, node, 0);
  if ((sums->type != kTfLiteInt32 && sums->type != kTfLiteInt16) || rank(sums) < 1) {
    return "sums must be int32 or int16 with one dimension or more";
  }
  if (y->type != kTfLiteInt8 || rank(y) != rank(sums)) return "y must be int8, shaped like sums";
  for (int axis = 0; axis < rank(sums); ++axis) {
    if (dim(sums, axis) != dim(y, axis) || dim(y, axis) < 1) {
      return "y must be int8, shaped like sums";
    }
  }
  return nullptr;
}

api::Status prepare_requantize(api::Context* context, api::OpNode* node) {
  OpData* const data = data_of(node);
  if (data == nullptr) return kTfLiteError;
  FlexMap options;
  const Problem problem = open_and_check(node, split_device::kRequantizeOptions, &options);
  if (problem.found()) return refuse(context, kRequantizeName, problem);
  const char* what = check_requantize_tensors(context, node);
  if (what != nullptr) return refuse(context, kRequantizeName, what);
  *data = OpData{0, 0, -1};
  if (!output_zero_point(context, node, 0, &data->y_zero_point)) {
    return refuse(context, kRequantizeName, "the arena has no room to look at y");
  }
  const api::EvalTensor* const sums = input(context, node, 0);
  const int32_t channels = dim(sums, rank(sums) - 1);
  const split_kernels::Finish finish = finish_of(options, data->y_zero_point);
  what = split_kernels::check_requantize(finish, channels);
  if (what == nullptr) {
    what = split_kernels::check_requantize_constants(channels, finish,
                                                     stored_constants(context, node));
  }
  return what != nullptr ? refuse(context, kRequantizeName, what) : kTfLiteOk;
}

api::Status invoke_requantize(api::Context* context, api::OpNode* node) {
  const api::EvalTensor* const sums = input(context, node, 0);
  const int32_t channels = dim(sums, rank(sums) - 1);
  const split_kernels::Finish finish = finish_of(checked_options(node), data_of(node)->y_zero_point);
  const int32_t positions = elements(sums) / channels;
  const void* const constants = constants_of(context, node);
  int8_t* const y = output(context, node, 0)->data.int8;
  if (sums->type == kTfLiteInt16) {
    split_kernels::requantize(finish, positions, channels, constants, sums->data.i16, y);
  } else {
    split_kernels::requantize(finish, positions, channels, constants, sums->data.i32, y);
  }
  return kTfLiteOk;
}

}  // namespace

api::Registered* partial_fully_connected_registration() {
  static api::Registered registration =
      compute_registration(kPartialFullyConnectedName, prepare_partial_fully_connected, invoke_partial_fully_connected);
  return &registration;
}
api::Registered* requantize_registration() {
  static api::Registered registration =
      compute_registration(kRequantizeName, prepare_requantize, invoke_requantize);
  return &registration;
}

}  // namespace split_tflm
