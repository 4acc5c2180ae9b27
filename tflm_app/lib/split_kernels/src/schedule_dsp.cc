// SPDX-License-Identifier: Apache-2.0
// Cores with DSP instructions (Cortex-M4, M7, M33): SMLAD multiplies two pairs of 16 bit values.
//
// Widened values lie as words of two: for every four products first those with even, then those with
// odd numbers, of all positions: [four][odd][position][2], as SXTB16 makes them of four bytes. With
// a short rounding SMMULR wants doubled sums: of few products the values are doubled here.
#include "target.h"

#if SPLIT_KERNELS_DSP

#include <arm_acle.h>

#include <cstring>

#include "arithmetic.h"
#include "dsp_asm.h"
#include "schedule.h"

namespace split_kernels {
namespace {

inline uint32_t load(const int8_t* from) {
  uint32_t word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

inline int32_t even(uint32_t word) { return __sxtb16(static_cast<int8x4_t>(word)); }
inline int32_t odd(uint32_t word) {  // as intrinsics two instructions
  int32_t halves;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(halves) : "r"(word));
  return halves;
}

template <bool Doubled>
inline int32_t widened(int32_t halves) {
  return Doubled ? __sadd16(halves, halves) : halves;
}

// Whole fours of `Positions` positions, up to three.
template <int Positions, bool Doubled>
int32_t* widen_fours(const int8_t* x, int32_t step, int32_t fours, int32_t* to) {
  const int8_t* const x1 = x + step;
  const int8_t* const x2 = x1 + step;
  const int8_t* const end = x + 4 * fours;
  for (int32_t at = 0; x + at != end; at += 4, to += 2 * Positions) {
    const uint32_t a = load(x + at);
    const uint32_t b = Positions > 1 ? load(x1 + at) : 0;
    const uint32_t c = Positions > 2 ? load(x2 + at) : 0;
    to[0] = widened<Doubled>(even(a));
    to[Positions] = widened<Doubled>(odd(a));
    if (Positions > 1) to[1] = widened<Doubled>(even(b)), to[Positions + 1] = widened<Doubled>(odd(b));
    if (Positions > 2) to[2] = widened<Doubled>(even(c)), to[Positions + 2] = widened<Doubled>(odd(c));
  }
  return to;
}

template <bool Doubled>
void widen_as(const int8_t* x, int32_t step, int32_t positions, int32_t count, int32_t* to) {
  const int32_t whole = count / 4;
  switch (positions) {
    case 1: to = widen_fours<1, Doubled>(x, 0, whole, to); break;
    case 2: to = widen_fours<2, Doubled>(x, step, whole, to); break;
    case 3: to = widen_fours<3, Doubled>(x, step, whole, to); break;
    default:
      if (whole > 0) {
        (Doubled ? split_kernels_widen_doubled : split_kernels_widen_once)(x, step, to, whole * 4);
        to += whole * 8;
      }
      break;
  }
  if (whole * 4 == count) return;
  for (int32_t position = 0; position < positions; ++position, ++to) {
    uint32_t word = 0;
    std::memcpy(&word, x + position * step + whole * 4, static_cast<size_t>(count - whole * 4));
    to[0] = widened<Doubled>(even(word));
    to[positions] = widened<Doubled>(odd(word));
  }
}

inline uint32_t load_two(const int8_t* from) {
  uint16_t half;
  std::memcpy(&half, from, sizeof half);
  return half;
}

template <bool Doubled>
void widen_nines_as(const int8_t* x, int32_t row_step, int32_t stride, int32_t* to) {
  for (const int32_t* const end = to + kPositions; to != end; ++to, x += stride) {
    const int8_t *const second = x + row_step, *const third = second + row_step;
    const auto put = [to](int32_t four, uint32_t word) {
      to[8 * four] = widened<Doubled>(even(word)), to[8 * four + 4] = widened<Doubled>(odd(word));
    };
    put(0, load(x)), put(1, load(x + 4));
    put(2, static_cast<uint8_t>(x[8]) | load(second) << 8);
    put(3, load(second + 3));
    put(4, load_two(second + 7) | load_two(third) << 16);
    put(5, load(third + 2));
    put(6, load(third + 5) >> 8);
  }
}

const int16_t* end_of(const Product& product, const int16_t* x, int32_t positions) {
  return x + product.products * positions;
}

// The first step is none of the loop's, and the others are an odd number.
int32_t steps_out(const Product& product, int32_t positions, bool wide_rows = false) {
  const int32_t steps = kSplitKernelsSteps(positions, wide_rows);
  return steps - ((product.products / 2 - 1) & (steps - 1));
}

// A function for so many positions, and what it is told.
struct Multiply {
  Multiply(const Product& product, const Finish& finish, bool rows, int32_t positions) {
    static SplitKernelsMultiply* const kFunctions[2][2][4] = {
        {{split_kernels_twice_planes_1, split_kernels_twice_planes_2, split_kernels_twice_planes_3,
          split_kernels_twice_planes_4},
         {split_kernels_twice_rows_1, split_kernels_twice_rows_2, split_kernels_twice_rows_3,
          split_kernels_twice_rows_4}},
        {{split_kernels_twice_planes_1, split_kernels_once_planes_2, split_kernels_once_planes_3,
          split_kernels_once_planes_4},
         {split_kernels_twice_rows_1, split_kernels_twice_rows_2, split_kernels_twice_rows_3,
          split_kernels_once_rows_4}}};
    const bool doubled = !rows || doubles_rows(product, finish.rounding, positions);
    run = kFunctions[finish.rounding == kOneRounding][rows][positions - 1];
    if (rows && doubled && positions == kPositions) run = split_kernels_once_narrow_rows_4;
    out = steps_out(product, positions, !doubled);
  }
  SplitKernelsMultiply* run;
  int32_t out;
};

SplitKernelsMultiplySums* sums_of(int32_t positions) {
  static SplitKernelsMultiplySums* const kFunctions[4] = {
      split_kernels_sums_1, split_kernels_sums_2, split_kernels_sums_3, split_kernels_sums_4};
  return kFunctions[positions - 1];
}

const int8_t* weights_of_pair(const Product& product, int32_t pair) {
  return product.weights + pair * 2 * product.products;
}

// Pair by pair, with TFLM's arithmetic as it stands.
[[gnu::noinline]] void multiply_any(const Product& product, const Finish& finish,
                                    const int16_t* x, int32_t positions, const Results& results) {
  const int16_t* const end = end_of(product, x, positions);
  const int32_t out = steps_out(product, positions);
  const PairRecord* record = static_cast<const PairRecord*>(product.records);
  for (int32_t channel = 0; channel < product.channels; channel += 2, ++record) {
    int32_t sums[2 * kPositions];
    sums_of(positions)(x, weights_of_pair(product, channel / 2), record, sums, 8, 4,
                       record->finish, end, out);
    for (int32_t i = 0; i < 2 && channel + i < product.channels; ++i) {
      int8_t* y = results.y + (channel + i) * results.channel_step;
      for (int32_t position = 0; position < positions; ++position, y += results.position_step) {
        *y = finish_one(finish, record->finish[i], sums[2 * position + i]);
      }
    }
  }
}

[[gnu::noinline]] void clamp_all(const Finish& finish, int32_t channels, int32_t positions, const Results& results) {
  for (int32_t position = 0; position < positions; ++position) {
    int8_t* y = results.y + position * results.position_step;
    for (int32_t channel = 0; channel < channels; ++channel, y += results.channel_step) {
      *y = clamp_to(*y, finish.activation_min, finish.activation_max);
    }
  }
}

// The last channel, beside one that is not there.
[[gnu::noinline]] void multiply_last(const Multiply& multiply, const Product& product,
                                     const int16_t* x, int32_t positions, const Results& results) {
  const int32_t pairs = product.channels / 2;
  const PairRecord* const record = static_cast<const PairRecord*>(product.records) + pairs;
  int8_t both[2 * kPositions];
  const bool rows = results.channel_step == 1;
  const int32_t step = rows ? 2 : 1, between = rows ? 1 : kPositions;
  multiply.run(x, weights_of_pair(product, pairs), record, both, step, between, record + 1,
               end_of(product, x, positions), multiply.out);
  int8_t* const y = results.y + (product.channels - 1) * results.channel_step;
  for (int32_t i = 0; i < positions; ++i) y[i * results.position_step] = both[i * step];
}

}  // namespace

void widen(const int8_t* x, int32_t step, int32_t positions, int32_t count, int32_t fours_done,
           bool doubled, int16_t* to) {
  int32_t* const words = reinterpret_cast<int32_t*>(to + fours_done * 4 * positions);
  if (doubled) {
    widen_as<true>(x, step, positions, count, words);
  } else {
    widen_as<false>(x, step, positions, count, words);
  }
}

void widen_nines(const int8_t* x, int32_t row_step, int32_t step, bool doubled, int16_t* to) {
  (doubled ? widen_nines_as<true> : widen_nines_as<false>)(x, row_step, step, reinterpret_cast<int32_t*>(to));
}

void multiply(const Product& product, const Finish& finish, const int16_t* x, int32_t positions,
              const Results& results) {
  if (finish.rounding == kAnyRounding) return multiply_any(product, finish, x, positions, results);
  const int16_t* const end = end_of(product, x, positions);
  const Multiply with(product, finish, results.channel_step == 1, positions);
  const int32_t pairs = product.channels / 2;
  const PairRecord* const records = static_cast<const PairRecord*>(product.records);
  if (pairs > 0) {
    with.run(x, product.weights, records, results.y, results.position_step, results.channel_step,
             records + pairs, end, with.out);
  }
  if (product.channels & 1) multiply_last(with, product, x, positions, results);
  if (finish.clamps()) clamp_all(finish, product.channels, positions, results);
}

void multiply_groups(const Product& product, const Finish& finish, const int16_t* x, int32_t groups,
                     int16_t* room, const Results& results) {
  const int32_t pairs = product.channels / 2, values = product.products * kPositions;
  const PairRecord* const records = static_cast<const PairRecord*>(product.records);
  if (pairs > 0) {
    (finish.rounding == kOneRounding ? split_kernels_groups_once_planes
                                     : split_kernels_groups_twice_planes)(
        x, product.weights, records, results.y, results.channel_step, records + pairs,
        x + groups * values, room, room + 2 * product.products, steps_out(product, kPositions));
  }
  if (product.channels & 1) {
    for (int32_t i = 0; i < groups; ++i) {
      multiply_last(Multiply(product, finish, false, kPositions), product, x + i * values, kPositions,
                    {results.y + i * kPositions, 1, results.channel_step});
    }
  }
  if (finish.clamps()) clamp_all(finish, product.channels, groups * kPositions, results);
}

void multiply_group_rows(const Product& product, const Finish& finish, const int16_t* x,
                         int32_t groups, int16_t* room, int32_t step, int8_t* y) {
  const int32_t pairs = product.channels / 2, values = product.products * kPositions;
  const int32_t out = steps_out(product, kPositions);
  const PairRecord* const records = static_cast<const PairRecord*>(product.records);
  if (pairs > 0) {
    (finish.rounding == kOneRounding ? split_kernels_groups_once_rows
                                     : split_kernels_groups_twice_rows)(
        x, product.weights, records, y, step, records + pairs, x + groups * values, room,
        room + 2 * product.products, out);
  }
  if (product.channels & 1) {
    const PairRecord& last = records[pairs];
    for (int32_t i = 0; i < groups; ++i, x += values) {
      int32_t sums[2 * kPositions];
      split_kernels_sums_4(x, weights_of_pair(product, pairs), &last, sums, 8, 4, last.finish,
                           end_of(product, x, kPositions), out);
      int8_t* to = y + i * kPositions * step + product.channels - 1;
      for (int32_t position = 0; position < kPositions; ++position, to += step) {
        *to = finish_one(finish, last.finish[0], sums[2 * position]);
      }
    }
  }
  if (finish.clamps()) clamp_all(finish, product.channels, groups * kPositions, {y, step, 1});
}

void multiply_sums(const Product& product, const int16_t* x, int32_t positions, int32_t channels,
                   int32_t* y) {
  const int16_t* const end = end_of(product, x, positions);
  const int32_t out = steps_out(product, positions);
  SplitKernelsMultiplySums* const run = sums_of(positions);
  const int32_t pairs = product.channels / 2;
  const SumsRecord* const records = static_cast<const SumsRecord*>(product.records);
  if (pairs > 0) run(x, product.weights, records, y, 4 * channels, 4, records + pairs, end, out);
  if (product.channels & 1) {
    int32_t both[2 * kPositions];
    run(x, weights_of_pair(product, pairs), records + pairs, both, 8, 4, records + pairs + 1, end, out);
    for (int32_t i = 0; i < positions; ++i) y[i * channels + product.channels - 1] = both[2 * i];
  }
}

namespace {

// Any kernel: row by row of weights, four taps at a time.
template <bool IsPlain>
int32_t sum_taps(const Taps& taps, const Planes& planes, const int8_t* x, const int8_t* weights,
                 int32_t sum) {
  int32_t under = 0;
  for (int32_t row = 0; row < taps.kernel_rows; ++row) {
    const int8_t* from = x + planes.place_of(under);
    if (IsPlain) {
      for (int32_t i = 0; i < taps.kernel_columns; i += 4, from += 4, weights += 4) {
        const uint32_t values = load(from), four = load(weights);
        sum = __smlad(even(values), even(four), sum);
        sum = __smlad(odd(values), odd(four), sum);
      }
    } else {
      for (int32_t i = 0; i < taps.kernel_columns; ++i) {
        sum = wrapping_add(sum, from[i * taps.dilation_columns] * weights[i]);
      }
      weights += fours(taps.kernel_columns);
    }
    if (taps.kernel_rows > 1) under += taps.dilation_rows;  // of a single row it has no bounds
  }
  return sum;
}

void depthwise_any(const Taps& taps, const Finish& finish, const Planes& planes, int32_t count,
                   int32_t columns, int32_t step, int8_t* y) {
  const int8_t* constants = taps.constants;
  const int32_t taps_bytes = taps.kernel_rows * fours(taps.kernel_columns);
  for (int32_t plane = 0; plane < count; ++plane) {
    for (int32_t k = 0; k < taps.multiplier; ++k, ++y) {
      const TapsRecord& record = *reinterpret_cast<const TapsRecord*>(constants);
      const int8_t* const weights = constants + sizeof(TapsRecord);
      constants = weights + taps_bytes;
      const ChannelFinish channel = {record.multiplier, record.addend, record.shift};
      const int8_t* x = planes.data + plane * planes.plane_bytes;
      for (int32_t column = 0; column < columns; ++column, x += taps.stride) {
        const int32_t sum = taps.dilation_columns == 1
                                ? sum_taps<true>(taps, planes, x, weights, record.bias)
                                : sum_taps<false>(taps, planes, x, weights, record.bias);
        y[column * step] = finish_one(finish, channel, sum);
      }
    }
  }
}

bool is_fast(const Taps& taps, const Finish& finish) {
  return taps.kernel_rows == 3 && taps.kernel_columns == 3 && taps.stride <= 2 &&
         taps.dilation_rows == 1 && taps.dilation_columns == 1 &&
         finish.rounding != kAnyRounding;
}

SplitKernelsDepthwise* depthwise_of(const Finish& finish, int32_t stride) {
  if (finish.rounding == kOneRounding) {
    return stride == 1 ? split_kernels_depthwise_once_1 : split_kernels_depthwise_once_2;
  }
  return stride == 1 ? split_kernels_depthwise_twice_1 : split_kernels_depthwise_twice_2;
}
// Where the first of three rows is, and how far the others are from it.
struct ThreeRows {
  explicit ThreeRows(const Planes& planes) {
    const int32_t place = planes.place_of(0);
    first = planes.data + place;
    second = planes.place_of(1) - place, third = planes.place_of(2) - place;
  }
  const int8_t* first;
  int32_t second;
  int32_t third;
};

// Several channels of each plane: from one to the next the plane stays.
[[gnu::noinline]] void depthwise_multiplied(SplitKernelsDepthwise* run, const Taps& taps,
                                            const Planes& planes, const ThreeRows& rows,
                                            int32_t count, int32_t columns, int32_t step,
                                            int8_t* y) {
  const int32_t constants_bytes = static_cast<int32_t>(sizeof(TapsRecord)) + 3 * 4;
  for (int32_t plane = 0; plane < count; ++plane) {
    const int32_t first = plane * taps.multiplier;
    run(rows.first + plane * planes.plane_bytes, taps.constants + first * constants_bytes, y + first,
        step, rows.second, 0, taps.multiplier, columns / 2, columns & 1, rows.third);
  }
}

// From a channel's widened values to the next's, of four: odd products lie behind even ones, and two of
// a kind share a word.
constexpr int32_t kNextChannel = 0x0E10F210;  // +16, -14, +16, +14
static_assert(kPositions == 4);

}  // namespace

bool widens_depthwise(const Taps& taps, const Finish& finish) {
  return is_fast(taps, finish) && taps.multiplier == 1 && finish.rounding == kOneRounding &&
         !finish.clamps();
}

void depthwise_row_widened(const Taps& taps, const Finish&, const Planes& planes,
                           int32_t count, int32_t columns, int32_t position, int16_t* y) {
  const int32_t group = kPositions * fours(count), before = position % kPositions;
  const int32_t to_end = before == 0 ? 0 : kPositions - before;
  const int32_t lead = columns > to_end ? to_end : 0;
  const int32_t quads = columns > to_end ? (columns - lead) / kPositions : 0;
  int16_t* const first = y + position / kPositions * group + (lead == 0 ? 2 * before : 0);
  const ThreeRows rows(planes);
  (taps.stride == 1 ? split_kernels_depthwise_widened_1 : split_kernels_depthwise_widened_2)(
      rows.first, taps.constants, first, 2 * group, rows.second, planes.plane_bytes, count, quads, lead,
      rows.third, columns - lead - quads * kPositions, kNextChannel);
}

void depthwise_row(const Taps& taps, const Finish& finish, const Planes& planes, int32_t count,
                   int32_t columns, int32_t step, int8_t* y) {
  if (!is_fast(taps, finish)) {
    depthwise_any(taps, finish, planes, count, columns, step, y);
    return;
  }
  const ThreeRows rows(planes);
  if (taps.multiplier == 1) {
    depthwise_of(finish, taps.stride)(rows.first, taps.constants, y, step, rows.second,
                                      planes.plane_bytes, count, columns / 2, columns & 1, rows.third);
  } else {
    depthwise_multiplied(depthwise_of(finish, taps.stride), taps, planes, rows, count, columns, step, y);
  }
  if (finish.clamps()) clamp_all(finish, count * taps.multiplier, columns, {y, step, 1});
}

void to_planes(const int8_t* x, int32_t step, int32_t columns, int32_t count, int32_t plane_bytes,
               int32_t, int8_t* to) {
  if (columns <= 0) return;
  const int32_t whole = count - count % 4;
  if (whole > 0) split_kernels_to_planes(x, step, columns, plane_bytes, to, whole * plane_bytes);
  if (whole == count) return;
  for (int32_t column = 0; column < columns; ++column, x += step, ++to) {
    for (int32_t plane = whole; plane < count; ++plane) to[plane * plane_bytes] = x[plane];
  }
}

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_DSP
