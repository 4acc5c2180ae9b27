// SPDX-License-Identifier: Apache-2.0
// Cortex-M0 and M0+ (ARMv6-M), around the loops of v6m_asm.cc, which say how two products come by one
// multiplication: values of two positions are one word, the second 2^16 times the first.
//
// Widened values of four positions: for every four products first those with even, then those with odd
// numbers, and of each first both of positions 0 and 1: [four][odd][pair of positions][2] words.
#include "target.h"

#if SPLIT_KERNELS_V6M

#include "plain_loops.h"

namespace split_kernels {
namespace {

extern "C" {
// Sums of four widened positions, as multiply_pair(); _short_: of a layer with a short rounding.
typedef void SplitKernelsV6mSums(const int16_t* x, const int8_t* weights, const int16_t* x_end,
                                 const int32_t bias[2], int32_t sums[8]);
SplitKernelsV6mSums split_kernels_v6m_sums, split_kernels_v6m_short_sums;
// Sums of one channel to int8: _1 with two roundings, _2 with one; then how many words sums lie apart.
typedef void SplitKernelsV6mFinish(const ChannelFinish* channel, const int32_t* sums, const int32_t* end,
                                   int8_t* y, int32_t low, int32_t high, int32_t step);
SplitKernelsV6mFinish split_kernels_v6m_finish_1_1, split_kernels_v6m_finish_1_2;
SplitKernelsV6mFinish split_kernels_v6m_finish_2_1, split_kernels_v6m_finish_2_2;
// The same of sums side by side of a channel that is_relu().
void split_kernels_v6m_finish_relu(const ChannelFinish* channel, const int32_t* sums, const int32_t* end,
                                   int8_t* y, int32_t step);
// Products of groups of four widened positions, one behind the other in x and in y, with channels that are as is_relu()
// says, from the first on; how many are left is there afterwards.
struct V6mGroups {
  const int16_t* x;
  const int16_t* x_end;
  uint32_t steps;  // bit 30: twos of them are odd
  const PairRecord* record;
  const int8_t* weights;
  int8_t* y;
  int32_t position_step;
  int32_t channel_step;
  int32_t channels;
  int32_t weights_bytes;  // of a pair
  int32_t group_bytes;    // of x
};
void split_kernels_v6m_groups_relu(V6mGroups* groups);
// Sums of fours of columns, by stride 1 or 2; rows begin under the first.
typedef void SplitKernelsV6mFours(const int8_t* const* rows, const int8_t* weights, int32_t bias,
                                  int32_t* sums, const int32_t* end);
SplitKernelsV6mFours split_kernels_v6m_fours_1, split_kernels_v6m_fours_2;
// A row of 3x3 windows of planes that are as is_relu() says, from the first on, by stride 1 or 2; what comes next, and
// how many planes are left, is there afterwards. At most kSumsTogether columns.
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
void split_kernels_v6m_rows_relu_1(V6mRows* rows);
void split_kernels_v6m_rows_relu_2(V6mRows* rows);
// The same as widened values. Columns are even.
struct V6mWidenedRows {
  const int8_t* rows[3];
  int32_t plane_bytes;
  const int8_t* record;
  int8_t* y;               // word of the first two columns
  int32_t pair_steps[2];   // bytes from these to the next two, and from those to the next
  int32_t fours_end;       // column of x behind those of whole fours
  int32_t two;             // whether two columns are left then
  uint32_t channel_steps;  // bytes from a channel's word to the next's, of four
  int32_t planes;
};
void split_kernels_v6m_rows_widened_1(V6mWidenedRows* rows);
void split_kernels_v6m_rows_widened_2(V6mWidenedRows* rows);
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

// Sums of a row of one channel, one after the other, `step` apart as int8.
typedef void FinishRow(const Finish& finish, const TapsRecord& record, const int32_t* sums,
                       int32_t count, int32_t step, int8_t* y);

void finish_any_row(const Finish& finish, const TapsRecord& record, const int32_t* sums,
                           int32_t count, int32_t step, int8_t* y) {
  const ChannelFinish channel = {record.multiplier, record.addend, record.shift};
  finish_any(finish, channel, sums, 1, count, step, y);
}

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

void finish_any_sums(const Finish& finish, const ChannelFinish& channel, const int32_t* sums,
                     int32_t count, int32_t step, int8_t* y) {
  finish_any(finish, channel, sums, 2, count, step, y);
}

// Sums of `positions` with two channels, or one.
inline void finish_sums(const Finish& finish, const ChannelFinish* channel, int32_t channels,
                        const int32_t* sums, int32_t positions, const Results& results, int8_t* y) {
  const auto finish_them = finish.rounding == kAnyRounding ? finish_any_sums : finish_exactly<2>;
  finish_them(finish, channel[0], sums, positions, results.position_step, y);
  if (channels < 2) return;
  y += results.channel_step;
  finish_them(finish, channel[1], sums + 1, positions, results.position_step, y);
}

// Sums of 1 to 4 positions.
void multiply_any_pair(int32_t positions, const int16_t* x, const int8_t* weights, int32_t steps,
                       const int32_t bias[2], int32_t sums[8]) {
  if (positions == kPositions) return split_kernels_v6m_sums(x, weights, x + 8 * steps, bias, sums);
  multiply_pair_of(positions, x, weights, steps, bias, sums);
}

// Products of groups of four positions with those channels, from the first on, that are as is_relu() says: how many.
int32_t multiply_relu(const Product& product, const int16_t* x, int32_t groups, const Results& results) {
  const int32_t group = kPositions * product.products;
  const uint32_t odd = static_cast<uint32_t>(product.products) / 4 % 2;
  V6mGroups all = {x,
                   x + groups * group,
                   odd << 30,
                   static_cast<const PairRecord*>(product.records),
                   product.weights,
                   results.y,
                   results.position_step,
                   results.channel_step,
                   product.channels,
                   2 * product.products,
                   2 * group};
  split_kernels_v6m_groups_relu(&all);
  // A pair is finished together: its first channel may be made once more.
  const int32_t done = product.channels - all.channels;
  return all.channels > 0 ? done / 2 * 2 : done;
}

// The other channels, from `channel` on.
void multiply_from(int32_t channel, const Product& product, const Finish& finish, const int16_t* x,
                   int32_t positions, const Results& results) {
  const PairRecord* record = static_cast<const PairRecord*>(product.records) + channel / 2;
  const int8_t* weights = product.weights + channel * product.products;
  int8_t* y = results.y + channel * results.channel_step;
  for (; channel < product.channels; channel += 2, ++record) {
    int32_t sums[8];
    if (positions == kPositions && finish.rounding != kAnyRounding) {
      split_kernels_v6m_short_sums(x, weights, x + kPositions * product.products, record->bias, sums);
    } else {
      multiply_any_pair(positions, x, weights, product.products / 2, record->bias, sums);
    }
    weights += 2 * product.products;
    finish_sums(finish, record->finish, least(2, product.channels - channel), sums, positions, results, y);
    y += 2 * results.channel_step;
  }
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

// One row of planes by a 3x3 kernel. `places`: where the three rows lie in a plane, found once.
void rows_3x3(const Taps& taps, const Finish& finish, const int8_t* data, const int32_t places[3],
              int32_t plane_bytes, int32_t count, int32_t columns, int32_t step, int8_t* y) {
  FinishRow* const finish_row = finish_row_of(finish);
  const int32_t stride = taps.stride;
  const int8_t* constants = taps.constants;
  for (int32_t k = 0; count > 0; ++y) {
    const TapsRecord& record = *reinterpret_cast<const TapsRecord*>(constants);
    const int8_t* const weights = constants + sizeof(TapsRecord);
    const int8_t* from = data;
    int8_t* to = y;
    for (int32_t left = columns; left > 0; left -= kSumsTogether) {
      const int32_t some = least(left, kSumsTogether);
      const int8_t* const rows[] = {from + places[0], from + places[1], from + places[2]};
      int32_t sums[kSumsTogether];
      int32_t at = sum_fours(rows, weights, record.bias, stride, some, sums);
      for (; at < some; ++at) sums[at] = sum_one(rows, at * stride, constants);
      finish_row(finish, record, sums, some, step, to);
      // Behind the last columns there may be no such place, and no int32 for it: that one is not read.
      from += static_cast<int32_t>(uint32_t{kSumsTogether} * static_cast<uint32_t>(stride));
      to += static_cast<int32_t>(uint32_t{kSumsTogether} * static_cast<uint32_t>(step));
    }
    constants += kTapsBytes;
    if (++k == taps.multiplier) k = 0, data += plane_bytes, --count;
  }
}

// As many planes of a row, from the first on, as the loop with RELU takes; `constants`: those of the next.
int32_t rows_relu(const Taps& taps, const Planes& planes, const Places& places, int32_t count,
                  int32_t columns, int32_t step, int8_t* y, const int8_t** constants) {
  // A row is read as if columns came in fours: by stride 2 up to kSpareBytes further, unless one is left over.
  const bool in_fours = taps.stride == 1 || (taps.stride == 2 && columns % 4 != 1);
  if (!in_fours || taps.multiplier != 1 || columns > kSumsTogether || count < 1 || columns < 1) return 0;
  const int8_t* const data = planes.data;
  V6mRows rows = {{data + places.of[0], data + places.of[1], data + places.of[2]},
                  planes.plane_bytes,
                  taps.constants,
                  y,
                  step,
                  4 * columns,
                  16 * ((columns + 3) / 4),
                  count};
  (taps.stride == 1 ? split_kernels_v6m_rows_relu_1 : split_kernels_v6m_rows_relu_2)(&rows);
  *constants = rows.record;
  return count - rows.planes;
}

// Product i of a four, of four positions, in words of two.
inline void put(int32_t i, int32_t a, int32_t b, int32_t c, int32_t d, int16_t* to) {
  typedef int32_t Word [[gnu::may_alias]];
  Word* const words = reinterpret_cast<Word*>(to) + i % 2 * 4 + i / 2;
  words[0] = a + b * 65536, words[2] = c + d * 65536;
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
  const bool relu = positions == kPositions && may_be_relu(finish);
  const int32_t done = relu ? multiply_relu(product, x, 1, results) : 0;
  if (done < product.channels) multiply_from(done, product, finish, x, positions, results);
}

void multiply_groups(const Product& product, const Finish& finish, const int16_t* x, int32_t groups,
                     int16_t*, const Results& results) {
  const int32_t done = may_be_relu(finish) ? multiply_relu(product, x, groups, results) : 0;
  if (done >= product.channels) return;
  Results here = results;
  for (int32_t i = 0; i < groups; ++i, x += kPositions * product.products) {
    multiply_from(done, product, finish, x, kPositions, here);
    here.y += kPositions * results.position_step;
  }
}

void multiply_group_rows(const Product& product, const Finish& finish, const int16_t* x, int32_t groups,
                         int16_t* room, int32_t step, int8_t* y) {
  multiply_groups(product, finish, x, groups, room, {y, step, 1});
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
  if (!is_3x3(taps)) return depthwise_any(taps, finish, planes, count, columns, step, y);
  const Places places(taps, planes);
  Taps left = taps;
  const int32_t done = may_be_relu(finish) ? rows_relu(taps, planes, places, count, columns, step, y,
                                                       &left.constants)
                                           : 0;
  rows_3x3(left, finish, planes.data + done * planes.plane_bytes, places.of, planes.plane_bytes,
           count - done, columns, step, y + done);
}

bool widens_depthwise(const Taps& taps, const Finish& finish) {
  return is_3x3(taps) && taps.stride <= 2 && taps.multiplier == 1 && may_be_relu(finish);
}

namespace {

// Where pairs of positions are widened: bytes from a group's first word on.
constexpr int32_t kPairBytes = 8;
int32_t place_of_pair(int32_t position, int32_t group_bytes) {
  return position / kPositions * group_bytes + position % kPositions / 2 * kPairBytes;
}
// The same of channels, and from one to the next, of four.
int32_t place_of_channel(int32_t channel) {
  return channel / 4 * 32 + channel % 2 * 16 + channel % 4 / 2 * 4;
}
constexpr uint32_t kNextChannel = 0x0C10F410;  // +16, -12, +16, +12

// One channel's row; `y`: its word of position 0.
void put_pairs(const int8_t* row, int32_t columns, int32_t position, int32_t group_bytes, int8_t* y) {
  typedef int32_t Word [[gnu::may_alias]];
  for (int32_t i = 0; i < columns; i += 2) {
    *reinterpret_cast<Word*>(y + place_of_pair(position + i, group_bytes)) = row[i] + row[i + 1] * 65536;
  }
}

}  // namespace

void depthwise_row_widened(const Taps& taps, const Finish& finish, const Planes& planes, int32_t count,
                           int32_t columns, int32_t position, int16_t* y) {
  const int32_t group_bytes = 2 * kPositions * fours(count), across = group_bytes - kPairBytes;
  int8_t* const first = reinterpret_cast<int8_t*>(y);
  const Places places(taps, planes);
  const int8_t* const data = planes.data;
  const bool second = position % kPositions != 0;
  V6mWidenedRows rows = {{data + places.of[0], data + places.of[1], data + places.of[2]},
                         planes.plane_bytes,
                         taps.constants,
                         first + place_of_pair(position, group_bytes),
                         {second ? across : kPairBytes, second ? kPairBytes : across},
                         columns / 4 * 4 * taps.stride,
                         columns % 4,
                         kNextChannel,
                         count};
  (taps.stride == 1 ? split_kernels_v6m_rows_widened_1 : split_kernels_v6m_rows_widened_2)(&rows);
  Taps one = taps;
  one.constants = rows.record;
  for (; rows.planes > 0; --rows.planes) {  // those that are no RELU
    const int32_t channel = count - rows.planes;
    Planes plane = planes;
    plane.data += channel * planes.plane_bytes;
    int8_t row[kSumsTogether];
    for (int32_t at = 0; at < columns; at += kSumsTogether) {
      const int32_t some = least(kSumsTogether, columns - at);
      depthwise_row(one, finish, plane, 1, some, 1, row);
      put_pairs(row, some, position + at, group_bytes, first + place_of_channel(channel));
      plane.data += kSumsTogether * taps.stride;
    }
    one.constants += kTapsBytes;
  }
}

void to_planes(const int8_t* x, int32_t step, int32_t columns, int32_t count, int32_t plane_bytes,
               int32_t, int8_t* to) {
  to_planes_plainly(x, step, columns, count, plane_bytes, to);
}

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_V6M
