// SPDX-License-Identifier: Apache-2.0
// The C structs of TFLM as the wheel lays them out, with the fields that split_tflm reads.
#ifndef TFLM_WHEEL_C_COMMON_H_
#define TFLM_WHEEL_C_COMMON_H_

#include <cstddef>
#include <cstdint>

#include "tflm_wheel/api.h"

TFLM_WHEEL_BEGIN_C

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

enum TfLiteType {
  kTfLiteNoType = 0,
  kTfLiteFloat32 = 1,
  kTfLiteInt32 = 2,
  kTfLiteUInt8 = 3,
  kTfLiteInt64 = 4,
  kTfLiteString = 5,
  kTfLiteBool = 6,
  kTfLiteInt16 = 7,
  kTfLiteInt8 = 9,
  kTfLiteFloat16 = 10,
  kTfLiteFloat64 = 11,
  kTfLiteUInt32 = 16,
};

struct TfLiteIntArray {
  int size;
  int data[];
};

struct TfLiteQuantizationParams {
  float scale;
  int32_t zero_point;
};

union TfLitePtrUnion {
  void* data;
  int32_t* i32;
  int16_t* i16;
  int8_t* int8;
};

struct TfLiteTensor {
  void* quantization[2];
  TfLiteQuantizationParams params;
  TfLitePtrUnion data;
  TfLiteIntArray* dims;
  size_t bytes;
  TfLiteType type;
  int allocation_type;
  bool is_variable;
};
static_assert(sizeof(TfLiteTensor) == 64 && offsetof(TfLiteTensor, params) == 16 &&
              offsetof(TfLiteTensor, type) == 48, "as the wheel has it");

struct TfLiteEvalTensor {
  TfLitePtrUnion data;
  TfLiteIntArray* dims;
  TfLiteType type;
};
static_assert(sizeof(TfLiteEvalTensor) == 24, "as the wheel has it");

struct TfLiteNode {
  TfLiteIntArray* inputs;
  TfLiteIntArray* outputs;
  TfLiteIntArray* intermediates;
  void* user_data;
  void* builtin_data;
  const void* custom_initial_data;
  int custom_initial_data_size;
};
static_assert(sizeof(TfLiteNode) == 56, "as the wheel has it");

// What it consists of differs between releases; only GetMicroContext looks into it.
struct TfLiteContext {
  alignas(void*) unsigned char bytes[TFLM_WHEEL_CONTEXT_BYTES];
};

TFLM_WHEEL_END_C

#endif  // TFLM_WHEEL_C_COMMON_H_
