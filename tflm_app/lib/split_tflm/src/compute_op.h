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

using Function = api::Status (*)(api::Context*, api::OpNode*);
// A registration whose operator keeps an OpData.
api::Registration compute_registration(Function prepare, Function invoke);

api::Status request_scratch(api::Context* context, size_t bytes, OpData* data);
void* scratch_of(api::Context* context, const OpData& data);

// False for a tensor that is left out.
inline bool has_shape(const api::EvalTensor* tensor, TfLiteType type, int dims) {
  return tensor != nullptr && tensor->type == type && rank(tensor) == dims;
}
inline const int32_t* words(const api::EvalTensor* tensor) {
  return tensor == nullptr ? nullptr : static_cast<const int32_t*>(tensor->data.data);
}
inline const int8_t* bytes(const api::EvalTensor* tensor) {
  return static_cast<const int8_t*>(tensor->data.data);
}

// Operands from `first` on: bias (or none), multiplier, shift. The checks return null, or what is
// wrong.
void set_tables(api::Context* context, const api::OpNode* node, int first,
                split_kernels::Requantization* q);
const char* check_tables(api::Context* context, const api::OpNode* node, int first,
                         int32_t channels);
// The same with the option "activation".
split_kernels::Requantization requantization_of(api::Context* context, const api::OpNode* node,
                                                int first, const FlexMap& options,
                                                int32_t y_zero_point);

}  // namespace split_tflm

#endif  // SPLIT_TFLM_COMPUTE_OP_H_
