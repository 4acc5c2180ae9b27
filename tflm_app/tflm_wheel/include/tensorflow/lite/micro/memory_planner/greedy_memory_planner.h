// SPDX-License-Identifier: Apache-2.0
// The planner is room for what the wheel's constructor makes of it.
#ifndef TFLM_WHEEL_GREEDY_MEMORY_PLANNER_H_
#define TFLM_WHEEL_GREEDY_MEMORY_PLANNER_H_

#include "tensorflow/lite/micro/memory_planner/micro_memory_planner.h"

TFLM_WHEEL_BEGIN

class GreedyMemoryPlanner : public MicroMemoryPlanner {
 public:
  GreedyMemoryPlanner();
  ~GreedyMemoryPlanner() override;
  TfLiteStatus AddBuffer(int size, int first_time_used, int last_time_used) override;
  TfLiteStatus AddBuffer(int size, int first_time_used, int last_time_used,
                         int offline_offset) override;
  size_t GetMaximumMemorySize() override;
  int GetBufferCount() override;
  TfLiteStatus GetOffsetForBuffer(int buffer_index, int* offset) override;
  TfLiteStatus Init(unsigned char* scratch_buffer, int scratch_buffer_size) override;
  bool preserves_all_tensors() const override;
  void PrintMemoryPlan() override;

 private:
  alignas(void*) unsigned char bytes_[128];  // 64 in the releases that were looked at
};

TFLM_WHEEL_END

#endif  // TFLM_WHEEL_GREEDY_MEMORY_PLANNER_H_
