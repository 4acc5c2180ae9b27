// SPDX-License-Identifier: Apache-2.0
// Sums of int8 values over positions: partial sums, means, pools.
#ifndef SPLIT_KERNELS_SRC_SUMS_H_
#define SPLIT_KERNELS_SRC_SUMS_H_

#include <cstdint>

namespace split_kernels {

// Adds the stored values of `channels` channels of positions that are `stride` bytes apart to `sums`.
void add_positions(const int8_t* x, int32_t positions, int32_t stride, int32_t channels, int32_t* sums);

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_SRC_SUMS_H_
