// SPDX-License-Identifier: Apache-2.0
// How an operator is registered.
#ifndef TFLM_WHEEL_MICRO_COMMON_H_
#define TFLM_WHEEL_MICRO_COMMON_H_

#include "tensorflow/lite/c/common.h"

TFLM_WHEEL_BEGIN_C

struct TFLMRegistration {
  void* (*init)(TfLiteContext*, const char* options, size_t bytes);
  void (*free)(TfLiteContext*, void* user_data);
  TfLiteStatus (*prepare)(TfLiteContext*, TfLiteNode*);
  TfLiteStatus (*invoke)(TfLiteContext*, TfLiteNode*);
  void (*reset)(TfLiteContext*, void* user_data);
  int32_t builtin_code;
  const char* custom_name;
};
static_assert(sizeof(TFLMRegistration) == 56, "as the wheel has it");

TFLM_WHEEL_END_C

#endif  // TFLM_WHEEL_MICRO_COMMON_H_
