// SPDX-License-Identifier: Apache-2.0
// The compute operators: split_kernels under TFLM. Prepare checks everything and keeps what TFLM
// only tells there (zero points, the scratch buffer's number); Invoke reads the rest from options
// and shapes again, which costs some microseconds and saves a hundred bytes of arena an operator.
#include "op_support.h"
#include "split_kernels/kernels.h"

namespace split_tflm {
namespace {

using split_device::IntVector;
using split_kernels::FullyConnectedParams;
using split_kernels::Requantization;
using split_kernels::WindowParams;

// rewriter/tflsplit/memory/custom.py counts with this.
struct OpData {
  int32_t x_zero_point;
  int32_t y_zero_point;
  int32_t scratch;  // number of the scratch buffer; -1: none
};
static_assert(sizeof(OpData) == 12, "the budget in memory/custom.py");

void* init(api::Context* context, const char*, size_t) {
  return context->AllocatePersistentBuffer(context, sizeof(OpData));
}

OpData* data_of(const api::OpNode* node) { return static_cast<OpData*>(node->user_data); }

bool has_shape(const api::EvalTensor* tensor, TfLiteType type, int dims) {
  return tensor->type == type && rank(tensor) == dims;
}

const int32_t* words(const api::EvalTensor* tensor) {
  return tensor == nullptr ? nullptr : static_cast<const int32_t*>(tensor->data.data);
}

const int8_t* bytes(const api::EvalTensor* tensor) {
  return static_cast<const int8_t*>(tensor->data.data);
}

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

// The tables follow operand `first`: bias (or none), multiplier, shift.
Requantization requantization_of(api::Context* context, const api::OpNode* node, int first,
                                 const FlexMap& options, int32_t y_zero_point) {
  const IntVector activation = split_device::integers_option(options, "activation");
  Requantization q;
  q.bias = words(optional_input(context, node, first));
  q.multiplier = words(input(context, node, first + 1));
  q.shift = words(input(context, node, first + 2));
  q.y_zero_point = y_zero_point;
  q.activation_min = activation.at(0);
  q.activation_max = activation.at(1);
  return q;
}

// ---- Checks ----

const char* check_table(const api::EvalTensor* table, int32_t channels, const char* what) {
  if (table == nullptr) return nullptr;
  const bool fits = has_shape(table, kTfLiteInt32, 1) && dim(table, 0) == channels &&
                    table->data.data != nullptr;
  return fits ? nullptr : what;
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
  if (scratch == 0) return kTfLiteOk;
  int number = -1;
  const api::Status status = context->RequestScratchBufferInArena(context, scratch, &number);
  data->scratch = number;
  return status;
}

void* scratch_of(api::Context* context, const OpData& data) {
  return data.scratch < 0 ? nullptr : context->GetScratchBuffer(context, data.scratch);
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

// ---- PARTIAL_FULLY_CONNECTED ----

FullyConnectedParams fully_connected_of(const api::EvalTensor* x, const api::EvalTensor* weights,
                                        int32_t x_zero_point) {
  FullyConnectedParams params;
  params.in_channels = dim(x, rank(x) - 1);
  params.batches = params.in_channels == 0 ? 0 : elements(x) / params.in_channels;
  params.out_channels = dim(weights, 0);
  params.x_zero_point = x_zero_point;
  return params;
}

const char* check_fully_connected_tensors(api::Context* context, const api::OpNode* node) {
  if (node->inputs->size != 2 || node->outputs->size != 1) {
    return "has a wrong number of operands or results";
  }
  const api::EvalTensor* const x = input(context, node, 0);
  const api::EvalTensor* const weights = input(context, node, 1);
  const api::EvalTensor* const y = output(context, node, 0);
  if (x->type != kTfLiteInt8 || rank(x) < 1) return "x must be int8 with one dimension or more";
  if (!has_shape(weights, kTfLiteInt8, 2)) return "weights must be int8 with two dimensions";
  if (y->type != kTfLiteInt32 || rank(y) < 1) return "y must be int32 with one dimension or more";
  if (dim(weights, 1) != dim(x, rank(x) - 1)) return "x and weights differ in their input channels";
  const int32_t batches = elements(x) / (dim(weights, 1) > 0 ? dim(weights, 1) : 1);
  if (dim(y, rank(y) - 1) != dim(weights, 0) || elements(y) != batches * dim(weights, 0)) {
    return "y does not fit x and weights";
  }
  return nullptr;
}

api::Status prepare_partial_fully_connected(api::Context* context, api::OpNode* node) {
  constexpr const char* kName = kPartialFullyConnectedName;
  OpData* const data = data_of(node);
  if (exchange_of(context) == nullptr || data == nullptr) return kTfLiteError;
  FlexMap options;
  const Problem problem = open_and_check(node, split_device::kNoOptions, &options);
  if (problem.found()) return refuse(context, kName, problem);
  const char* what = check_fully_connected_tensors(context, node);
  if (what != nullptr) return refuse(context, kName, what);
  *data = OpData{0, 0, -1};
  if (!input_zero_point(context, node, 0, &data->x_zero_point)) {
    return refuse(context, kName, "the arena has no room to look at x");
  }
  what = split_kernels::check_fully_connected(fully_connected_of(
      input(context, node, 0), input(context, node, 1), data->x_zero_point));
  return what != nullptr ? refuse(context, kName, what) : kTfLiteOk;
}

api::Status invoke_partial_fully_connected(api::Context* context, api::OpNode* node) {
  const api::EvalTensor* const x = input(context, node, 0);
  const api::EvalTensor* const weights = input(context, node, 1);
  split_kernels::partial_fully_connected(
      fully_connected_of(x, weights, data_of(node)->x_zero_point), bytes(x), bytes(weights),
      output(context, node, 0)->data.i32);
  return kTfLiteOk;
}

// ---- REQUANTIZE ----

const char* check_requantize_tensors(api::Context* context, const api::OpNode* node) {
  if (node->inputs->size != 4 || node->outputs->size != 1) {
    return "has a wrong number of operands or results";
  }
  const api::EvalTensor* const sums = input(context, node, 0);
  const api::EvalTensor* const y = output(context, node, 0);
  if (sums->type != kTfLiteInt32 || rank(sums) < 1) {
    return "sums must be int32 with one dimension or more";
  }
  if (y->type != kTfLiteInt8 || rank(y) != rank(sums)) return "y must be int8, shaped like sums";
  for (int axis = 0; axis < rank(sums); ++axis) {
    if (dim(sums, axis) != dim(y, axis) || dim(y, axis) < 1) {
      return "y must be int8, shaped like sums";
    }
  }
  return check_tables(context, node, 1, dim(sums, rank(sums) - 1));
}

api::Status prepare_requantize(api::Context* context, api::OpNode* node) {
  OpData* const data = data_of(node);
  if (exchange_of(context) == nullptr || data == nullptr) return kTfLiteError;
  FlexMap options;
  const Problem problem = open_and_check(node, split_device::kActivationOptions, &options);
  if (problem.found()) return refuse(context, kRequantizeName, problem);
  const char* what = check_requantize_tensors(context, node);
  if (what != nullptr) return refuse(context, kRequantizeName, what);
  *data = OpData{0, 0, -1};
  if (!output_zero_point(context, node, 0, &data->y_zero_point)) {
    return refuse(context, kRequantizeName, "the arena has no room to look at y");
  }
  const api::EvalTensor* const sums = input(context, node, 0);
  what = split_kernels::check_requantization(
      requantization_of(context, node, 1, options, data->y_zero_point),
      dim(sums, rank(sums) - 1));
  return what != nullptr ? refuse(context, kRequantizeName, what) : kTfLiteOk;
}

api::Status invoke_requantize(api::Context* context, api::OpNode* node) {
  const api::EvalTensor* const sums = input(context, node, 0);
  const int32_t channels = dim(sums, rank(sums) - 1);
  const Requantization q =
      requantization_of(context, node, 1, checked_options(node), data_of(node)->y_zero_point);
  split_kernels::requantize(q, elements(sums) / channels, channels, words(sums),
                            output(context, node, 0)->data.int8);
  return kTfLiteOk;
}

using Function = api::Status (*)(api::Context*, api::OpNode*);

api::Registration make(Function prepare, Function invoke) {
  api::Registration result{};
  result.init = init;
  result.prepare = prepare;
  result.invoke = invoke;
  return result;
}

}  // namespace

const api::Registration* conv_2d_registration() {
  static api::Registration registration = make(prepare_conv, invoke_conv);
  return &registration;
}
const api::Registration* depthwise_conv_2d_registration() {
  static api::Registration registration = make(prepare_depthwise, invoke_depthwise);
  return &registration;
}
const api::Registration* partial_conv_2d_registration() {
  static api::Registration registration = make(prepare_partial_conv, invoke_partial_conv);
  return &registration;
}
const api::Registration* partial_fully_connected_registration() {
  static api::Registration registration =
      make(prepare_partial_fully_connected, invoke_partial_fully_connected);
  return &registration;
}
const api::Registration* requantize_registration() {
  static api::Registration registration = make(prepare_requantize, invoke_requantize);
  return &registration;
}

}  // namespace split_tflm
