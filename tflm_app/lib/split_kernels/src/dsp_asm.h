// SPDX-License-Identifier: Apache-2.0
// The inner loops of the DSP schedule that are written in assembly (dsp_asm.cc): they need all
// fourteen registers, and GCC keeps some of their values in memory.
#ifndef SPLIT_KERNELS_SRC_DSP_ASM_H_
#define SPLIT_KERNELS_SRC_DSP_ASM_H_

#include <cstdint>

extern "C" {

// Pairs of channels, up to records_end, of P widened positions (schedule.h): y[p * position_step +
// c * channel_step], int8. x ends at x_end; values of x are doubled, so that sums are, but for four
// positions in rows that are not narrow. A pair takes products / 2 steps, the first by itself, the others in a loop of
// kSplitKernelsSteps(P) of which the first round leaves out `steps_out`, 1 or more.
constexpr int32_t kSplitKernelsSteps(int32_t positions, bool wide_rows = false) {
  return positions < 4 ? 4 : wide_rows ? 16 : 8;
}
typedef void SplitKernelsMultiply(const int16_t* x, const int8_t* weights, const void* records,
                                  int8_t* y, int32_t position_step, int32_t channel_step,
                                  const void* records_end, const int16_t* x_end,
                                  int32_t steps_out);
// The same as int32 sums of values that are not doubled: y[p * position_step + c].
typedef void SplitKernelsMultiplySums(const int16_t* x, const int8_t* weights, const void* records,
                                      int32_t* y, int32_t position_step_bytes, int32_t,
                                      const void* records_end, const int16_t* x_end,
                                      int32_t steps_out);

// once, twice: the rounding; what twice does is right for both. rows: channel_step is 1; planes: position_step is 1.
#define SPLIT_KERNELS_POSITIONS(name, type)                                             \
  type split_kernels_##name##_1, split_kernels_##name##_2, split_kernels_##name##_3,    \
      split_kernels_##name##_4
SplitKernelsMultiply split_kernels_once_rows_4, split_kernels_once_narrow_rows_4,
    split_kernels_once_planes_2, split_kernels_once_planes_3, split_kernels_once_planes_4;
SPLIT_KERNELS_POSITIONS(twice_rows, SplitKernelsMultiply);
SPLIT_KERNELS_POSITIONS(twice_planes, SplitKernelsMultiply);
SPLIT_KERNELS_POSITIONS(sums, SplitKernelsMultiplySums);
#undef SPLIT_KERNELS_POSITIONS

// The same of several groups of four positions, which lie one after the other in x: y[p + c * step]
// (planes), or y[p * step + c] of values that are not doubled (rows). A pair's weights are widened to
// room .. room_end.
typedef void SplitKernelsGroups(const int16_t* x, const int8_t* weights, const void* records,
                                int8_t* y, int32_t step, const void* records_end,
                                const int16_t* x_end, int16_t* room, int16_t* room_end,
                                int32_t steps_out);
SplitKernelsGroups split_kernels_groups_once_planes, split_kernels_groups_twice_planes,
    split_kernels_groups_once_rows, split_kernels_groups_twice_rows;

// Widens `count` values, a multiple of four and not 0, of each of four positions `step` apart.
typedef void SplitKernelsWiden(const int8_t* x, int32_t step, int32_t* to, int32_t count);
SplitKernelsWiden split_kernels_widen_once, split_kernels_widen_doubled;

// `columns` columns, `step` apart, of a multiple of four channels of x, as rows of planes, of which there are
// `planes_bytes` bytes; 1 or more of each.
typedef void SplitKernelsToPlanes(const int8_t* x, int32_t step, int32_t columns,
                                  int32_t plane_bytes, int8_t* to, int32_t planes_bytes);
SplitKernelsToPlanes split_kernels_to_planes;

// One row of `channels` channels by a 3x3 kernel: constants as packed taps, planes as in schedule.h,
// from the first of three rows on; `second` and `third`: how far the others are from it, in bytes.
// Columns are made in pairs, then one more if `odd`.
typedef void SplitKernelsDepthwise(const int8_t* planes, const int8_t* constants, int8_t* y,
                                   int32_t step, int32_t second, int32_t plane_bytes,
                                   int32_t channels, int32_t pairs, int32_t odd, int32_t third);
SplitKernelsDepthwise split_kernels_depthwise_once_1, split_kernels_depthwise_once_2,
    split_kernels_depthwise_twice_1, split_kernels_depthwise_twice_2;

// The same with one rounding as widened values (not doubled) of groups of four positions, group_bytes apart: `lead`
// columns end the group of y, `quads` groups follow, and `rest` columns of one more; without `lead`
// and `quads` the rest begins where y is. `next`: four signed bytes that lead y from channel to channel.
typedef void SplitKernelsDepthwiseWidened(const int8_t* planes, const int8_t* constants, int16_t* y,
                                          int32_t group_bytes, int32_t second,
                                          int32_t plane_bytes, int32_t channels, int32_t quads,
                                          int32_t lead, int32_t third, int32_t rest, int32_t next);
SplitKernelsDepthwiseWidened split_kernels_depthwise_widened_1, split_kernels_depthwise_widened_2;
}

#endif  // SPLIT_KERNELS_SRC_DSP_ASM_H_
