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

#include "plain_loops.h"

namespace split_kernels {
namespace {

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

// Sums of columns of some channels, channel by channel, to int8: y[column * step + channel]. `constants`: theirs.
template <Rounding R, bool Clamps>
SPLIT_KERNELS_INNER_LOOP void finish_planes(const Finish& finish, const int8_t* constants,
                                            const int32_t* sums, int32_t planes, int32_t columns,
                                            int32_t step, int8_t* y) {
  const int32_t low = finish.activation_min, high = finish.activation_max;
  for (; planes > 0; --planes, constants += kTapsBytes, ++y) {
    const TapsRecord& record = *reinterpret_cast<const TapsRecord*>(constants);
    const ChannelFinish channel = {record.multiplier, record.addend, record.shift};
    const int32_t* at = sums;
    sums += columns;
    for (int8_t* to = y; at != sums; ++at, to += step) {
      *to = finish_short<R, Clamps>(*at, channel, low, high);
    }
  }
}

void finish_any_planes(const Finish& finish, const int8_t* constants, const int32_t* sums, int32_t planes,
                       int32_t columns, int32_t step, int8_t* y) {
  for (; planes > 0; --planes, constants += kTapsBytes, ++y, sums += columns) {
    const TapsRecord& record = *reinterpret_cast<const TapsRecord*>(constants);
    finish_any(finish, {record.multiplier, record.addend, record.shift}, sums, 1, columns, step, y);
  }
}

typedef void FinishPlanes(const Finish& finish, const int8_t* constants, const int32_t* sums,
                          int32_t planes, int32_t columns, int32_t step, int8_t* y);

FinishPlanes* finish_planes_of(const Finish& finish) {
  if (finish.rounding == kAnyRounding) return finish_any_planes;
  const bool once = finish.rounding == kOneRounding;
  if (finish.clamps()) return once ? finish_planes<kOneRounding, true> : finish_planes<kTwoRoundings, true>;
  return once ? finish_planes<kOneRounding, false> : finish_planes<kTwoRoundings, false>;
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

// The same of fewer positions.
template <Rounding R, bool Clamps>
SPLIT_KERNELS_INNER_LOOP void finish_few(const Finish& finish, const ChannelFinish* of, const int32_t* sums,
                                         int32_t channels, int32_t positions, const Results& results,
                                         int8_t* y) {
  const int32_t low = finish.activation_min, high = finish.activation_max;
  for (int32_t left = channels; left > 0; --left, ++of, ++sums, y += results.channel_step) {
    int8_t* to = y;
    for (int32_t i = 0; i < positions; ++i, to += results.position_step) {
      *to = finish_short<R, Clamps>(sums[2 * i], *of, low, high);
    }
  }
}

// What finishes pairs of channels, with a short rounding.
struct FinishPairs {
  void (*four)(const Finish& finish, const ChannelFinish* of, const int32_t* sums, int32_t channels,
               const Results& results, int8_t* y);
  void (*few)(const Finish& finish, const ChannelFinish* of, const int32_t* sums, int32_t channels,
              int32_t positions, const Results& results, int8_t* y);
};
template <Rounding R>
FinishPairs finish_pairs_by(bool clamps) {
  return clamps ? FinishPairs{finish_pair<R, true>, finish_few<R, true>}
                : FinishPairs{finish_pair<R, false>, finish_few<R, false>};
}
FinishPairs finish_pairs_of(const Finish& finish) {
  return finish.rounding == kOneRounding ? finish_pairs_by<kOneRounding>(finish.clamps())
                                         : finish_pairs_by<kTwoRoundings>(finish.clamps());
}

// Fours of columns of one channel, from rows[...] + at on: each value is loaded once for the columns that it is in.
template <int Stride>
SPLIT_KERNELS_INNER_LOOP void sum_fours(const int8_t* const* rows, int32_t at, const int8_t* constants,
                                        int32_t* sums, const int32_t* end) {
  const int8_t *x0 = rows[0] + at, *x1 = rows[1] + at, *x2 = rows[2] + at;
  const int8_t* const weights = constants + sizeof(TapsRecord);
  const int32_t bias = reinterpret_cast<const TapsRecord*>(constants)->bias;
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

// Sums of a row of some channels, channel by channel. Rows begin under the first column of the first channel.
template <int Stride>
void sum_planes(const int8_t* const* rows, int32_t plane_bytes, const int8_t* constants, int32_t planes,
                int32_t columns, int32_t, int32_t* sums) {
  const int32_t some = columns / 4 * 4, left = columns - some;
  for (int32_t at = 0; planes > 0; --planes, constants += kTapsBytes, at += plane_bytes) {
    if (some > 0) sum_fours<Stride>(rows, at, constants, sums, sums + some);
    sums += columns;
    if (left > 1 && some > 0) {
      // Two or three columns more cost no more than the last four, some of them once more.
      sum_fours<Stride>(rows, at + (columns - 4) * Stride, constants, sums - 4, sums);
    } else {
      for (int32_t i = left; i > 0; --i) sums[-i] = sum_one(rows, at + (columns - i) * Stride, constants);
    }
  }
}

// The same by any stride.
void sum_planes_one_by_one(const int8_t* const* rows, int32_t plane_bytes, const int8_t* constants,
                           int32_t planes, int32_t columns, int32_t stride, int32_t* sums) {
  for (int32_t at = 0; planes > 0; --planes, constants += kTapsBytes, at += plane_bytes) {
    for (int32_t i = 0; i < columns; ++i) *sums++ = sum_one(rows, at + i * stride, constants);
  }
}

constexpr int32_t kMostSums = 96;  // of columns of some channels, on the stack

// One row of planes by a 3x3 kernel, as many columns or channels together as there is memory for sums.
void rows_3x3(const Taps& taps, const Finish& finish, const Planes& planes, int32_t count,
              int32_t columns, int32_t step, int8_t* y) {
  const auto finish_them = finish_planes_of(finish);
  const auto sum_them = taps.stride == 1   ? sum_planes<1>
                        : taps.stride == 2 ? sum_planes<2>
                                           : sum_planes_one_by_one;
  const Places places(taps, planes);
  const int32_t channels = count * taps.multiplier;
  const int32_t most = taps.multiplier > 1 ? 1 : kMostSums / least(columns, kSumsTogether);
  const int32_t together = columns > kSumsTogether ? 1 : most;
  const int8_t* constants = taps.constants;
  for (int32_t channel = 0; channel < channels; channel += together, constants += together * kTapsBytes) {
    const int32_t some = least(together, channels - channel);
    const int8_t* const data = planes.data + channel / taps.multiplier * planes.plane_bytes;
    for (int32_t at = 0; at < columns; at += kSumsTogether) {
      const int32_t here = least(kSumsTogether, columns - at);
      const int8_t* const from = data + at * taps.stride;
      const int8_t* const rows[] = {from + places.of[0], from + places.of[1], from + places.of[2]};
      int32_t sums[kMostSums];
      sum_them(rows, planes.plane_bytes, constants, some, here, taps.stride, sums);
      finish_them(finish, constants, sums, some, here, step, y + at * step + channel);
    }
  }
}

// Product i of a four, of four positions.
inline void put(int32_t i, int32_t a, int32_t b, int32_t c, int32_t d, int16_t* to) {
  int16_t* const here = to + i % 2 * 8 + i / 2;
  here[0] = static_cast<int16_t>(a), here[2] = static_cast<int16_t>(b);
  here[4] = static_cast<int16_t>(c), here[6] = static_cast<int16_t>(d);
}

// multiply() of four positions with a short rounding.
SPLIT_KERNELS_INNER_LOOP void multiply_fours(const Product& product, const Finish& finish,
                                             const int16_t* x, const Results& results) {
  const auto finish_both = finish_pairs_of(finish).four;
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

// Sums of 1 to 4 positions.
void multiply_any_pair(int32_t positions, const int16_t* x, const int8_t* weights, int32_t steps,
                       const int32_t bias[2], int32_t sums[8]) {
  if (positions == kPositions) return multiply_pair<kPositions>(x, weights, steps, bias, sums);
  multiply_pair_of(positions, x, weights, steps, bias, sums);
}

// multiply() of fewer positions with a short rounding.
void multiply_few(const Product& product, const Finish& finish, const int16_t* x, int32_t positions,
                  const Results& results) {
  const auto finish_both = finish_pairs_of(finish).few;
  const PairRecord* record = static_cast<const PairRecord*>(product.records);
  const int8_t* weights = product.weights;
  const int32_t bytes = 2 * product.products, steps = product.products / 2;
  int8_t* y = results.y;
  for (int32_t left = product.channels; left > 0; left -= 2, ++record, weights += bytes) {
    int32_t sums[8];
    multiply_pair_of(positions, x, weights, steps, record->bias, sums);
    finish_both(finish, record->finish, sums, least(left, 2), positions, results, y);
    y += 2 * results.channel_step;
  }
}

}  // namespace

void widen(const int8_t* x, int32_t step, int32_t positions, int32_t count, int32_t fours_done,
           bool, int16_t* to) {
  widen_plainly<put>(x, step, positions, count, to + fours_done * 4 * positions);
}

void widen_ragged(const int8_t* x, int32_t row_step, int32_t rows, int32_t run, int32_t step, bool,
                  int16_t* to) {
  widen_ragged<put>(x, row_step, rows, run, step, to);
}

void multiply(const Product& product, const Finish& finish, const int16_t* x, int32_t positions,
              const Results& results) {
  const Finish f = finish;  // a copy: a store to y might change the caller's, for the compiler
  if (f.rounding != kAnyRounding) {
    if (positions == kPositions) return multiply_fours(product, f, x, results);
    return multiply_few(product, f, x, positions, results);
  }
  const PairRecord* record = static_cast<const PairRecord*>(product.records);
  const int8_t* weights = product.weights;
  int8_t* y = results.y;
  for (int32_t channel = 0; channel < product.channels; ++record, weights += 2 * product.products) {
    int32_t sums[8];
    multiply_any_pair(positions, x, weights, product.products / 2, record->bias, sums);
    for (int32_t i = 0; i < 2 && channel < product.channels; ++i, ++channel, y += results.channel_step) {
      finish_any(f, record->finish[i], sums + i, 2, positions, results.position_step, y);
    }
  }
}

void multiply_sums(const Product& product, const int16_t* x, int32_t positions, int32_t channels,
                   int32_t* y) {
  const SumsRecord* record = static_cast<const SumsRecord*>(product.records);
  const int8_t* weights = product.weights;
  for (int32_t channel = 0; channel < product.channels; channel += 2, ++record) {
    int32_t sums[8];
    multiply_any_pair(positions, x, weights, product.products / 2, record->bias, sums);
    weights += 2 * product.products;
    put_sums(sums, positions, least(2, product.channels - channel), channels, y + channel);
  }
}

void depthwise_row(const Taps& taps, const Finish& finish, const Planes& planes, int32_t count,
                   int32_t columns, int32_t step, int8_t* y) {
  const Finish f = finish;
  if (columns < 1) return;
  if (!is_3x3(taps)) return depthwise_any(taps, f, planes, count, columns, step, y);
  rows_3x3(taps, f, planes, count, columns, step, y);
}

void to_planes(const int8_t* x, int32_t step, int32_t columns, int32_t count, int32_t plane_bytes,
               int32_t, int8_t* to) {
  to_planes_plainly(x, step, columns, count, plane_bytes, to);
}

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_PORTABLE
