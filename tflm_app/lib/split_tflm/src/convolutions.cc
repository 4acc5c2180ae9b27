// SPDX-License-Identifier: Apache-2.0
// TFLSPLIT_CONV_2D, TFLSPLIT_DEPTHWISE_CONV_2D and TFLSPLIT_PARTIAL_CONV_2D under TFLM.
#include "compute_op.h"

namespace split_tflm {
namespace {

using split_device::IntVector;
using split_kernels::Requantization;
using split_kernels::WindowParams;

// ---- Parameters, from tensors and options that may not have been checked yet ----

enum class Kind { kConv, kDepthwise, kPartial };

WindowParams window_of(const api::EvalTensor* x, const api::EvalTensor* weights,
                       const api::EvalTensor* y, const FlexMap& options, Kind kind,
                       int32_t x_zero_point) {
  const IntVector stride = split_device::integers_option(options, "stride");
  const IntVector dilation = split_device::integers_option(options, "dilation");
  const IntVector pads = split_device::integers_option(options, "pads");
  WindowParams p;
  p.batches = dim(x, 0), p.in_rows = dim(x, 1), p.in_columns = dim(x, 2);
  p.in_channels = dim(x, 3);
  p.kernel_rows = dim(weights, 1), p.kernel_columns = dim(weights, 2);
  p.kernel_channels = kind == Kind::kDepthwise ? 0 : dim(weights, 3);
  p.out_rows = dim(y, 1), p.out_columns = dim(y, 2), p.out_channels = dim(y, 3);
  p.stride_rows = stride.at(0), p.stride_columns = stride.at(1);
  p.dilation_rows = dilation.at(0), p.dilation_columns = dilation.at(1);
  p.pad_top = pads.at(0), p.pad_bottom = pads.at(1);
  p.pad_left = pads.at(2), p.pad_right = pads.at(3);
  p.x_zero_point = x_zero_point;
  return p;
}

// ---- Checks ----

const char* check_window_tensors(api::Context* context, const api::OpNode* node, Kind kind) {
  const bool partial = kind == Kind::kPartial;
  if (node->inputs->size != (partial ? 2 : 5) || node->outputs->size != 1) {
    return "has a wrong number of operands or results";
  }
  const api::EvalTensor* const x = input(context, node, 0);
  const api::EvalTensor* const weights = input(context, node, 1);
  const api::EvalTensor* const y = output(context, node, 0);
  if (!has_shape(x, kTfLiteInt8, 4)) return "x must be int8 with four dimensions";
  if (!has_shape(weights, kTfLiteInt8, 4)) return "weights must be int8 with four dimensions";
  if (!has_shape(y, partial ? kTfLiteInt32 : kTfLiteInt8, 4)) {
    return partial ? "y must be int32 with four dimensions" : "y must be int8 with four dimensions";
  }
  const int channels = kind == Kind::kDepthwise ? dim(weights, 3) : dim(weights, 0);
  if (dim(y, 3) != channels) return "y and weights differ in their output channels";
  if (dim(y, 0) != dim(x, 0)) return "x and y differ in their batches";
  if (kind == Kind::kDepthwise && dim(weights, 0) != 1) return "weights must begin with 1";
  return partial ? nullptr : check_tables(context, node, 2, channels);
}

size_t scratch_bytes(Kind kind, const WindowParams& window, bool has_bias) {
  switch (kind) {
    case Kind::kConv: return split_kernels::conv_2d_get_scratch_bytes(window, has_bias);
    case Kind::kDepthwise:
      return split_kernels::depthwise_conv_2d_get_scratch_bytes(window, has_bias);
    default: return split_kernels::partial_conv_2d_get_scratch_bytes(window);
  }
}

// ---- Convolutions ----

api::Status prepare_window(api::Context* context, api::OpNode* node, Kind kind, const char* name,
                           const OptionTable& table) {
  OpData* const data = data_of(node);
  if (exchange_of(context) == nullptr || data == nullptr) return kTfLiteError;
  FlexMap options;
  const Problem problem = open_and_check(node, table, &options);
  if (problem.found()) return refuse(context, name, problem);
  const char* what = check_window_tensors(context, node, kind);
  if (what != nullptr) return refuse(context, name, what);
  *data = OpData{0, 0, -1};
  if (!input_zero_point(context, node, 0, &data->x_zero_point) ||
      (kind != Kind::kPartial && !output_zero_point(context, node, 0, &data->y_zero_point))) {
    return refuse(context, name, "the arena has no room to look at x and y");
  }
  const WindowParams window =
      window_of(input(context, node, 0), input(context, node, 1), output(context, node, 0),
                options, kind, data->x_zero_point);
  what = kind == Kind::kDepthwise ? split_kernels::check_depthwise(window)
                                  : split_kernels::check_convolution(window);
  bool has_bias = false;
  if (what == nullptr && kind == Kind::kPartial && window.kernel_channels != window.in_channels) {
    what = "weights must have as many input channels as x";
  }
  if (what == nullptr && kind != Kind::kPartial) {
    const Requantization q = requantization_of(context, node, 2, options, data->y_zero_point);
    what = split_kernels::check_requantization(q, window.out_channels);
    has_bias = q.bias != nullptr;
  }
  if (what != nullptr) return refuse(context, name, what);
  const size_t scratch = scratch_bytes(kind, window, has_bias);
  return scratch == 0 ? kTfLiteOk : request_scratch(context, scratch, data);
}

api::Status invoke_window(api::Context* context, api::OpNode* node, Kind kind) {
  const OpData& data = *data_of(node);
  const FlexMap options = checked_options(node);
  const api::EvalTensor* const x = input(context, node, 0);
  const api::EvalTensor* const weights = input(context, node, 1);
  api::EvalTensor* const y = output(context, node, 0);
  void* const scratch = scratch_of(context, data);
  const WindowParams window = window_of(x, weights, y, options, kind, data.x_zero_point);
  if (kind == Kind::kPartial) {
    split_kernels::partial_conv_2d(window, bytes(x), bytes(weights), scratch, y->data.i32);
    return kTfLiteOk;
  }
  const Requantization q = requantization_of(context, node, 2, options, data.y_zero_point);
  auto* const run = kind == Kind::kConv ? split_kernels::conv_2d : split_kernels::depthwise_conv_2d;
  run(window, q, bytes(x), bytes(weights), scratch, y->data.int8);
  return kTfLiteOk;
}

api::Status prepare_conv(api::Context* context, api::OpNode* node) {
  return prepare_window(context, node, Kind::kConv, kConv2dName,
                        split_device::kWindowAndActivationOptions);
}
api::Status prepare_depthwise(api::Context* context, api::OpNode* node) {
  return prepare_window(context, node, Kind::kDepthwise, kDepthwiseConv2dName,
                        split_device::kWindowAndActivationOptions);
}
api::Status prepare_partial_conv(api::Context* context, api::OpNode* node) {
  return prepare_window(context, node, Kind::kPartial, kPartialConv2dName,
                        split_device::kWindowOptions);
}
api::Status invoke_conv(api::Context* context, api::OpNode* node) {
  return invoke_window(context, node, Kind::kConv);
}
api::Status invoke_depthwise(api::Context* context, api::OpNode* node) {
  return invoke_window(context, node, Kind::kDepthwise);
}
api::Status invoke_partial_conv(api::Context* context, api::OpNode* node) {
  return invoke_window(context, node, Kind::kPartial);
}

}  // namespace

const api::Registration* conv_2d_registration() {
  static api::Registration registration = compute_registration(prepare_conv, invoke_conv);
  return &registration;
}
const api::Registration* depthwise_conv_2d_registration() {
  static api::Registration registration = compute_registration(prepare_depthwise, invoke_depthwise);
  return &registration;
}
const api::Registration* partial_conv_2d_registration() {
  static api::Registration registration = compute_registration(prepare_partial_conv, invoke_partial_conv);
  return &registration;
}

}  // namespace split_tflm
