// SPDX-License-Identifier: Apache-2.0
// What the operators share: tensors as split_device sees them, options, refusals.
#ifndef SPLIT_TFLM_OP_SUPPORT_H_
#define SPLIT_TFLM_OP_SUPPORT_H_

#include "split_device/transfer.h"
#include "split_tflm/registrations.h"

namespace split_tflm {

using split_device::Exchange;
using split_device::FlexMap;
using split_device::OptionTable;
using split_device::Problem;
using split_device::TensorView;

// A custom operator's options lie in the model; TFLM keeps where (custom_initial_data), so that no
// operator needs memory of its own for them.
inline Problem open_and_check(const api::OpNode* node, const OptionTable& table, FlexMap* map) {
  return split_device::open_options(node->custom_initial_data,
                                    static_cast<size_t>(node->custom_initial_data_size), table,
                                    map);
}
// The same when Prepare has checked them.
inline FlexMap checked_options(const api::OpNode* node) {
  FlexMap map;
  FlexMap::open(node->custom_initial_data, static_cast<size_t>(node->custom_initial_data_size),
                &map);
  return map;
}

using Function = api::Status (*)(api::Context*, api::OpNode*);
inline constexpr api::Registration registration_of(const char* name, Function prepare,
                                                  Function invoke) {
  api::Registration result{};
  result.prepare = prepare;
  result.invoke = invoke;
  result.builtin_code = api::BuiltinOperator_CUSTOM;
  result.custom_name = name;
  return result;
}

inline Exchange* exchange_of(api::Context* context) {
  return static_cast<Exchange*>(api::GetMicroContext(context)->external_context());
}

// Says which operator is refused and why; the status to return.
api::Status refuse(api::Context* context, const char* op, const Problem& problem);
inline api::Status refuse(api::Context* context, const char* op, const char* what) {
  return refuse(context, op, Problem{nullptr, what});
}

// 0 for a dtype without a fixed size.
uint8_t item_bytes(TfLiteType type);
TensorView view_of(const api::EvalTensor* tensor);
inline int32_t dim(const api::EvalTensor* tensor, int index) { return tensor->dims->data[index]; }
inline int rank(const api::EvalTensor* tensor) { return tensor->dims->size; }
int32_t elements(const api::EvalTensor* tensor);

inline const api::EvalTensor* input(const api::Context* context, const api::OpNode* node,
                                    int index) {
  return api::GetEvalInput(context, node, index);
}
inline api::EvalTensor* output(const api::Context* context, const api::OpNode* node, int index) {
  return api::GetEvalOutput(context, node, index);
}
// Null for an operand that is left out.
const api::EvalTensor* optional_input(const api::Context* context, const api::OpNode* node,
                                      int index);

// Zero points live in TfLiteTensors, which only Prepare can make.
bool input_zero_point(api::Context* context, const api::OpNode* node, int index, int32_t* value);
bool output_zero_point(api::Context* context, const api::OpNode* node, int index, int32_t* value);

}  // namespace split_tflm

#endif  // SPLIT_TFLM_OP_SUPPORT_H_
