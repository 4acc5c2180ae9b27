// SPDX-License-Identifier: Apache-2.0
// The interpreter is room for what the wheel's constructor makes of it.
#ifndef TFLM_WHEEL_MICRO_INTERPRETER_H_
#define TFLM_WHEEL_MICRO_INTERPRETER_H_

#include <cstring>

#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/micro_allocator.h"
#include "tensorflow/lite/micro/micro_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

TFLM_WHEEL_BEGIN

class MicroProfilerInterface;
class MicroResourceVariables;

class MicroInterpreter {
 public:
  MicroInterpreter(const Model* model, const MicroOpResolver& resolver, uint8_t* arena,
                   size_t arena_bytes, MicroResourceVariables* resources = nullptr,
                   MicroProfilerInterface* profiler = nullptr, bool preserve_all_tensors = false);
  MicroInterpreter(const Model* model, const MicroOpResolver& resolver, MicroAllocator* allocator,
                   MicroResourceVariables* resources = nullptr,
                   MicroProfilerInterface* profiler = nullptr);
  ~MicroInterpreter();

  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  TfLiteStatus SetMicroExternalContext(void* payload);
  TfLiteTensor* input(size_t index);
  TfLiteTensor* output(size_t index);

  size_t inputs_size() const { return graph()->inputs()->size(); }
  size_t outputs_size() const { return graph()->outputs()->size(); }
  size_t arena_used_bytes() const {
    return at<const MicroAllocator*>(TFLM_WHEEL_INTERPRETER_ALLOCATOR)->used_bytes();
  }

 private:
  template <typename Pointer>
  Pointer at(size_t offset) const {
    Pointer found;
    std::memcpy(&found, bytes_ + offset, sizeof found);
    return found;
  }
  const SubGraph* graph() const { return at<const Model*>(0)->subgraphs()->Get(0); }

  alignas(void*) unsigned char bytes_[TFLM_WHEEL_INTERPRETER_BYTES];
};

TFLM_WHEEL_END

#endif  // TFLM_WHEEL_MICRO_INTERPRETER_H_
