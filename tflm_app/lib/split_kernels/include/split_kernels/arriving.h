// SPDX-License-Identifier: Apache-2.0
// Operands that other devices still send while a kernel works on what is there.
#ifndef SPLIT_KERNELS_ARRIVING_H_
#define SPLIT_KERNELS_ARRIVING_H_

#include <cstddef>

namespace split_kernels {

// Asked before bytes of x are read for the first time. Without functions all of x is there.
struct Arriving {
  void* context = nullptr;
  // Whether these bytes are there; what is there stays so.
  bool (*is_here)(void* context, const void* begin, size_t bytes) = nullptr;
  // Until they are; false: they will not come, and the kernel ends without a result.
  bool (*wait)(void* context, const void* begin, size_t bytes) = nullptr;

  bool here(const void* begin, size_t bytes) const {
    return is_here == nullptr || is_here(context, begin, bytes);
  }
  bool await(const void* begin, size_t bytes) const {
    return wait == nullptr || wait(context, begin, bytes);
  }
};

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_ARRIVING_H_
