// SPDX-License-Identifier: Apache-2.0
// TFLSPLIT_FUSED_BLOCK under TFLM: its three stages are read from options and shapes.
#include "compute_op.h"

namespace split_tflm {
namespace {

using split_device::IntVector;
using split_kernels::FusedBlockParams;
using split_kernels::FusedStage;
using split_kernels::WindowParams;

bool expands(const FlexMap& options) {
  return split_device::integers_option(options, "expand").size() != 0;
}

// Activation, zero point and scale (for people) of p, function of the ADD (likewise), then multiplier
// and shift of p, of the residual and of their sum, and the zero point of the residual.
constexpr uint32_t kAddIntegers = 12;
constexpr int kResidual = 2;

bool adds(const FlexMap& options) {
  return split_device::integers_option(options, "add").size() != 0;
}

bool is_chained(const FlexMap& options) {
  return split_device::integers_option(options, "first_depthwise").size() != 0;
}

bool makes_sums(const FlexMap& options) {
  return split_device::integer_option(options, "sum") != 0;
}

bool is_like(const api::EvalTensor* a, const api::EvalTensor* b) {
  for (int axis = 0; axis < 4; ++axis) {
    if (dim(a, axis) != dim(b, axis)) return false;
  }
  return true;
}

// Whether what is added is a part of x.
bool is_in_x(api::Context* context, const api::OpNode* node) {
  return node->inputs->data[kResidual] == node->inputs->data[0] &&
         !is_like(input(context, node, 0), output(context, node, 0));
}

// ---- Parameters ----

// As stored: stride, dilation, pads, activation, zero point, scale (for people), kernel, channels,
// rounding.
constexpr uint32_t kStageIntegers = 16;

void set_options(const IntVector& stored, FusedStage* stage) {
  WindowParams& p = stage->window;
  p.stride_rows = stored.at(0), p.stride_columns = stored.at(1);
  p.dilation_rows = stored.at(2), p.dilation_columns = stored.at(3);
  p.pad_top = stored.at(4), p.pad_bottom = stored.at(5);
  p.pad_left = stored.at(6), p.pad_right = stored.at(7);
  stage->finish.activation_min = stored.at(8);
  stage->finish.activation_max = stored.at(9);
  stage->finish.y_zero_point = stored.at(10);
  p.kernel_rows = stored.at(12), p.kernel_columns = stored.at(13);
  p.out_channels = stored.at(14);
  stage->finish.rounding = stored.at(15);
}

// The block's finish becomes that of p, its own the ADD's.
void set_add(const IntVector& stored, FusedBlockParams* block) {
  split_kernels::ResidualAdd& add = block->add;
  split_kernels::Finish& p = block->project.finish;
  add.present = true;
  add.y_zero_point = p.y_zero_point;
  add.activation_min = p.activation_min, add.activation_max = p.activation_max;
  p.activation_min = stored.at(0), p.activation_max = stored.at(1);
  p.y_zero_point = add.p_zero_point = stored.at(2);
  add.p = {stored.at(5), stored.at(6)};
  add.residual = {stored.at(7), stored.at(8)};
  add.sum = {stored.at(9), stored.at(10)};
  add.residual_zero_point = stored.at(11);
}

// x of `next` is the result of `stage`.
void connect(const FusedStage& stage, FusedStage* next) {
  next->window.batches = stage.window.batches;
  next->window.in_rows = stage.window.out_rows;
  next->window.in_columns = stage.window.out_columns;
  next->window.in_channels = stage.window.out_channels;
  next->window.kernel_channels = stage.window.out_channels;
  next->window.x_zero_point = stage.finish.y_zero_point;
}

// The stage as stored behind the one before it; null key: there is none. Returns the last there is.
const FusedStage* add_stage(const FlexMap& options, const char* key, const FusedStage* before,
                            FusedStage* stage) {
  if (key == nullptr) return before;
  connect(*before, stage);
  set_options(split_device::integers_option(options, key), stage);
  split_kernels::set_out_extent(&stage->window);
  return stage;
}

FusedBlockParams block_of(api::Context* context, const api::OpNode* node, const FlexMap& options,
                          const OpData& data) {
  FusedBlockParams block;
  block.sums = makes_sums(options);
  block.tile_columns = split_device::integer_option(options, "tile_columns");
  block.window_columns = split_device::integer_option(options, "window_columns");
  block.expands = expands(options);
  FusedStage x;  // as if a stage had made it
  const api::EvalTensor* const tensor = input(context, node, 0);
  x.window.batches = dim(tensor, 0);
  x.window.out_rows = dim(tensor, 1), x.window.out_columns = dim(tensor, 2);
  x.window.out_channels = dim(tensor, 3);
  x.finish.y_zero_point = data.x_zero_point;
  const FusedStage* before = &x;
  if (is_chained(options)) {
    block.chained = true;
    block.first_expands = split_device::integers_option(options, "first_expand").size() != 0;
    before = add_stage(options, block.first_expands ? "first_expand" : nullptr, before,
                       &block.first_expand);
    before = add_stage(options, "first_depthwise", before, &block.first_depthwise);
    before = add_stage(options, "first_project", before, &block.first_project);
  }
  before = add_stage(options, block.expands ? "expand" : nullptr, before, &block.expand);
  add_stage(options, "depthwise", before, &block.depthwise);
  connect(block.depthwise, &block.project);
  block.project.window.out_channels = dim(output(context, node, 0), 3);
  split_kernels::set_out_extent(&block.project.window);
  block.project.finish = finish_of(options, data.y_zero_point);
  if (adds(options)) {
    set_add(split_device::integers_option(options, "add"), &block);
    if (is_in_x(context, node)) block.add.row_positions = dim(tensor, 2);
  }
  return block;
}

// ---- Checks ----

const char* check_residual(api::Context* context, const api::OpNode* node,
                           const FlexMap& options) {
  if (split_device::integers_option(options, "add").size() != kAddIntegers) {
    return "option 'add' has another number of elements";
  }
  const api::EvalTensor* const residual = optional_input(context, node, kResidual);
  const bool fits = has_shape(residual, kTfLiteInt8, 4) &&
                    (is_in_x(context, node) || is_like(residual, output(context, node, 0)));
  return fits ? nullptr : "what is added must be int8, shaped like y, or x";
}

// Stages that may be missing.
struct StageOption {
  const char* key;
  const char* problem;
};
constexpr StageOption kStageOptions[] = {
    {"first_expand", "option 'first_expand' has another number of elements"},
    {"first_depthwise", "option 'first_depthwise' has another number of elements"},
    {"first_project", "option 'first_project' has another number of elements"},
    {"expand", "option 'expand' has another number of elements"},
};

const char* check_tensors(api::Context* context, const api::OpNode* node,
                          const FlexMap& options) {
  if (const char* problem = check_operands(context, node, adds(options) ? 3 : 2)) return problem;
  if (!has_shape(input(context, node, 0), kTfLiteInt8, 4)) {
    return "x must be int8 with four dimensions";
  }
  if (!has_shape(output(context, node, 0), makes_sums(options) ? kTfLiteInt32 : kTfLiteInt8, 4)) {
    return "y must be int8, or int32 sums, with four dimensions";
  }
  if (is_chained(options) && split_device::integers_option(options, "first_project").size() == 0) {
    return "options of a first unit are missing";
  }
  for (const StageOption& option : kStageOptions) {
    const uint32_t integers = split_device::integers_option(options, option.key).size();
    if (integers != 0 && integers != kStageIntegers) return option.problem;
  }
  return adds(options) ? check_residual(context, node, options) : nullptr;
}

// ---- What an early RECV still brings ----

bool is_here(void* exchange, const void* begin, size_t size) {
  return static_cast<Exchange*>(exchange)->is_here(begin, size);
}

bool await(void* exchange, const void* begin, size_t size) {
  return static_cast<Exchange*>(exchange)->await(begin, size);
}

split_kernels::Arriving arriving(api::Context* context, const api::EvalTensor* x) {
  Exchange* const exchange = exchange_of(context);
  const auto size = static_cast<size_t>(elements(x));
  if (exchange == nullptr || exchange->is_here(x->data.data, size)) return {};
  return {exchange, is_here, await};
}

// ---- The operator ----

api::Status prepare(api::Context* context, api::OpNode* node) {
  OpData* const data = data_of(node);
  if (data == nullptr) return kTfLiteError;
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
  if (what == nullptr) {
    what = split_kernels::check_fused_block_constants(block, stored_constants(context, node));
  }
  if (what != nullptr) return refuse(context, kFusedBlockName, what);
  return request_scratch(context, split_kernels::fused_block_get_scratch_bytes(block), data);
}

api::Status invoke(api::Context* context, api::OpNode* node) {
  const OpData& data = *data_of(node);
  const FusedBlockParams block = block_of(context, node, checked_options(node), data);
  const int8_t* const residual =
      block.add.present ? bytes(input(context, node, kResidual)) : nullptr;
  const api::EvalTensor* const x = input(context, node, 0);
  const bool done = split_kernels::fused_block(
      block, bytes(x), residual, constants_of(context, node), scratch_of(context, data),
      output(context, node, 0)->data.data, arriving(context, x));
  return done ? kTfLiteOk : kTfLiteError;
}

}  // namespace

api::Registered* fused_block_registration() {
  static api::Registered registration =
      compute_registration(kFusedBlockName, prepare, invoke);
  return &registration;
}

}  // namespace split_tflm
