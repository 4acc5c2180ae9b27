// SPDX-License-Identifier: Apache-2.0
#include "op_support.h"

namespace split_tflm {

api::Status refuse(api::Context* context, const char* op, const Problem& problem) {
  Exchange* const exchange = exchange_of(context);
  if (exchange != nullptr) exchange->refuse(op, problem.key, problem.text);
  return kTfLiteError;
}

uint8_t item_bytes(TfLiteType type) {
  switch (type) {
    case kTfLiteInt8:
    case kTfLiteUInt8:
    case kTfLiteBool: return 1;
    case kTfLiteInt16:
    case kTfLiteFloat16: return 2;
    case kTfLiteInt32:
    case kTfLiteUInt32:
    case kTfLiteFloat32: return 4;
    case kTfLiteInt64:
    case kTfLiteFloat64: return 8;
    default: return 0;
  }
}

TensorView view_of(const api::EvalTensor* tensor) {
  TensorView view;
  view.name = tensor;
  view.data = static_cast<uint8_t*>(tensor->data.data);
  view.dims = reinterpret_cast<const int32_t*>(tensor->dims->data);
  view.rank = static_cast<uint32_t>(tensor->dims->size);
  view.item_bytes = item_bytes(tensor->type);
  return view;
}

int32_t elements(const api::EvalTensor* tensor) {
  int32_t count = 1;
  for (int axis = 0; axis < rank(tensor); ++axis) count *= dim(tensor, axis);
  return count;
}

const api::EvalTensor* optional_input(const api::Context* context, const api::OpNode* node,
                                      int index) {
  if (index >= node->inputs->size || node->inputs->data[index] < 0) return nullptr;
  return input(context, node, index);
}

namespace {

bool take_zero_point(api::Context* context, api::Tensor* tensor, int32_t* value) {
  if (tensor == nullptr) return false;
  *value = tensor->params.zero_point;
  api::GetMicroContext(context)->DeallocateTempTfLiteTensor(tensor);
  return true;
}

}  // namespace

bool input_zero_point(api::Context* context, const api::OpNode* node, int index, int32_t* value) {
  return take_zero_point(
      context, api::GetMicroContext(context)->AllocateTempInputTensor(node, index), value);
}

bool output_zero_point(api::Context* context, const api::OpNode* node, int index, int32_t* value) {
  return take_zero_point(
      context, api::GetMicroContext(context)->AllocateTempOutputTensor(node, index), value);
}

}  // namespace split_tflm
