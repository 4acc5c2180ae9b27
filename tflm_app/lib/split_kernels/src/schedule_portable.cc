// SPDX-License-Identifier: Apache-2.0
// Portable C++: loops that compilers for cores with 13 registers and more keep in registers.
//
// Widened values lie as in the other schedules: for every four products first those with even, then
// those with odd numbers, of all positions: [four][odd][position][2].
#include "target.h"

#if SPLIT_KERNELS_PORTABLE

#include "arithmetic.h"
#include "schedule.h"

namespace split_kernels {
namespace {

// Inner loops are functions of their own: inlined into loops with many variables, compilers for
// Cortex-M keep their sums in memory.
#if defined(__GNUC__)
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

// sums[2 * position + channel] += products of two channels, `steps` times two of them.
template <int Positions>
SPLIT_KERNELS_INNER_LOOP void multiply_pair(const int16_t* x, const int8_t* weights, int32_t steps,
                                            int32_t sums[8]) {
  const auto begin = [sums](int i) {
    return i < 2 * Positions ? static_cast<uint32_t>(sums[i]) : uint32_t{0};
  };
  uint32_t s0 = begin(0), s1 = begin(1), s2 = begin(2), s3 = begin(3);
  uint32_t s4 = begin(4), s5 = begin(5), s6 = begin(6), s7 = begin(7);
  for (const int8_t* const end = weights + 4 * steps; weights != end; weights += 2) {
    // Twice: x of the first products, then of the second, one value on.
    const int32_t a = weights[0], b = weights[1];
    int32_t value = x[0];
    add_product(value, a, s0), add_product(value, b, s1);
    if (Positions > 1) value = x[2], add_product(value, a, s2), add_product(value, b, s3);
    if (Positions > 2) value = x[4], add_product(value, a, s4), add_product(value, b, s5);
    if (Positions > 3) value = x[6], add_product(value, a, s6), add_product(value, b, s7);
    weights += 2;
    const int32_t c = weights[0], d = weights[1];
    value = x[1];
    add_product(value, c, s0), add_product(value, d, s1);
    if (Positions > 1) value = x[3], add_product(value, c, s2), add_product(value, d, s3);
    if (Positions > 2) value = x[5], add_product(value, c, s4), add_product(value, d, s5);
    if (Positions > 3) value = x[7], add_product(value, c, s6), add_product(value, d, s7);
    x += 2 * Positions;
  }
  const uint32_t made[8] = {s0, s1, s2, s3, s4, s5, s6, s7};
  for (int i = 0; i < 2 * Positions; ++i) sums[i] = static_cast<int32_t>(made[i]);
}

void multiply_pair_of(int32_t positions, const int16_t* x, const int8_t* weights, int32_t steps,
                      int32_t sums[8]) {
  switch (positions) {
    case 1: return multiply_pair<1>(x, weights, steps, sums);
    case 2: return multiply_pair<2>(x, weights, steps, sums);
    case 3: return multiply_pair<3>(x, weights, steps, sums);
    default: return multiply_pair<4>(x, weights, steps, sums);
  }
}

void begin(const int32_t bias[2], int32_t sums[8]) {
  for (int i = 0; i < 8; ++i) sums[i] = bias[i & 1];
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

// One row of one channel by a 3x3 kernel: its nine weights stay in registers where there are enough.
SPLIT_KERNELS_INNER_LOOP void row_3x3(const int8_t* const* rows, const int8_t* w,
                                      const TapsRecord& record, const Finish& finish,
                                      int32_t columns, int32_t stride, int32_t step, int8_t* y) {
  const int8_t *x0 = rows[0], *x1 = rows[1], *x2 = rows[2];
  const ChannelFinish channel = {record.multiplier, record.addend, record.shift};
  for (int32_t column = 0; column < columns; ++column, y += step) {
    uint32_t sum = static_cast<uint32_t>(record.bias);
    add_product(x0[0], w[0], sum), add_product(x0[1], w[1], sum), add_product(x0[2], w[2], sum);
    add_product(x1[0], w[4], sum), add_product(x1[1], w[5], sum), add_product(x1[2], w[6], sum);
    add_product(x2[0], w[8], sum), add_product(x2[1], w[9], sum), add_product(x2[2], w[10], sum);
    x0 += stride, x1 += stride, x2 += stride;
    *y = finish_one(finish, channel, static_cast<int32_t>(sum));
  }
}

constexpr int32_t kMostRows = 16;  // of a kernel, whose rows are looked up once

}  // namespace

void widen(const int8_t* x, int32_t step, int32_t positions, int32_t count, int32_t fours_done,
           bool, int16_t* to) {
  to += fours_done * 4 * positions;
  for (int32_t at = 0; at < count; at += 4, to += 4 * positions) {
    for (int32_t position = 0; position < positions; ++position) {
      const int8_t* const from = x + position * step + at;
      for (int32_t i = 0; i < 4; ++i) {
        const int16_t value = at + i < count ? from[i] : int16_t{0};
        to[(i & 1) * 2 * positions + position * 2 + i / 2] = value;
      }
    }
  }
}

void multiply(const Product& product, const Finish& finish, const int16_t* x, int32_t positions,
              const Results& results) {
  const PairRecord* record = static_cast<const PairRecord*>(product.records);
  const int8_t* weights = product.weights;
  const Finish f = finish;  // a copy: a store to y might change the caller's, for the compiler
  for (int32_t channel = 0; channel < product.channels; channel += 2, ++record) {
    int32_t sums[8];
    begin(record->bias, sums);
    multiply_pair_of(positions, x, weights, product.products / 2, sums);
    weights += 2 * product.products;
    const int32_t both = product.channels - channel > 1 ? 2 : 1;
    for (int32_t i = 0; i < both; ++i) {
      int8_t* y = results.y + (channel + i) * results.channel_step;
      for (int32_t position = 0; position < positions; ++position, y += results.position_step) {
        *y = finish_one(f, record->finish[i], sums[2 * position + i]);
      }
    }
  }
}

void multiply_sums(const Product& product, const int16_t* x, int32_t positions, int32_t channels,
                   int32_t* y) {
  const SumsRecord* record = static_cast<const SumsRecord*>(product.records);
  const int8_t* weights = product.weights;
  for (int32_t channel = 0; channel < product.channels; channel += 2, ++record) {
    int32_t sums[8];
    begin(record->bias, sums);
    multiply_pair_of(positions, x, weights, product.products / 2, sums);
    weights += 2 * product.products;
    for (int32_t position = 0; position < positions; ++position) {
      int32_t* const to = y + position * channels + channel;
      to[0] = sums[2 * position];
      if (product.channels - channel > 1) to[1] = sums[2 * position + 1];
    }
  }
}

void depthwise_row(const Taps& taps, const Finish& finish, const Planes& planes, int32_t count,
                   int32_t columns, int32_t step, int8_t* y) {
  const int32_t row_step = fours(taps.kernel_columns);
  const bool is_3x3 = taps.kernel_rows == 3 && taps.kernel_columns == 3 &&
                      taps.dilation_columns == 1;
  const int8_t* constants = taps.constants;
  const Finish f = finish;
  for (int32_t plane = 0; plane < count; ++plane) {
    const int8_t* const data = planes.data + plane * planes.plane_bytes;
    for (int32_t k = 0; k < taps.multiplier; ++k, ++y) {
      const TapsRecord& record = *reinterpret_cast<const TapsRecord*>(constants);
      const int8_t* const weights = constants + sizeof(TapsRecord);
      constants = weights + taps.kernel_rows * row_step;
      const ChannelFinish channel = {record.multiplier, record.addend, record.shift};
      // Kernels of many rows are summed in parts.
      const int8_t* rows[kMostRows];
      for (int32_t column = 0; column < (is_3x3 ? 1 : columns); ++column) {
        int32_t sum = record.bias;
        for (int32_t first = 0; first < taps.kernel_rows; first += kMostRows) {
          Taps part = taps;
          part.kernel_rows -= first;
          if (part.kernel_rows > kMostRows) part.kernel_rows = kMostRows;
          for (int32_t i = 0; i < part.kernel_rows; ++i) {
            const int32_t slot = planes.first + (first + i) * taps.dilation_rows;
            rows[i] = data + slot % planes.rows * planes.row_step;
          }
          if (is_3x3) break;
          const int8_t* const from = weights + first * row_step;
          sum = taps.dilation_columns == 1
                    ? sum_taps<true>(rows, from, part, row_step, column * taps.stride, sum)
                    : sum_taps<false>(rows, from, part, row_step, column * taps.stride, sum);
        }
        if (!is_3x3) y[column * step] = finish_one(f, channel, sum);
      }
      if (is_3x3) row_3x3(rows, weights, record, f, columns, taps.stride, step, y);
    }
  }
}

void to_planes(const int8_t* x, int32_t step, int32_t columns, int32_t count, int32_t plane_bytes,
               int32_t, int8_t* to) {
  for (int32_t column = 0; column < columns; ++column, x += step, ++to) {
    for (int32_t plane = 0; plane < count; ++plane) to[plane * plane_bytes] = x[plane];
  }
}

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_PORTABLE
