// SPDX-License-Identifier: Apache-2.0
// The inner loops of the MVE schedule that are written in assembly (mve_asm.cc).
#ifndef SPLIT_KERNELS_SRC_MVE_ASM_H_
#define SPLIT_KERNELS_SRC_MVE_ASM_H_

#include <cstdint>

extern "C" {

// `pairs` pairs of channels of P positions: y[p * position_step + c * channel_step]. x and weights are
// read in blocks of sixteen products, `more_blocks` and one: what x has there behind its products is 0,
// and the last `over` bytes of weights that are read belong to what follows.
typedef void SplitKernelsMveMultiply(const int8_t* x, const int8_t* weights, const void* records,
                                     void* y, int32_t position_step, int32_t channel_step,
                                     int32_t pairs, int32_t more_blocks, int32_t over);

// once, twice: the rounding. bytes: any steps; halves: channel_step is 1, y and position_step are
// even. sums: y is int32, steps are bytes.
#define SPLIT_KERNELS_POSITIONS(name)                                              \
  SplitKernelsMveMultiply split_kernels_mve_##name##_1, split_kernels_mve_##name##_2, \
      split_kernels_mve_##name##_3, split_kernels_mve_##name##_4
SPLIT_KERNELS_POSITIONS(once_bytes);
SPLIT_KERNELS_POSITIONS(once_halves);
SPLIT_KERNELS_POSITIONS(twice_bytes);
SPLIT_KERNELS_POSITIONS(twice_halves);
SPLIT_KERNELS_POSITIONS(sums);
#undef SPLIT_KERNELS_POSITIONS

// One row of `channels` channels by a 3x3 kernel: constants as packed taps, planes with three rows side
// by side. tap_offsets: of the weights of a channel that belong to the sixteen bytes from a column on,
// and of those that belong to them for the next column. Columns are made in fours, then `rest`.
typedef void SplitKernelsMveDepthwise(const int8_t* planes, const int8_t* constants, int8_t* y,
                                      int32_t step, int32_t plane_bytes, int32_t channels,
                                      int32_t fours, int32_t rest, const uint8_t tap_offsets[32]);
SplitKernelsMveDepthwise split_kernels_mve_depthwise_once_1, split_kernels_mve_depthwise_once_2,
    split_kernels_mve_depthwise_twice_1, split_kernels_mve_depthwise_twice_2;
}

#endif  // SPLIT_KERNELS_SRC_MVE_ASM_H_
