// SPDX-License-Identifier: Apache-2.0
// TFLSPLIT_CONV_2D, TFLSPLIT_DEPTHWISE_CONV_2D and TFLSPLIT_PARTIAL_CONV_2D under TFLM.
#include "compute_op.h"

namespace split_tflm {
namespace {

using split_device::IntVector;
using split_kernels::Constants;
using split_kernels::Finish;
using split_kernels::WindowParams;

// ---- Parameters, from tensors and options that may not have been checked yet ----

enum class Kind { kConv, kDepthwise, kPartial };

WindowParams window_of(const api::EvalTensor* x, const api::EvalTensor* y, const FlexMap& options,
                       Kind kind, int32_t x_zero_point) {
  const IntVector stride = split_device::integers_option(options, "stride");
  const IntVector dilation = split_device::integers_option(options, "dilation");
  const IntVector pads = split_device::integers_option(options, "pads");
  const IntVector kernel = split_device::integers_option(options, "kernel");
  WindowParams p;
  p.batches = dim(x, 0), p.in_rows = dim(x, 1), p.in_columns = dim(x, 2);
  p.in_channels = dim(x, 3);
  p.kernel_rows = kernel.at(0), p.kernel_columns = kernel.at(1);
  p.kernel_channels = p.in_channels;
  if (kind == Kind::kConv) {
    const int32_t groups = split_device::integer_option(options, "groups");
    p.kernel_channels = p.in_channels % groups == 0 ? p.in_channels / groups : 0;
  }
  p.out_rows = dim(y, 1), p.out_columns = dim(y, 2), p.out_channels = dim(y, 3);
  p.stride_rows = stride.at(0), p.stride_columns = stride.at(1);
  p.dilation_rows = dilation.at(0), p.dilation_columns = dilation.at(1);
  p.pad_top = pads.at(0), p.pad_bottom = pads.at(1);
  p.pad_left = pads.at(2), p.pad_right = pads.at(3);
  p.x_zero_point = x_zero_point;
  return p;
}

// ---- Checks ----

const char* check_tensors(api::Context* context, const api::OpNode* node, Kind kind) {
  if (const char* problem = check_operands(context, node)) return problem;
  const bool partial = kind == Kind::kPartial;
  const api::EvalTensor* const x = input(context, node, 0);
  const api::EvalTensor* const y = output(context, node, 0);
  if (!has_shape(x, kTfLiteInt8, 4)) return "x must be int8 with four dimensions";
  if (!has_shape(y, partial ? kTfLiteInt32 : kTfLiteInt8, 4)) {
    return partial ? "y must be int32 with four dimensions" : "y must be int8 with four dimensions";
  }
  return dim(y, 0) == dim(x, 0) ? nullptr : "x and y differ in their batches";
}

const char* check_contents(const WindowParams& window, const Finish& finish, Kind kind,
                           const Constants& constants) {
  const char* problem = kind == Kind::kDepthwise ? split_kernels::check_depthwise(window)
                                                 : split_kernels::check_convolution(window);
  if (problem != nullptr) return problem;
  if (kind == Kind::kPartial) {
    return split_kernels::check_partial_conv_2d_constants(window, constants);
  }
  problem = split_kernels::check_requantize(finish, window.out_channels);
  if (problem != nullptr) return problem;
  return kind == Kind::kDepthwise
             ? split_kernels::check_depthwise_constants(window, finish, constants)
             : split_kernels::check_conv_2d_constants(window, finish, constants);
}

size_t scratch_bytes(Kind kind, const WindowParams& window) {
  return kind == Kind::kDepthwise ? split_kernels::depthwise_conv_2d_get_scratch_bytes(window)
                                  : split_kernels::conv_2d_get_scratch_bytes(window);
}

// ---- Convolutions ----

Finish finish_of(const FlexMap& options, Kind kind, const OpData& data) {
  return kind == Kind::kPartial ? Finish() : split_tflm::finish_of(options, data.y_zero_point);
}

api::Status prepare_window(api::Context* context, api::OpNode* node, Kind kind, const char* name,
                           const OptionTable& table) {
  OpData* const data = data_of(node);
  if (data == nullptr) return kTfLiteError;
  FlexMap options;
  const Problem problem = open_and_check(node, table, &options);
  if (problem.found()) return refuse(context, name, problem);
  const char* what = check_tensors(context, node, kind);
  if (what != nullptr) return refuse(context, name, what);
  *data = OpData{0, 0, -1};
  if (!input_zero_point(context, node, 0, &data->x_zero_point) ||
      (kind != Kind::kPartial && !output_zero_point(context, node, 0, &data->y_zero_point))) {
    return refuse(context, name, "the arena has no room to look at x and y");
  }
  const WindowParams window = window_of(input(context, node, 0), output(context, node, 0), options,
                                        kind, data->x_zero_point);
  what = check_contents(window, finish_of(options, kind, *data), kind,
                        stored_constants(context, node));
  if (what != nullptr) return refuse(context, name, what);
  return request_scratch(context, scratch_bytes(kind, window), data);
}

api::Status invoke_window(api::Context* context, api::OpNode* node, Kind kind) {
  const OpData& data = *data_of(node);
  const FlexMap options = checked_options(node);
  const api::EvalTensor* const x = input(context, node, 0);
  api::EvalTensor* const y = output(context, node, 0);
  const void* const constants = constants_of(context, node);
  void* const scratch = scratch_of(context, data);
  const WindowParams window = window_of(x, y, options, kind, data.x_zero_point);
  if (kind == Kind::kPartial) {
    split_kernels::partial_conv_2d(window, bytes(x), constants, scratch, y->data.i32);
    return kTfLiteOk;
  }
  auto* const run = kind == Kind::kConv ? split_kernels::conv_2d : split_kernels::depthwise_conv_2d;
  run(window, finish_of(options, kind, data), bytes(x), constants, scratch, y->data.int8);
  return kTfLiteOk;
}

api::Status prepare_conv(api::Context* context, api::OpNode* node) {
  return prepare_window(context, node, Kind::kConv, kConv2dName,
                        split_device::kConv2dOptions);
}
api::Status prepare_depthwise(api::Context* context, api::OpNode* node) {
  return prepare_window(context, node, Kind::kDepthwise, kDepthwiseConv2dName,
                        split_device::kDepthwiseConv2dOptions);
}
api::Status prepare_partial_conv(api::Context* context, api::OpNode* node) {
  return prepare_window(context, node, Kind::kPartial, kPartialConv2dName,
                        split_device::kPartialConv2dOptions);
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

api::Registered* conv_2d_registration() {
  static api::Registered registration =
      compute_registration(kConv2dName, prepare_conv, invoke_conv);
  return &registration;
}
api::Registered* depthwise_conv_2d_registration() {
  static api::Registered registration =
      compute_registration(kDepthwiseConv2dName, prepare_depthwise, invoke_depthwise);
  return &registration;
}
api::Registered* partial_conv_2d_registration() {
  static api::Registered registration =
      compute_registration(kPartialConv2dName, prepare_partial_conv, invoke_partial_conv);
  return &registration;
}

}  // namespace split_tflm
