// SPDX-License-Identifier: Apache-2.0
// Loops in C++ that the portable schedule and that of ARMv6-M share.
#ifndef SPLIT_KERNELS_SRC_PLAIN_LOOPS_H_
#define SPLIT_KERNELS_SRC_PLAIN_LOOPS_H_

#include "arithmetic.h"
#include "schedule.h"

namespace split_kernels {

// Inner loops are functions of their own: inlined into loops with many variables, compilers for
// Cortex-M keep their sums in memory.
#if defined(__GNUC__) && !defined(__clang__)
#define SPLIT_KERNELS_INNER_LOOP [[gnu::noinline, gnu::optimize("no-schedule-insns")]]
#elif defined(__GNUC__)
#define SPLIT_KERNELS_INNER_LOOP [[gnu::noinline]]
#else
#define SPLIT_KERNELS_INNER_LOOP
#endif

// Compilers like to add products to each other first, which takes registers that sums then lack.
// This keeps a sum where it is, and the order as written.
#if defined(__GNUC__)
#define SPLIT_KERNELS_KEEP(sum) __asm__("" : "+r"(sum))
#else
#define SPLIT_KERNELS_KEEP(sum) (void)(sum)
#endif

// sum += a * b; sums wrap, as in TFLM's kernels.
inline void add_product(int32_t a, int32_t b, uint32_t& sum) {
  sum += static_cast<uint32_t>(a * b);
  SPLIT_KERNELS_KEEP(sum);
}

// sums[2 * position + channel]: bias and products of two channels, `steps` (an even number) times two of them.
template <int Positions>
SPLIT_KERNELS_INNER_LOOP void multiply_pair(const int16_t* x, const int8_t* weights, int32_t steps,
                                            const int32_t bias[2], int32_t sums[8]) {
  const uint32_t bias0 = static_cast<uint32_t>(bias[0]), bias1 = static_cast<uint32_t>(bias[1]);
  uint32_t s0 = bias0, s1 = bias1, s2 = bias0, s3 = bias1;
  uint32_t s4 = bias0, s5 = bias1, s6 = bias0, s7 = bias1;
  // One product with two channels, of all positions.
  const auto multiply = [&](const int16_t* from, int32_t a, int32_t b) {
    int32_t value = from[0];
    add_product(value, a, s0), add_product(value, b, s1);
    if (Positions > 1) value = from[2], add_product(value, a, s2), add_product(value, b, s3);
    if (Positions > 2) value = from[4], add_product(value, a, s4), add_product(value, b, s5);
    if (Positions > 3) value = from[6], add_product(value, a, s6), add_product(value, b, s7);
  };
  for (const int8_t* const end = weights + 4 * steps; weights != end; weights += 8) {
    multiply(x, weights[0], weights[1]);
    multiply(x + 1, weights[2], weights[3]);
    multiply(x + 2 * Positions, weights[4], weights[5]);
    multiply(x + 2 * Positions + 1, weights[6], weights[7]);
    x += 4 * Positions;
  }
  sums[0] = static_cast<int32_t>(s0), sums[1] = static_cast<int32_t>(s1);
  if (Positions > 1) sums[2] = static_cast<int32_t>(s2), sums[3] = static_cast<int32_t>(s3);
  if (Positions > 2) sums[4] = static_cast<int32_t>(s4), sums[5] = static_cast<int32_t>(s5);
  if (Positions > 3) sums[6] = static_cast<int32_t>(s6), sums[7] = static_cast<int32_t>(s7);
}

// Of fewer than four positions.
inline void multiply_pair_of(int32_t positions, const int16_t* x, const int8_t* weights, int32_t steps,
                             const int32_t bias[2], int32_t sums[8]) {
  switch (positions) {
    case 1: return multiply_pair<1>(x, weights, steps, bias, sums);
    case 2: return multiply_pair<2>(x, weights, steps, bias, sums);
    default: return multiply_pair<3>(x, weights, steps, bias, sums);
  }
}

// Sums of one channel, `apart` from each other.
inline void finish_any(const Finish& finish, const ChannelFinish& channel, const int32_t* sums,
                       int32_t apart, int32_t count, int32_t step, int8_t* y) {
  for (int32_t i = 0; i < count; ++i) y[i * step] = finish_one(finish, channel, sums[apart * i]);
}

// The sum of one depthwise channel at one position; `row_step` leads from row to row of weights.
template <bool IsPlain>
SPLIT_KERNELS_INNER_LOOP int32_t sum_taps(const int8_t* const* rows, const int8_t* weights,
                                          const Taps& taps, int32_t row_step, int32_t at,
                                          int32_t before) {
  uint32_t sum = static_cast<uint32_t>(before);
  for (int32_t row = 0; row < taps.kernel_rows; ++row, weights += row_step) {
    const int8_t* const x = rows[row] + at;
    for (int32_t i = 0; i < taps.kernel_columns; ++i) {
      sum += static_cast<uint32_t>(x[IsPlain ? i : i * taps.dilation_columns] * weights[i]);
    }
  }
  return static_cast<int32_t>(sum);
}

// One column of one channel by a 3x3 kernel; `at`: from rows on. `constants`: TapsRecord, and rows of weights, a word each.
SPLIT_KERNELS_INNER_LOOP static int32_t sum_one(const int8_t* const* rows, int32_t at,
                                                const int8_t* constants) {
  const int8_t *x0 = rows[0] + at, *x1 = rows[1] + at, *x2 = rows[2] + at;
  const int8_t* const w = constants + sizeof(TapsRecord);
  uint32_t sum = static_cast<uint32_t>(reinterpret_cast<const TapsRecord*>(constants)->bias);
  add_product(x0[0], w[0], sum), add_product(x0[1], w[1], sum), add_product(x0[2], w[2], sum);
  add_product(x1[0], w[4], sum), add_product(x1[1], w[5], sum), add_product(x1[2], w[6], sum);
  add_product(x2[0], w[8], sum), add_product(x2[1], w[9], sum), add_product(x2[2], w[10], sum);
  return static_cast<int32_t>(sum);
}

constexpr int32_t kSumsTogether = 32;  // columns of a row; a multiple of four
constexpr int32_t kTapsBytes = sizeof(TapsRecord) + 3 * sizeof(int32_t);  // of a channel

inline bool is_3x3(const Taps& taps) {
  return taps.kernel_rows == 3 && taps.kernel_columns == 3 && taps.dilation_columns == 1;
}

// Rows under a window, in a plane.
struct Places {
  Places(const Taps& taps, const Planes& planes) {
    for (int32_t i = 0; i < 3; ++i) of[i] = planes.place_of(i * taps.dilation_rows);
  }
  int32_t of[3];
};

// depthwise_row() of any kernel.
inline void depthwise_any(const Taps& taps, const Finish& finish, const Planes& planes, int32_t count,
                          int32_t columns, int32_t step, int8_t* y) {
  constexpr int32_t kMostRows = 16;  // of a kernel, whose rows are looked up once
  const int32_t row_step = fours(taps.kernel_columns);
  const int8_t* constants = taps.constants;
  for (int32_t plane = 0; plane < count; ++plane) {
    const int8_t* const data = planes.data + plane * planes.plane_bytes;
    for (int32_t k = 0; k < taps.multiplier; ++k, ++y) {
      const TapsRecord& record = *reinterpret_cast<const TapsRecord*>(constants);
      const int8_t* const weights = constants + sizeof(TapsRecord);
      constants = weights + taps.kernel_rows * row_step;
      const ChannelFinish channel = {record.multiplier, record.addend, record.shift};
      // Kernels of many rows are summed in parts.
      const int8_t* rows[kMostRows];
      for (int32_t column = 0; column < columns; ++column) {
        int32_t sum = record.bias;
        for (int32_t first = 0; first < taps.kernel_rows; first += kMostRows) {
          Taps part = taps;
          part.kernel_rows -= first;
          if (part.kernel_rows > kMostRows) part.kernel_rows = kMostRows;
          for (int32_t i = 0; i < part.kernel_rows; ++i) {
            rows[i] = data + planes.place_of((first + i) * taps.dilation_rows);
          }
          const int8_t* const from = weights + first * row_step;
          sum = taps.dilation_columns == 1
                    ? sum_taps<true>(rows, from, part, row_step, column * taps.stride, sum)
                    : sum_taps<false>(rows, from, part, row_step, column * taps.stride, sum);
        }
        y[column * step] = finish_one(finish, channel, sum);
      }
    }
  }
}

// Puts product i of a four, of four positions, to where the four is widened.
typedef void Put(int32_t i, int32_t a, int32_t b, int32_t c, int32_t d, int16_t* to);

// Whole fours of four positions.
template <Put put>
SPLIT_KERNELS_INNER_LOOP void widen_fours(const int8_t* x, int32_t step, int32_t count, int16_t* to) {
  const int8_t *x1 = x + step, *x2 = x1 + step, *x3 = x2 + step;
  for (const int8_t* const end = x + count; x != end; x += 4, to += 16) {
    put(0, x[0], x1[0], x2[0], x3[0], to), put(1, x[1], x1[1], x2[1], x3[1], to);
    put(2, x[2], x1[2], x2[2], x3[2], to), put(3, x[3], x1[3], x2[3], x3[3], to);
    x1 += 4, x2 += 4, x3 += 4;
  }
}

// A four of which `left` products are there.
template <Put put>
void widen_last(const int8_t* x, int32_t step, int32_t left, int16_t* to) {
  for (int32_t i = 0; i < 4; ++i) {
    if (i < left) {
      put(i, x[i], x[i + step], x[i + 2 * step], x[i + 3 * step], to);
    } else {
      put(i, 0, 0, 0, 0, to);
    }
  }
}

// Windows of `rows` rows of `run` values each, of four positions `step` apart.
template <Put put>
SPLIT_KERNELS_INNER_LOOP void widen_ragged(const int8_t* x, int32_t row_step, int32_t rows, int32_t run,
                                           int32_t step, int16_t* to) {
  int32_t i = 0;
  for (; rows > 0; --rows, x += row_step) {
    const int8_t* at = x;
    for (const int8_t* const end = x + run; at != end; ++at) {
      put(i, at[0], at[step], at[2 * step], at[3 * step], to);
      if (++i == 4) i = 0, to += 16;
    }
  }
  for (; i % 4 != 0; ++i) put(i, 0, 0, 0, 0, to);
}

// widen().
template <Put put>
void widen_plainly(const int8_t* x, int32_t step, int32_t positions, int32_t count, int16_t* to) {
  if (positions == kPositions) {
    const int32_t whole = count / 4 * 4;
    widen_fours<put>(x, step, whole, to);
    if (whole < count) widen_last<put>(x + whole, step, count - whole, to + 4 * whole);
    return;
  }
  for (int32_t at = 0; at < count; at += 4, to += 4 * positions) {
    for (int32_t position = 0; position < positions; ++position) {
      const int8_t* const from = x + position * step + at;
      int16_t values[4];
      for (int32_t i = 0; i < 4; ++i) values[i] = at + i < count ? from[i] : int16_t{0};
      for (int32_t odd = 0; odd < 2; ++odd) {
        int16_t* const both = to + odd * 2 * positions + position * 2;
        both[0] = values[odd], both[1] = values[odd + 2];
      }
    }
  }
}

inline void to_planes_plainly(const int8_t* x, int32_t step, int32_t columns, int32_t count,
                              int32_t plane_bytes, int8_t* to) {
  if (count == kPlanes) {
    int8_t *const to1 = to + plane_bytes, *const to2 = to1 + plane_bytes, *const to3 = to2 + plane_bytes;
    for (int32_t column = 0; column < columns; ++column, x += step) {
      to[column] = x[0], to1[column] = x[1], to2[column] = x[2], to3[column] = x[3];
    }
    return;
  }
  for (int32_t column = 0; column < columns; ++column, x += step, ++to) {
    for (int32_t plane = 0; plane < count; ++plane) to[plane * plane_bytes] = x[plane];
  }
}

// Sums of two channels, side by side, to those of all positions.
inline void put_sums(const int32_t* sums, int32_t positions, int32_t both, int32_t channels, int32_t* y) {
  for (int32_t position = 0; position < positions; ++position, y += channels) {
    y[0] = sums[2 * position];
    if (both > 1) y[1] = sums[2 * position + 1];
  }
}

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_SRC_PLAIN_LOOPS_H_
