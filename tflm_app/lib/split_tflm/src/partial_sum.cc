// SPDX-License-Identifier: Apache-2.0
// TFLSPLIT_PARTIAL_SUM under TFLM.
#include "compute_op.h"

namespace split_tflm {
namespace {

using split_kernels::PartialSumParams;

// The dimensions [first, stop) are added up; false if there are no such.
bool axes_of(const FlexMap& options, const api::EvalTensor* x, int32_t* first, int32_t* stop) {
  const split_device::IntVector axes = split_device::integers_option(options, "axes");
  *first = static_cast<int32_t>(axes.at(0));
  *stop = static_cast<int32_t>(axes.at(1));
  return *first < *stop && *stop <= rank(x);
}

// 0 where it leaves int32, which the check refuses.
int32_t extent(const api::EvalTensor* x, int32_t first, int32_t stop) {
  int64_t product = 1;
  for (int32_t axis = first; axis < stop; ++axis) {
    product *= dim(x, axis);
    if (product > INT32_MAX || product < 0) return 0;
  }
  return static_cast<int32_t>(product);
}

PartialSumParams params_of(const api::EvalTensor* x, int32_t first, int32_t stop,
                           int32_t x_zero_point) {
  PartialSumParams params;
  params.outer = extent(x, 0, first);
  params.summed = extent(x, first, stop);
  params.inner = extent(x, stop, rank(x));
  params.x_zero_point = x_zero_point;
  return params;
}

const char* check_tensors(const api::OpNode* node, const api::EvalTensor* x,
                          const api::EvalTensor* y) {
  if (node->inputs->size != 1 || node->outputs->size != 1) {
    return "has a wrong number of operands or results";
  }
  if (x == nullptr || x->type != kTfLiteInt8) return "x must be int8";
  return y->type == kTfLiteInt32 ? nullptr : "y must be int32";
}

api::Status prepare(api::Context* context, api::OpNode* node) {
  OpData* const data = data_of(node);
  if (data == nullptr) return kTfLiteError;
  FlexMap options;
  const Problem problem = open_and_check(node, split_device::kPartialSumOptions, &options);
  if (problem.found()) return refuse(context, kPartialSumName, problem);
  const api::EvalTensor* const x = optional_input(context, node, 0);
  const char* what = check_tensors(node, x, output(context, node, 0));
  if (what != nullptr) return refuse(context, kPartialSumName, what);
  int32_t first = 0, stop = 0;
  if (!axes_of(options, x, &first, &stop)) {
    return refuse(context, kPartialSumName, Problem{"axes", "are no dimensions of x"});
  }
  *data = OpData{0, 0, -1};
  if (!input_zero_point(context, node, 0, &data->x_zero_point)) {
    return refuse(context, kPartialSumName, "the arena has no room to look at x");
  }
  const PartialSumParams params = params_of(x, first, stop, data->x_zero_point);
  what = split_kernels::check_partial_sum(params);
  if (what == nullptr && elements(output(context, node, 0)) != params.outer * params.inner) {
    what = "y does not fit x";
  }
  return what != nullptr ? refuse(context, kPartialSumName, what) : kTfLiteOk;
}

api::Status invoke(api::Context* context, api::OpNode* node) {
  const api::EvalTensor* const x = input(context, node, 0);
  int32_t first = 0, stop = 0;
  axes_of(checked_options(node), x, &first, &stop);
  split_kernels::partial_sum(params_of(x, first, stop, data_of(node)->x_zero_point), bytes(x),
                             output(context, node, 0)->data.i32);
  return kTfLiteOk;
}

}  // namespace

api::Registration* partial_sum_registration() {
  static api::Registration registration = compute_registration(prepare, invoke);
  return &registration;
}

}  // namespace split_tflm
