// SPDX-License-Identifier: Apache-2.0
// ADD of int8 values: what ends a residual block.
#ifndef SPLIT_KERNELS_SRC_ADD_H_
#define SPLIT_KERNELS_SRC_ADD_H_

#include <cstdint>

#include "split_kernels/params.h"

namespace split_kernels {

// y = p + residual, value by value in ascending order: y may lie over either of them, or below it.
void add_residual(const ResidualAdd& add, const int8_t* p, const int8_t* residual, int32_t count,
                  int8_t* y);

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_SRC_ADD_H_
