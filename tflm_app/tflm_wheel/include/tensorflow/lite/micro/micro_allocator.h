// SPDX-License-Identifier: Apache-2.0
#ifndef TFLM_WHEEL_MICRO_ALLOCATOR_H_
#define TFLM_WHEEL_MICRO_ALLOCATOR_H_

#include "tensorflow/lite/c/common.h"

TFLM_WHEEL_BEGIN

class MicroMemoryPlanner;

class MicroAllocator {
 public:
  static MicroAllocator* Create(uint8_t* arena, size_t arena_bytes, MicroMemoryPlanner* planner);
  size_t used_bytes() const;
};

TFLM_WHEEL_END

#endif  // TFLM_WHEEL_MICRO_ALLOCATOR_H_
