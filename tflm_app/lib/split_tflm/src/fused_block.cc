// SPDX-License-Identifier: Apache-2.0
// TFLSPLIT_FUSED_BLOCK under TFLM: its three stages are read from options and shapes.
#include "compute_op.h"

namespace split_tflm {
namespace {

using split_device::IntVector;
using split_kernels::FusedBlockParams;
using split_kernels::FusedStage;
using split_kernels::Requantization;
using split_kernels::WindowParams;

// Operands: x, then weights, bias, multiplier and shift of each stage.
constexpr int kExpand = 1;
constexpr int kDepthwise = 5;
constexpr int kProject = 9;
constexpr int kOperands = 13;
constexpr uint32_t kStageIntegers = 12;

bool expands(const FlexMap& options) {
  return split_device::integers_option(options, "expand").size() != 0;
}

bool makes_sums(const FlexMap& options) {
  return split_device::integer_option(options, "sum") != 0;
}

// ---- Parameters ----

// Weights and tables of the stage whose operands begin at `first`.
void set_operands(api::Context* context, const api::OpNode* node, int first, FusedStage* stage) {
  const api::EvalTensor* const weights = input(context, node, first);
  stage->weights = bytes(weights);
  stage->window.kernel_rows = dim(weights, 1);
  stage->window.kernel_columns = dim(weights, 2);
  stage->window.kernel_channels = dim(weights, 3);
  stage->window.out_channels = dim(weights, first == kDepthwise ? 3 : 0);
  set_tables(context, node, first + 1, &stage->requantization);
}

// As stored: stride, dilation, pads, activation, zero point, scale (for people).
void set_options(const IntVector& stored, FusedStage* stage) {
  WindowParams& p = stage->window;
  p.stride_rows = stored.at(0), p.stride_columns = stored.at(1);
  p.dilation_rows = stored.at(2), p.dilation_columns = stored.at(3);
  p.pad_top = stored.at(4), p.pad_bottom = stored.at(5);
  p.pad_left = stored.at(6), p.pad_right = stored.at(7);
  stage->requantization.activation_min = stored.at(8);
  stage->requantization.activation_max = stored.at(9);
  stage->requantization.y_zero_point = stored.at(10);
}

// x of `next` is the result of `stage`.
void connect(const FusedStage& stage, FusedStage* next) {
  next->window.batches = stage.window.batches;
  next->window.in_rows = stage.window.out_rows;
  next->window.in_columns = stage.window.out_columns;
  next->window.in_channels = stage.window.out_channels;
  next->window.x_zero_point = stage.requantization.y_zero_point;
}

FusedBlockParams block_of(api::Context* context, const api::OpNode* node, const FlexMap& options,
                          const OpData& data) {
  FusedBlockParams block;
  block.sums = makes_sums(options);
  block.tile_columns = split_device::integer_option(options, "tile_columns");
  FusedStage x;  // as if a stage had made it
  const api::EvalTensor* const tensor = input(context, node, 0);
  x.window.batches = dim(tensor, 0);
  x.window.out_rows = dim(tensor, 1), x.window.out_columns = dim(tensor, 2);
  x.window.out_channels = dim(tensor, 3);
  x.requantization.y_zero_point = data.x_zero_point;
  const FusedStage* before = &x;
  if (expands(options)) {
    set_operands(context, node, kExpand, &block.expand);
    set_options(split_device::integers_option(options, "expand"), &block.expand);
    connect(*before, &block.expand);
    split_kernels::set_out_extent(&block.expand.window);
    before = &block.expand;
  }
  set_operands(context, node, kDepthwise, &block.depthwise);
  set_options(split_device::integers_option(options, "depthwise"), &block.depthwise);
  connect(*before, &block.depthwise);
  split_kernels::set_out_extent(&block.depthwise.window);
  set_operands(context, node, kProject, &block.project);
  connect(block.depthwise, &block.project);
  split_kernels::set_out_extent(&block.project.window);
  const IntVector activation = split_device::integers_option(options, "activation");
  block.project.requantization.activation_min = activation.at(0);
  block.project.requantization.activation_max = activation.at(1);
  block.project.requantization.y_zero_point = data.y_zero_point;
  return block;
}

// ---- Checks ----

const char* check_stage(api::Context* context, const api::OpNode* node, int first, bool sums) {
  const api::EvalTensor* const weights = optional_input(context, node, first);
  if (!has_shape(weights, kTfLiteInt8, 4) || weights->data.data == nullptr) {
    return "weights must be constant int8 with four dimensions";
  }
  const bool depthwise = first == kDepthwise;
  if (depthwise && dim(weights, 0) != 1) return "depthwise weights must begin with 1";
  if (!sums) return check_tables(context, node, first + 1, dim(weights, depthwise ? 3 : 0));
  for (int i = 1; i <= 3; ++i) {
    if (optional_input(context, node, first + i) != nullptr) {
      return "makes sums, which are not requantized here";
    }
  }
  return nullptr;
}

const char* check_expansion(api::Context* context, const api::OpNode* node,
                            const FlexMap& options) {
  const uint32_t integers = split_device::integers_option(options, "expand").size();
  if (integers == kStageIntegers) return check_stage(context, node, kExpand, false);
  if (integers != 0) return "option 'expand' has another number of elements";
  for (int i = 0; i < 4; ++i) {
    if (optional_input(context, node, kExpand + i) != nullptr) {
      return "the operands of the expansion do not go with its options";
    }
  }
  return nullptr;
}

const char* check_tensors(api::Context* context, const api::OpNode* node,
                          const FlexMap& options) {
  if (node->inputs->size != kOperands || node->outputs->size != 1) {
    return "has a wrong number of operands or results";
  }
  if (!has_shape(optional_input(context, node, 0), kTfLiteInt8, 4)) {
    return "x must be int8 with four dimensions";
  }
  const bool sums = makes_sums(options);
  if (!has_shape(output(context, node, 0), sums ? kTfLiteInt32 : kTfLiteInt8, 4)) {
    return "y must be int8, or int32 sums, with four dimensions";
  }
  const char* what = check_expansion(context, node, options);
  if (what == nullptr) what = check_stage(context, node, kDepthwise, false);
  return what != nullptr ? what : check_stage(context, node, kProject, sums);
}

const char* check_result(const api::EvalTensor* y, const WindowParams& p) {
  const bool fits = dim(y, 0) == p.batches && dim(y, 1) == p.out_rows &&
                    dim(y, 2) == p.out_columns && dim(y, 3) == p.out_channels;
  return fits ? nullptr : "y does not follow from x, weights and options";
}

// ---- The operator ----

api::Status prepare(api::Context* context, api::OpNode* node) {
  OpData* const data = data_of(node);
  if (exchange_of(context) == nullptr || data == nullptr) return kTfLiteError;
  FlexMap options;
  const Problem problem = open_and_check(node, split_device::kFusedBlockOptions, &options);
  if (problem.found()) return refuse(context, kFusedBlockName, problem);
  const char* what = check_tensors(context, node, options);
  if (what != nullptr) return refuse(context, kFusedBlockName, what);
  *data = OpData{0, 0, -1};
  if (!input_zero_point(context, node, 0, &data->x_zero_point) ||
      (!makes_sums(options) && !output_zero_point(context, node, 0, &data->y_zero_point))) {
    return refuse(context, kFusedBlockName, "the arena has no room to look at x and y");
  }
  const FusedBlockParams block = block_of(context, node, options, *data);
  what = split_kernels::check_fused_block(block);
  if (what == nullptr) what = check_result(output(context, node, 0), block.project.window);
  if (what != nullptr) return refuse(context, kFusedBlockName, what);
  return request_scratch(context, split_kernels::fused_block_get_scratch_bytes(block), data);
}

api::Status invoke(api::Context* context, api::OpNode* node) {
  const OpData& data = *data_of(node);
  const FusedBlockParams block = block_of(context, node, checked_options(node), data);
  split_kernels::fused_block(block, bytes(input(context, node, 0)), scratch_of(context, data),
                             output(context, node, 0)->data.data);
  return kTfLiteOk;
}

}  // namespace

const api::Registration* fused_block_registration() {
  static api::Registration registration = compute_registration(prepare, invoke);
  return &registration;
}

}  // namespace split_tflm
