// SPDX-License-Identifier: Apache-2.0
// Portable C++: loops that compilers for cores with 13 registers and more keep in registers.
//
// Widened values lie as in the other schedules: for every four products first those with even, then
// those with odd numbers, of all positions: [four][odd][position][2].
#include "target.h"

#if SPLIT_KERNELS_PORTABLE

#if defined(__ARM_FEATURE_SAT)
#include <arm_acle.h>
#endif

#include "arithmetic.h"
#include "schedule.h"

namespace split_kernels {
namespace {

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

#if SPLIT_KERNELS_V6M

extern "C" {
// Sums of four widened positions, as multiply_pair().
void split_kernels_v6m_sums(const int16_t* x, const int8_t* weights, const int16_t* x_end,
                            const int32_t bias[2], int32_t sums[8]);
}

template <>
void multiply_pair<4>(const int16_t* x, const int8_t* weights, int32_t steps,
                      const int32_t bias[2], int32_t sums[8]) {
  split_kernels_v6m_sums(x, weights, x + 8 * steps, bias, sums);
}

#endif

void multiply_pair_of(int32_t positions, const int16_t* x, const int8_t* weights, int32_t steps,
                      const int32_t bias[2], int32_t sums[8]) {
  switch (positions) {
    case 1: return multiply_pair<1>(x, weights, steps, bias, sums);
    case 2: return multiply_pair<2>(x, weights, steps, bias, sums);
    case 3: return multiply_pair<3>(x, weights, steps, bias, sums);
    default: return multiply_pair<4>(x, weights, steps, bias, sums);
  }
}

// To int8, in one instruction where cores have it (Cortex-M3); compilers see that in no loop.
inline int32_t saturated(int32_t value) {
#if defined(__ARM_FEATURE_SAT)
  return __ssat(value, 8);
#else
  if (value < -128) value = -128;
  if (value > 127) value = 127;
  return value;
#endif
}

#if !SPLIT_KERNELS_V6M

// A sum as finish_one(), but the rounding is known.
template <Rounding R, bool Clamps>
inline int8_t finish_short(int32_t sum, const ChannelFinish& channel, int32_t low, int32_t high) {
  int32_t made = multiply_high_short(sum, channel.multiplier);
  if (R == kTwoRoundings) made += made >> 31;
  made = saturated(wrapping_add(made, channel.addend) >> channel.shift);
  if (Clamps && made < low) made = low;  // clamp_to() makes compilers keep both limits twice
  if (Clamps && made > high) made = high;
  return static_cast<int8_t>(made);
}

// Sums of a row of one channel, one after the other, to int8, `step` apart.
template <Rounding R, bool Clamps>
SPLIT_KERNELS_INNER_LOOP void finish_run(const Finish& finish, const TapsRecord& record,
                                         const int32_t* sums, int32_t count, int32_t step,
                                         int8_t* y) {
  const ChannelFinish channel = {record.multiplier, record.addend, record.shift};
  const int32_t low = finish.activation_min, high = finish.activation_max;
  for (const int32_t* const end = sums + count; sums != end; ++sums, y += step) {
    *y = finish_short<R, Clamps>(*sums, channel, low, high);
  }
}

// Sums of four positions with two channels, or one, which lie side by side.
template <Rounding R, bool Clamps>
SPLIT_KERNELS_INNER_LOOP void finish_pair(const Finish& finish, const ChannelFinish* of,
                                          const int32_t* sums, int32_t channels,
                                          const Results& results, int8_t* y) {
  const int32_t low = finish.activation_min, high = finish.activation_max;
  const int32_t step = results.position_step;
  for (int32_t left = channels; left > 0; --left, ++of, ++sums, y += results.channel_step) {
    const ChannelFinish channel = *of;
    int8_t* to = y;
    *to = finish_short<R, Clamps>(sums[0], channel, low, high), to += step;
    *to = finish_short<R, Clamps>(sums[2], channel, low, high), to += step;
    *to = finish_short<R, Clamps>(sums[4], channel, low, high), to += step;
    *to = finish_short<R, Clamps>(sums[6], channel, low, high);
  }
}

#else

extern "C" {
// Sums of one channel to int8, in assembly: _1 with two roundings, _2 with one; then how many words sums lie apart.
typedef void SplitKernelsV6mFinish(const ChannelFinish* channel, const int32_t* sums, const int32_t* end,
                                   int8_t* y, int32_t low, int32_t high, int32_t step);
SplitKernelsV6mFinish split_kernels_v6m_finish_1_1, split_kernels_v6m_finish_1_2;
SplitKernelsV6mFinish split_kernels_v6m_finish_2_1, split_kernels_v6m_finish_2_2;
// The same of sums side by side of a channel that is_relu().
void split_kernels_v6m_finish_relu(const ChannelFinish* channel, const int32_t* sums, const int32_t* end,
                                   int8_t* y, int32_t step);
// Products of four widened positions with pairs of channels that are as is_relu() says, from the first on; what is left is there
// afterwards.
struct V6mPairs {
  const int16_t* x;
  const int16_t* x_end;
  int32_t steps;
  const PairRecord* record;
  const int8_t* weights;
  int8_t* y;
  int32_t position_step;
  int32_t channel_step;
  int32_t channels;
  int32_t weights_bytes;  // of a pair
};
void split_kernels_v6m_pairs_relu(V6mPairs* pairs);
}

// Whether all sums up to 0 make -128, and numbers are such that the shorter loop takes them.
inline bool may_be_relu(const Finish& finish) {
  return finish.rounding == kOneRounding && !finish.clamps();
}
inline bool is_relu(const ChannelFinish& channel) {
  constexpr uint32_t kMostShift = 11;
  const uint32_t before = static_cast<uint32_t>(channel.shift) - 1;
  return before < kMostShift && channel.multiplier >> 30 != 0 && channel.addend == -255 * (1 << before);
}
template <int Apart>
void finish_exactly(const Finish& finish, const ChannelFinish& channel, const int32_t* sums,
                    int32_t count, int32_t step, int8_t* y) {
  SplitKernelsV6mFinish* const once =
      Apart == 1 ? split_kernels_v6m_finish_2_1 : split_kernels_v6m_finish_2_2;
  SplitKernelsV6mFinish* const twice =
      Apart == 1 ? split_kernels_v6m_finish_1_1 : split_kernels_v6m_finish_1_2;
  (finish.rounding == kOneRounding ? once : twice)(&channel, sums, sums + Apart * count, y,
                                                   finish.activation_min, finish.activation_max, step);
}

#endif

void finish_any(const Finish& finish, const ChannelFinish& channel, const int32_t* sums, int32_t apart,
                int32_t count, int32_t step, int8_t* y) {
  for (int32_t i = 0; i < count; ++i) y[i * step] = finish_one(finish, channel, sums[apart * i]);
}

// Sums of a row of one channel, one after the other, `step` apart as int8.
typedef void FinishRow(const Finish& finish, const TapsRecord& record, const int32_t* sums,
                       int32_t count, int32_t step, int8_t* y);

void finish_any_row(const Finish& finish, const TapsRecord& record, const int32_t* sums,
                    int32_t count, int32_t step, int8_t* y) {
  const ChannelFinish channel = {record.multiplier, record.addend, record.shift};
  finish_any(finish, channel, sums, 1, count, step, y);
}

#if SPLIT_KERNELS_V6M

void finish_short_row(const Finish& finish, const TapsRecord& record, const int32_t* sums,
                      int32_t count, int32_t step, int8_t* y) {
  const ChannelFinish channel = {record.multiplier, record.addend, record.shift};
  finish_exactly<1>(finish, channel, sums, count, step, y);
}
void finish_relu_row(const Finish& finish, const TapsRecord& record, const int32_t* sums,
                     int32_t count, int32_t step, int8_t* y) {
  const ChannelFinish channel = {record.multiplier, record.addend, record.shift};
  if (!is_relu(channel)) return finish_exactly<1>(finish, channel, sums, count, step, y);
  split_kernels_v6m_finish_relu(&channel, sums, sums + count, y, step);
}

FinishRow* finish_row_of(const Finish& finish) {
  if (finish.rounding == kAnyRounding) return finish_any_row;
  return may_be_relu(finish) ? finish_relu_row : finish_short_row;
}

#else

FinishRow* finish_row_of(const Finish& finish) {
  if (finish.rounding == kAnyRounding) return finish_any_row;
  const bool once = finish.rounding == kOneRounding;
  if (finish.clamps()) return once ? finish_run<kOneRounding, true> : finish_run<kTwoRoundings, true>;
  return once ? finish_run<kOneRounding, false> : finish_run<kTwoRoundings, false>;
}

#endif

// Sums of multiply_pair(): `positions` with two channels, or one.
inline void finish_sums(const Finish& finish, const ChannelFinish* channel, int32_t channels,
                        const int32_t* sums, int32_t positions, const Results& results, int8_t* y) {
#if SPLIT_KERNELS_V6M
  if (finish.rounding != kAnyRounding) {
    finish_exactly<2>(finish, channel[0], sums, positions, results.position_step, y);
    if (channels < 2) return;
    y += results.channel_step;
    return finish_exactly<2>(finish, channel[1], sums + 1, positions, results.position_step, y);
  }
#endif
  for (; channels > 0; --channels, ++channel, ++sums, y += results.channel_step) {
    finish_any(finish, *channel, sums, 2, positions, results.position_step, y);
  }
}

#if !SPLIT_KERNELS_V6M

typedef void FinishPair(const Finish& finish, const ChannelFinish* of, const int32_t* sums,
                        int32_t channels, const Results& results, int8_t* y);

FinishPair* finish_pair_of(const Finish& finish) {
  const bool once = finish.rounding == kOneRounding;
  if (finish.clamps()) return once ? finish_pair<kOneRounding, true> : finish_pair<kTwoRoundings, true>;
  return once ? finish_pair<kOneRounding, false> : finish_pair<kTwoRoundings, false>;
}

#endif

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

// One column of one channel by a 3x3 kernel, whose rows of weights are a word each.
SPLIT_KERNELS_INNER_LOOP int32_t sum_one(const int8_t* const* rows, int32_t at, const int8_t* w,
                                         int32_t bias) {
  uint32_t sum = static_cast<uint32_t>(bias);
  for (int row = 0; row < 3; ++row, w += 4) {
    const int8_t* const x = rows[row] + at;
    add_product(x[0], w[0], sum), add_product(x[1], w[1], sum), add_product(x[2], w[2], sum);
  }
  return static_cast<int32_t>(sum);
}

#if SPLIT_KERNELS_V6M

extern "C" {
// Sums of fours of columns, by stride 1 or 2; rows begin under the first.
typedef void SplitKernelsV6mFours(const int8_t* const* rows, const int8_t* weights, int32_t bias,
                                  int32_t* sums, const int32_t* end);
SplitKernelsV6mFours split_kernels_v6m_fours_1, split_kernels_v6m_fours_2;
}

// Of `count` columns those that come in fours, or all; with stride 1 always, since rows may be read a word further.
int32_t sum_fours(const int8_t* const* rows, const int8_t* weights, int32_t bias, int32_t stride,
                  int32_t count, int32_t* sums) {
  if (stride > 2) return 0;
  const int32_t fours = stride == 1 ? (count + 3) / 4 : count / 4;
  if (fours > 0) {
    (stride == 1 ? split_kernels_v6m_fours_1 : split_kernels_v6m_fours_2)(rows, weights, bias, sums,
                                                                          sums + 4 * fours);
  }
  return 4 * fours;
}

#else

// Four columns: each value is loaded once for the columns that it is in.
template <int Stride>
SPLIT_KERNELS_INNER_LOOP void sum_fours_by(const int8_t* const* rows, const int8_t* weights,
                                           int32_t bias, int32_t* sums, const int32_t* end) {
  const int8_t *x0 = rows[0], *x1 = rows[1], *x2 = rows[2];
  const auto add_row = [](const int8_t* x, const int8_t* w, uint32_t& s0, uint32_t& s1, uint32_t& s2,
                          uint32_t& s3) {
    const int32_t a = w[0], b = w[1], c = w[2];
    int32_t value = x[0];
    add_product(value, a, s0), value = x[1];
    add_product(value, b, s0);
    if (Stride == 1) add_product(value, a, s1);
    value = x[2], add_product(value, c, s0);
    add_product(value, Stride == 1 ? b : a, s1);
    if (Stride == 1) add_product(value, a, s2);
    value = x[3], add_product(value, Stride == 1 ? c : b, s1);
    if (Stride == 1) add_product(value, b, s2), add_product(value, a, s3);
    value = x[4];
    if (Stride == 1) {
      add_product(value, c, s2), add_product(value, b, s3);
      value = x[5], add_product(value, c, s3);
    } else {
      add_product(value, c, s1), add_product(value, a, s2);
      value = x[5], add_product(value, b, s2);
      value = x[6], add_product(value, c, s2), add_product(value, a, s3);
      value = x[7], add_product(value, b, s3);
      value = x[8], add_product(value, c, s3);
    }
  };
  for (; sums != end; sums += 4) {
    uint32_t s0 = static_cast<uint32_t>(bias), s1 = s0, s2 = s0, s3 = s0;
    add_row(x0, weights, s0, s1, s2, s3);
    add_row(x1, weights + 4, s0, s1, s2, s3);
    add_row(x2, weights + 8, s0, s1, s2, s3);
    x0 += 4 * Stride, x1 += 4 * Stride, x2 += 4 * Stride;
    sums[0] = static_cast<int32_t>(s0), sums[1] = static_cast<int32_t>(s1);
    sums[2] = static_cast<int32_t>(s2), sums[3] = static_cast<int32_t>(s3);
  }
}

int32_t sum_fours(const int8_t* const* rows, const int8_t* weights, int32_t bias, int32_t stride,
                  int32_t count, int32_t* sums) {
  const int32_t some = stride <= 2 ? count / 4 * 4 : 0;
  if (some == 0) return 0;
  const auto sum = stride == 1 ? sum_fours_by<1> : sum_fours_by<2>;
  sum(rows, weights, bias, sums, sums + some);
  if (count - some < 2) return some;
  // Two or three columns more cost no more than the last four, some of them once more.
  const int32_t first = (count - 4) * stride;
  const int8_t* const last[] = {rows[0] + first, rows[1] + first, rows[2] + first};
  sum(last, weights, bias, sums + count - 4, sums + count);
  return count;
}

#endif

constexpr int32_t kSumsTogether = 32;  // a multiple of four

#if SPLIT_KERNELS_V6M

extern "C" {
// A row of 3x3 windows of planes that are as is_relu() says, from the first on, by stride 1 or 2; the rows that come
// next, and how many planes are left, are there afterwards. At most kSumsTogether columns.
struct V6mRows {
  const int8_t* rows[3];
  int32_t plane_bytes;
  const int8_t* record;  // TapsRecord and nine weights, in words
  int8_t* y;
  int32_t step;
  int32_t columns_bytes;  // of their sums
  int32_t sums_bytes;     // in fours
  int32_t planes;
};
typedef void SplitKernelsV6mRows(V6mRows* rows);
SplitKernelsV6mRows split_kernels_v6m_rows_relu_1, split_kernels_v6m_rows_relu_2;
}

// As many planes of rows_3x3() as these take.
int32_t rows_relu(const Taps& taps, const int8_t* data, const int32_t places[3], int32_t plane_bytes,
                  int32_t planes, int32_t columns, int32_t step, int8_t* y) {
  const bool in_fours = taps.stride == 1 || (taps.stride == 2 && columns % 4 == 0);
  if (!in_fours || taps.multiplier != 1 || columns > kSumsTogether) return 0;
  V6mRows rows = {{data + places[0], data + places[1], data + places[2]},
                  plane_bytes,
                  taps.constants,
                  y,
                  step,
                  4 * columns,
                  16 * ((columns + 3) / 4),
                  planes};
  (taps.stride == 1 ? split_kernels_v6m_rows_relu_1 : split_kernels_v6m_rows_relu_2)(&rows);
  return planes - rows.planes;
}

#endif

// One row of all planes by a 3x3 kernel. Where rows of planes lie is found once.
void rows_3x3(const Taps& taps, const Finish& finish, const Planes& planes, int32_t count, int32_t columns,
              int32_t step, int8_t* y) {
  FinishRow* const finish_row = finish_row_of(finish);
  const int32_t stride = taps.stride;
  int32_t places[3];
  for (int32_t i = 0; i < 3; ++i) {
    places[i] = planes.place_of(i * taps.dilation_rows);
  }
  const int8_t *constants = taps.constants, *data = planes.data;
#if SPLIT_KERNELS_V6M
  if (may_be_relu(finish) && count > 0 && columns > 0) {
    const int32_t done =
        rows_relu(taps, data, places, planes.plane_bytes, count, columns, step, y);
    constants += done * static_cast<int32_t>(sizeof(TapsRecord) + 3 * sizeof(int32_t));
    data += done * planes.plane_bytes, y += done, count -= done;
  }
#endif
  for (int32_t k = 0; count > 0; ++y) {
    const TapsRecord& record = *reinterpret_cast<const TapsRecord*>(constants);
    const int8_t* const weights = constants + sizeof(TapsRecord);
    const int8_t* from = data;
    int8_t* to = y;
    for (int32_t left = columns; left > 0; left -= kSumsTogether) {
      const int32_t some = least(left, kSumsTogether);
      const int8_t* const rows[] = {from + places[0], from + places[1], from + places[2]};
      int32_t sums[kSumsTogether];
      for (int32_t at = sum_fours(rows, weights, record.bias, stride, some, sums); at < some; ++at) {
        sums[at] = sum_one(rows, at * stride, weights, record.bias);
      }
      finish_row(finish, record, sums, some, step, to);
      // Behind the last columns there may be no such place, and no int32 for it: that one is not read.
      from += static_cast<int32_t>(uint32_t{kSumsTogether} * static_cast<uint32_t>(stride));
      to += static_cast<int32_t>(uint32_t{kSumsTogether} * static_cast<uint32_t>(step));
    }
    constants = weights + 3 * sizeof(int32_t);
    if (++k == taps.multiplier) k = 0, data += planes.plane_bytes, --count;
  }
}

constexpr int32_t kMostRows = 16;  // of a kernel, whose rows are looked up once

// Product i of a four, of four positions. v6m_asm.cc multiplies two positions by one weight: of its words, each the
// sum of two values, those of products 0 and 2 come first.
inline void put(int32_t i, int32_t a, int32_t b, int32_t c, int32_t d, int16_t* to) {
#if SPLIT_KERNELS_V6M
  typedef int32_t Word [[gnu::may_alias]];
  Word* const words = reinterpret_cast<Word*>(to) + i % 2 * 4 + i / 2 * 2;
  words[0] = a + b * 65536, words[1] = c + d * 65536;
#else
  int16_t* const here = to + i % 2 * 8 + i / 2;
  here[0] = static_cast<int16_t>(a), here[2] = static_cast<int16_t>(b);
  here[4] = static_cast<int16_t>(c), here[6] = static_cast<int16_t>(d);
#endif
}

// Whole fours of four positions.
SPLIT_KERNELS_INNER_LOOP void widen_fours(const int8_t* x, int32_t step, int32_t count,
                                          int16_t* to) {
  const int8_t *x1 = x + step, *x2 = x1 + step, *x3 = x2 + step;
  for (const int8_t* const end = x + count; x != end; x += 4, to += 16) {
    put(0, x[0], x1[0], x2[0], x3[0], to), put(1, x[1], x1[1], x2[1], x3[1], to);
    put(2, x[2], x1[2], x2[2], x3[2], to), put(3, x[3], x1[3], x2[3], x3[3], to);
    x1 += 4, x2 += 4, x3 += 4;
  }
}

// A four of which `left` products are there.
void widen_last(const int8_t* x, int32_t step, int32_t left, int16_t* to) {
  for (int32_t i = 0; i < 4; ++i) {
    if (i < left) {
      put(i, x[i], x[i + step], x[i + 2 * step], x[i + 3 * step], to);
    } else {
      put(i, 0, 0, 0, 0, to);
    }
  }
}

}  // namespace

void widen(const int8_t* x, int32_t step, int32_t positions, int32_t count, int32_t fours_done,
           bool, int16_t* to) {
  to += fours_done * 4 * positions;
  if (positions == 4) {
    const int32_t whole = count / 4 * 4;
    widen_fours(x, step, whole, to);
    if (whole < count) widen_last(x + whole, step, count - whole, to + 4 * whole);
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

#if !SPLIT_KERNELS_V6M

namespace {

// multiply() of four positions with a short rounding.
SPLIT_KERNELS_INNER_LOOP void multiply_fours(const Product& product, const Finish& finish,
                                             const int16_t* x, const Results& results) {
  FinishPair* const finish_both = finish_pair_of(finish);
  const PairRecord* record = static_cast<const PairRecord*>(product.records);
  const int8_t* weights = product.weights;
  const int32_t bytes = 2 * product.products, steps = product.products / 2;
  int8_t* y = results.y;
  for (int32_t left = product.channels; left > 0; left -= 2, ++record, weights += bytes) {
    int32_t sums[8];
    multiply_pair<4>(x, weights, steps, record->bias, sums);
    finish_both(finish, record->finish, sums, least(left, 2), results, y);
    y += 2 * results.channel_step;
  }
}

}  // namespace

#endif

void multiply(const Product& product, const Finish& finish, const int16_t* x, int32_t positions,
              const Results& results) {
  const Finish f = finish;  // a copy: a store to y might change the caller's, for the compiler
  int32_t channel = 0;
#if SPLIT_KERNELS_V6M
  if (positions == kPositions && may_be_relu(f)) {
    V6mPairs pairs = {x, x + kPositions * product.products, product.products / 2,
                      static_cast<const PairRecord*>(product.records), product.weights, results.y,
                      results.position_step, results.channel_step, product.channels,
                      2 * product.products};
    split_kernels_v6m_pairs_relu(&pairs);
    channel = product.channels - pairs.channels;
  }
#else
  if (positions == kPositions && f.rounding != kAnyRounding) {
    return multiply_fours(product, f, x, results);
  }
#endif
  const PairRecord* record = static_cast<const PairRecord*>(product.records) + channel / 2;
  const int8_t* weights = product.weights + channel * product.products;
  int8_t* y = results.y + channel * results.channel_step;
  for (; channel < product.channels; channel += 2, ++record) {
    int32_t sums[8];
    multiply_pair_of(positions, x, weights, product.products / 2, record->bias, sums);
    weights += 2 * product.products;
    const int32_t both = product.channels - channel > 1 ? 2 : 1;
    finish_sums(f, record->finish, both, sums, positions, results, y);
    y += 2 * results.channel_step;
  }
}

void multiply_sums(const Product& product, const int16_t* x, int32_t positions, int32_t channels,
                   int32_t* y) {
  const SumsRecord* record = static_cast<const SumsRecord*>(product.records);
  const int8_t* weights = product.weights;
  for (int32_t channel = 0; channel < product.channels; channel += 2, ++record) {
    int32_t sums[8];
    multiply_pair_of(positions, x, weights, product.products / 2, record->bias, sums);
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
  const Finish f = finish;
  if (taps.kernel_rows == 3 && taps.kernel_columns == 3 && taps.dilation_columns == 1) {
    return rows_3x3(taps, f, planes, count, columns, step, y);
  }
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
        y[column * step] = finish_one(f, channel, sum);
      }
    }
  }
}

void to_planes(const int8_t* x, int32_t step, int32_t columns, int32_t count, int32_t plane_bytes,
               int32_t, int8_t* to) {
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

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_PORTABLE
