// SPDX-License-Identifier: Apache-2.0
// The order of these functions is that of TFLM's (checked: tflsplit.emulate.wheel_check).
#ifndef TFLM_WHEEL_MICRO_MEMORY_PLANNER_H_
#define TFLM_WHEEL_MICRO_MEMORY_PLANNER_H_

#include "tensorflow/lite/c/common.h"

TFLM_WHEEL_BEGIN

class MicroMemoryPlanner {
 public:
  MicroMemoryPlanner() {}
  virtual ~MicroMemoryPlanner() {}
  virtual TfLiteStatus AddBuffer(int size, int first_time_used, int last_time_used) = 0;
  virtual TfLiteStatus AddBuffer(int size, int first_time_used, int last_time_used,
                                 int offline_offset) = 0;
  virtual size_t GetMaximumMemorySize() = 0;
  virtual int GetBufferCount() = 0;
  virtual TfLiteStatus GetOffsetForBuffer(int buffer_index, int* offset) = 0;
  virtual TfLiteStatus Init(unsigned char* scratch_buffer, int scratch_buffer_size) = 0;
  virtual bool preserves_all_tensors() const = 0;
  virtual void PrintMemoryPlan() = 0;
};

TFLM_WHEEL_END

#endif  // TFLM_WHEEL_MICRO_MEMORY_PLANNER_H_
