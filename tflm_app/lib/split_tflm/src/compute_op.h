// SPDX-License-Identifier: Apache-2.0
// What the compute operators share: Prepare checks everything and keeps what TFLM only tells there
// (zero points, the scratch buffer's number); Invoke reads the rest from options and shapes again,
// which costs some microseconds and saves a hundred bytes of arena an operator.
#ifndef SPLIT_TFLM_COMPUTE_OP_H_
#define SPLIT_TFLM_COMPUTE_OP_H_

#include "op_support.h"
#include "split_kernels/kernels.h"

namespace split_tflm {

// rewriter/tflsplit/memory/custom.py counts with this.
struct OpData {
  int32_t x_zero_point;
  int32_t y_zero_point;
  int32_t scratch;  // number of the scratch buffer; -1: none
};
static_assert(sizeof(OpData) == 12, "the budget in memory/custom.py");

inline OpData* data_of(const api::OpNode* node) { return static_cast<OpData*>(node->user_data); }

// The registration of an operator that keeps an OpData.
void* init_op_data(api::Context* context, const char*, size_t);
inline constexpr api::Registration compute_registration(const char* name, Function prepare,
                                                       Function invoke) {
  api::Registration result = registration_of(name, prepare, invoke);
  result.init = init_op_data;
  return result;
}

api::Status request_scratch(api::Context* context, size_t bytes, OpData* data);
void* scratch_of(api::Context* context, const OpData& data);

// False for a tensor that is left out.
inline bool has_shape(const api::EvalTensor* tensor, TfLiteType type, int dims) {
  return tensor != nullptr && tensor->type == type && rank(tensor) == dims;
}
inline const int8_t* bytes(const api::EvalTensor* tensor) {
  return static_cast<const int8_t*>(tensor->data.data);
}

// Operand 1, packed; the check returns null, or what is wrong. `optional_input`: it may be missing.
inline const void* constants_of(const api::Context* context, const api::OpNode* node) {
  return input(context, node, 1)->data.data;
}
split_kernels::Constants stored_constants(api::Context* context, const api::OpNode* node);
const char* check_operands(api::Context* context, const api::OpNode* node, int operands = 2);

// Of a map of four dimensions: null, or what is wrong.
const char* check_result(const api::EvalTensor* y, const split_kernels::WindowParams& p);

// From options "activation" and "rounding".
split_kernels::Finish finish_of(const FlexMap& options, int32_t y_zero_point);

// Extents of sums over the dimensions that option "axes" names; false if x has no such.
bool set_summed(const FlexMap& options, const api::EvalTensor* x, split_kernels::PartialSumParams* params);

}  // namespace split_tflm

#endif  // SPLIT_TFLM_COMPUTE_OP_H_
