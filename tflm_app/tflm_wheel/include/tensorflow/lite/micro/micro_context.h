// SPDX-License-Identifier: Apache-2.0
// What operators ask of the interpreter. The order of the virtual functions is the wheel's, which
// wheel_check.py reads from its relocations; those that come after them are not called here.
#ifndef TFLM_WHEEL_MICRO_CONTEXT_H_
#define TFLM_WHEEL_MICRO_CONTEXT_H_

#include <cstring>

#include "tensorflow/lite/c/common.h"

TFLM_WHEEL_BEGIN

class MicroContext {
 public:
  virtual ~MicroContext() = default;
  virtual void* AllocatePersistentBuffer(size_t bytes) = 0;
  virtual TfLiteStatus RequestScratchBufferInArena(size_t bytes, int* number) = 0;
  virtual void* GetScratchBuffer(int number) = 0;
  virtual TfLiteTensor* AllocateTempTfLiteTensor(int tensor) = 0;
  virtual void DeallocateTempTfLiteTensor(TfLiteTensor* tensor) = 0;
  virtual uint8_t* AllocateTempBuffer(size_t bytes, size_t alignment) = 0;
  virtual void DeallocateTempBuffer(uint8_t* buffer) = 0;
  virtual TfLiteEvalTensor* GetEvalTensor(int tensor) = 0;
  virtual TfLiteStatus set_external_context(void* payload) = 0;
  virtual void* external_context() = 0;

  TfLiteTensor* AllocateTempInputTensor(const TfLiteNode* node, int index);
  TfLiteTensor* AllocateTempOutputTensor(const TfLiteNode* node, int index);
};

inline MicroContext* GetMicroContext(const TfLiteContext* context) {
  MicroContext* found;
  std::memcpy(&found, context->bytes + TFLM_WHEEL_CONTEXT_IMPL, sizeof found);
  return found;
}

TFLM_WHEEL_END

#endif  // TFLM_WHEEL_MICRO_CONTEXT_H_
