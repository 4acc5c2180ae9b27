// SPDX-License-Identifier: Apache-2.0
// TFLSPLIT_ADD, TFLSPLIT_MEAN and TFLSPLIT_POOL_2D under TFLM: no weights, no constants.
#include "compute_op.h"

namespace split_tflm {
namespace {

using split_device::IntVector;
using split_kernels::MeanParams;
using split_kernels::PoolFinish;
using split_kernels::ResidualAdd;
using split_kernels::WindowParams;

constexpr int kOther = 1;  // operand of ADD

const char* check_tensors(api::Context* context, const api::OpNode* node, int operands) {
  if (node->inputs->size != operands || node->outputs->size != 1) {
    return "has a wrong number of operands or results";
  }
  for (int i = 0; i < operands; ++i) {
    const api::EvalTensor* const x = optional_input(context, node, i);
    if (x == nullptr || x->type != kTfLiteInt8) return "x must be int8";
  }
  return output(context, node, 0)->type == kTfLiteInt8 ? nullptr : "y must be int8";
}

// What all three begin with: options, tensors, zero points. False if it was refused.
bool begin(api::Context* context, api::OpNode* node, const char* name,
           const split_device::OptionTable& table, int operands, FlexMap* options) {
  OpData* const data = data_of(node);
  if (data == nullptr) return false;
  const Problem problem = open_and_check(node, table, options);
  if (problem.found()) return refuse(context, name, problem) == kTfLiteOk;
  if (const char* what = check_tensors(context, node, operands)) {
    return refuse(context, name, what) == kTfLiteOk;
  }
  *data = OpData{0, 0, -1};
  if (input_zero_point(context, node, 0, &data->x_zero_point) &&
      output_zero_point(context, node, 0, &data->y_zero_point)) {
    return true;
  }
  return refuse(context, name, "the arena has no room to look at x and y") == kTfLiteOk;
}

// ---- ADD

ResidualAdd add_of(const FlexMap& options, const OpData& data) {
  const IntVector activation = split_device::integers_option(options, "activation");
  const IntVector scaling = split_device::integers_option(options, "scaling");
  ResidualAdd add;
  add.present = true;
  add.p_zero_point = data.x_zero_point, add.y_zero_point = data.y_zero_point;
  add.activation_min = activation.at(0), add.activation_max = activation.at(1);
  add.p = {scaling.at(0), scaling.at(1)};
  add.residual = {scaling.at(2), scaling.at(3)};
  add.sum = {scaling.at(4), scaling.at(5)};
  add.residual_zero_point = scaling.at(6);
  return add;
}

api::Status prepare_add(api::Context* context, api::OpNode* node) {
  FlexMap options;
  if (!begin(context, node, kAddName, split_device::kAddOptions, 2, &options)) return kTfLiteError;
  const int32_t count = elements(output(context, node, 0));
  const char* what = split_kernels::check_residual_add(add_of(options, *data_of(node)));
  if (elements(input(context, node, 0)) != count || elements(input(context, node, kOther)) != count) {
    what = "what is added must be shaped like y";
  }
  if (what != nullptr) return refuse(context, kAddName, what);
  const size_t scratch_bytes = split_kernels::add_get_scratch_bytes(count);
  return scratch_bytes == 0 ? kTfLiteOk : request_scratch(context, scratch_bytes, data_of(node));
}

api::Status invoke_add(api::Context* context, api::OpNode* node) {
  const OpData& data = *data_of(node);
  api::EvalTensor* const y = output(context, node, 0);
  split_kernels::add(add_of(checked_options(node), data), bytes(input(context, node, 0)),
                     bytes(input(context, node, kOther)), elements(y), scratch_of(context, data),
                     y->data.int8);
  return kTfLiteOk;
}

// ---- MEAN

// False if the axes are no dimensions of x.
bool mean_of(const FlexMap& options, const api::EvalTensor* x, const OpData& data, MeanParams* mean) {
  const IntVector scaling = split_device::integers_option(options, "scaling");
  mean->sums.x_zero_point = data.x_zero_point;
  mean->y_zero_point = data.y_zero_point;
  mean->multiplier = scaling.at(0), mean->shift = scaling.at(1);
  return set_summed(options, x, &mean->sums);
}

api::Status prepare_mean(api::Context* context, api::OpNode* node) {
  FlexMap options;
  if (!begin(context, node, kMeanName, split_device::kMeanOptions, 1, &options)) return kTfLiteError;
  MeanParams mean;
  if (!mean_of(options, input(context, node, 0), *data_of(node), &mean)) {
    return refuse(context, kMeanName, Problem{"axes", "are no dimensions of x"});
  }
  const char* what = split_kernels::check_mean(mean);
  if (what == nullptr && elements(output(context, node, 0)) != mean.sums.outer * mean.sums.inner) {
    what = "y does not fit x";
  }
  return what != nullptr ? refuse(context, kMeanName, what) : kTfLiteOk;
}

api::Status invoke_mean(api::Context* context, api::OpNode* node) {
  const api::EvalTensor* const x = input(context, node, 0);
  MeanParams mean;
  mean_of(checked_options(node), x, *data_of(node), &mean);
  split_kernels::mean(mean, bytes(x), output(context, node, 0)->data.int8);
  return kTfLiteOk;
}

// ---- POOL_2D

WindowParams window_of(const FlexMap& options, const api::EvalTensor* x) {
  const IntVector kernel = split_device::integers_option(options, "kernel");
  const IntVector stride = split_device::integers_option(options, "stride");
  const IntVector pads = split_device::integers_option(options, "pads");
  WindowParams window;
  window.batches = dim(x, 0), window.in_rows = dim(x, 1), window.in_columns = dim(x, 2);
  window.in_channels = window.out_channels = window.kernel_channels = dim(x, 3);
  window.kernel_rows = kernel.at(0), window.kernel_columns = kernel.at(1);
  window.stride_rows = stride.at(0), window.stride_columns = stride.at(1);
  window.pad_top = pads.at(0), window.pad_bottom = pads.at(1);
  window.pad_left = pads.at(2), window.pad_right = pads.at(3);
  split_kernels::set_out_extent(&window);
  return window;
}

PoolFinish finish_of_pool(const FlexMap& options) {
  const IntVector activation = split_device::integers_option(options, "activation");
  PoolFinish finish;
  finish.maximum = split_device::integer_option(options, "maximum") != 0;
  finish.activation_min = activation.at(0), finish.activation_max = activation.at(1);
  return finish;
}

api::Status prepare_pool_2d(api::Context* context, api::OpNode* node) {
  FlexMap options;
  if (!begin(context, node, kPool2dName, split_device::kPool2dOptions, 1, &options)) {
    return kTfLiteError;
  }
  const api::EvalTensor *const x = input(context, node, 0), *const y = output(context, node, 0);
  if (rank(x) != 4 || rank(y) != 4) return refuse(context, kPool2dName, "x must have four dimensions");
  const WindowParams window = window_of(options, x);
  const char* what = split_kernels::check_pool_2d(window, finish_of_pool(options));
  if (what == nullptr) what = check_result(y, window);
  return what != nullptr ? refuse(context, kPool2dName, what) : kTfLiteOk;
}

api::Status invoke_pool_2d(api::Context* context, api::OpNode* node) {
  const api::EvalTensor* const x = input(context, node, 0);
  const FlexMap options = checked_options(node);
  split_kernels::pool_2d(window_of(options, x), finish_of_pool(options), bytes(x),
                         output(context, node, 0)->data.int8);
  return kTfLiteOk;
}

}  // namespace

api::Registered* add_registration() {
  static api::Registered registration =
      compute_registration(kAddName, prepare_add, invoke_add);
  return &registration;
}
api::Registered* mean_registration() {
  static api::Registered registration =
      compute_registration(kMeanName, prepare_mean, invoke_mean);
  return &registration;
}
api::Registered* pool_2d_registration() {
  static api::Registered registration =
      compute_registration(kPool2dName, prepare_pool_2d, invoke_pool_2d);
  return &registration;
}

}  // namespace split_tflm
