// SPDX-License-Identifier: Apache-2.0
// From x to widened windows: what a matrix product needs of up to four positions of a convolution.
#ifndef SPLIT_KERNELS_SRC_GATHER_H_
#define SPLIT_KERNELS_SRC_GATHER_H_

#include "schedule.h"

namespace split_kernels {

// Widens the windows of `positions` results from (row, column) of one batch and group on. Coordinates
// are those of the whole result; x is a whole batch. `gathered`: gathered_bytes(), unless is_dense();
// `doubled`: see widen().
void widen_windows(const WindowParams& window, const int8_t* x, int32_t group, int32_t row,
                   int32_t column, int32_t positions, bool doubled, int8_t* gathered, int16_t* to);

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_SRC_GATHER_H_
