// SPDX-License-Identifier: Apache-2.0
// TFLSPLIT_PARTIAL_SUM under TFLM.
#include "compute_op.h"

namespace split_tflm {
namespace {

using split_kernels::PartialSumParams;

PartialSumParams params_of(const FlexMap& options, const api::EvalTensor* x, int32_t x_zero_point) {
  PartialSumParams params;
  params.x_zero_point = x_zero_point;
  set_summed(options, x, &params);
  return params;
}

bool is_short(const api::EvalTensor* y) { return y->type == kTfLiteInt16; }

const char* check_tensors(const api::OpNode* node, const api::EvalTensor* x,
                          const api::EvalTensor* y) {
  if (node->inputs->size != 1 || node->outputs->size != 1) {
    return "has a wrong number of operands or results";
  }
  if (x == nullptr || x->type != kTfLiteInt8) return "x must be int8";
  return y->type == kTfLiteInt32 || is_short(y) ? nullptr : "y must be int32 or int16";
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
  PartialSumParams params;
  if (!set_summed(options, x, &params)) {
    return refuse(context, kPartialSumName, Problem{"axes", "are no dimensions of x"});
  }
  *data = OpData{0, 0, -1};
  if (!input_zero_point(context, node, 0, &data->x_zero_point)) {
    return refuse(context, kPartialSumName, "the arena has no room to look at x");
  }
  params.x_zero_point = data->x_zero_point;
  const bool in_16_bits = is_short(output(context, node, 0));
  what = split_kernels::check_partial_sum(
      params, in_16_bits ? split_kernels::kMostShortSummed : split_kernels::kMostSummed);
  if (what == nullptr && elements(output(context, node, 0)) != params.outer * params.inner) {
    what = "y does not fit x";
  }
  return what != nullptr ? refuse(context, kPartialSumName, what) : kTfLiteOk;
}

api::Status invoke(api::Context* context, api::OpNode* node) {
  const api::EvalTensor* const x = input(context, node, 0);
  const PartialSumParams params = params_of(checked_options(node), x, data_of(node)->x_zero_point);
  api::EvalTensor* const y = output(context, node, 0);
  if (is_short(y)) {
    split_kernels::partial_sum(params, bytes(x), y->data.i16);
  } else {
    split_kernels::partial_sum(params, bytes(x), y->data.i32);
  }
  return kTfLiteOk;
}

}  // namespace

api::Registered* partial_sum_registration() {
  static api::Registered registration =
      compute_registration(kPartialSumName, prepare, invoke);
  return &registration;
}

}  // namespace split_tflm
