// SPDX-License-Identifier: Apache-2.0
// Cores with MVE (Cortex-M55, M85): sixteen products of one channel an instruction (VMLADAV), for
// depthwise convolutions too, whose nine are a run of bytes (schedule.h).
//
// "Widened" values stay bytes here, in blocks of sixteen products of each position, filled up with 0:
// [block][position][16]; with four products or fewer, of four. In every four they have the order 0 2 1 3
// of packed weights, because VLD2 parts the two channels of a pair in that order.
#include "target.h"

#if SPLIT_KERNELS_MVE

#include <arm_mve.h>

#include <cstring>

#include "arithmetic.h"
#include "mve_asm.h"
#include "schedule.h"

namespace split_kernels {
namespace {

constexpr int32_t kBlock = 16;

int32_t block_of(int32_t products) { return products <= 4 ? 4 : kBlock; }

const int8_t* as_bytes(const int16_t* x) { return reinterpret_cast<const int8_t*>(x); }

// Sums of one pair of channels, s[channel][position], without its bias; nothing is read behind weights.
void sum_pair(const Product& product, int32_t pair, const int8_t* x, int32_t positions,
              int32_t s[2][4]) {
  const int8_t* weights = product.weights + pair * 2 * product.products;
  const uint8x16_t even = vidupq_n_u8(0, 2);
  const int32_t block = block_of(product.products);
  for (int i = 0; i < 4; ++i) s[0][i] = s[1][i] = 0;
  for (int32_t at = 0; at < product.products; at += kBlock, weights += 2 * kBlock) {
    const mve_pred16_t there = vctp8q(static_cast<uint32_t>(product.products - at));
    const int8x16_t first = vldrbq_gather_offset_z_s8(weights, even, there);
    const int8x16_t second = vldrbq_gather_offset_z_s8(weights + 1, even, there);
    for (int32_t i = 0; i < positions; ++i, x += block) {
      const int8x16_t values = vldrbq_z_s8(x, there);
      s[0][i] = vmladavaq_s8(s[0][i], values, first);
      s[1][i] = vmladavaq_s8(s[1][i], values, second);
    }
  }
}

// Bytes of weights that whole blocks read too much of.
int32_t over_of(const Product& product) {
  return (kBlock - product.products % kBlock) % kBlock * 2;
}

// Pairs whose weights may be read in whole blocks, since so much lies behind them.
int32_t whole_pairs(const Product& product) {
  if (product.products <= 4) return 0;
  const int32_t pair_bytes = 2 * product.products;
  const int32_t behind = (over_of(product) + pair_bytes - 1) / pair_bytes;
  const int32_t pairs = (product.channels + 1) / 2 - behind;
  return pairs < product.channels / 2 ? pairs : product.channels / 2;
}

int32_t more_blocks(const Product& product) { return (product.products - 1) / kBlock; }

struct Bounds {
  explicit Bounds(const Finish& finish)
      : low(vdupq_n_s32(finish.activation_min)), high(vdupq_n_s32(finish.activation_max)) {}
  int32x4_t low;
  int32x4_t high;
};

// Four sums of one channel under a short rounding. VQRDMULH doubles in 64 bits.
inline int32x4_t finish_four(int32_t rounding, const ChannelFinish& channel, const Bounds& bounds,
                             int32x4_t sums) {
  int32x4_t high = vqrdmulhq_n_s32(sums, channel.multiplier);
  if (rounding == kTwoRoundings) high = vaddq_s32(high, vshrq_n_s32(high, 31));
  high = vaddq_n_s32(high, channel.addend);
  high = vshlq_r_s32(high, -channel.shift);
  return vminq_s32(vmaxq_s32(high, bounds.low), bounds.high);
}

#define SPLIT_KERNELS_BY_POSITIONS(name)                                               \
  {split_kernels_mve_##name##_1, split_kernels_mve_##name##_2, split_kernels_mve_##name##_3, \
   split_kernels_mve_##name##_4}

SplitKernelsMveMultiply* multiply_of(const Finish& finish, bool halves, int32_t positions) {
  static SplitKernelsMveMultiply* const kFunctions[2][2][4] = {
      {SPLIT_KERNELS_BY_POSITIONS(twice_bytes), SPLIT_KERNELS_BY_POSITIONS(twice_halves)},
      {SPLIT_KERNELS_BY_POSITIONS(once_bytes), SPLIT_KERNELS_BY_POSITIONS(once_halves)}};
  return kFunctions[finish.rounding == kOneRounding][halves][positions - 1];
}

SplitKernelsMveMultiply* sums_of(int32_t positions) {
  static SplitKernelsMveMultiply* const kFunctions[4] = SPLIT_KERNELS_BY_POSITIONS(sums);
  return kFunctions[positions - 1];
}

// The same pair by pair, with the bias, however the weights lie.
template <typename Record>
void sum_pair_with_bias(const Product& product, int32_t pair, const int8_t* x, int32_t positions,
                        int32_t s[2][4]) {
  const Record& record = static_cast<const Record*>(product.records)[pair];
  sum_pair(product, pair, x, positions, s);
  for (int c = 0; c < 2; ++c) vst1q_s32(s[c], vaddq_n_s32(vld1q_s32(s[c]), record.bias[c]));
}

// Channels of pairs from `pair` on.
void multiply_rest(const Product& product, const Finish& finish, const int8_t* x, int32_t positions,
                   int32_t pair, const Results& results) {
  const Bounds bounds(finish);
  const uint32x4_t offsets =
      vmulq_n_u32(vidupq_n_u32(0, 1), static_cast<uint32_t>(results.position_step));
  const mve_pred16_t there = vctp32q(static_cast<uint32_t>(positions));
  for (int32_t channel = 2 * pair; channel < product.channels; ++channel) {
    int32_t s[2][4];
    if (channel % 2 == 0) {
      sum_pair_with_bias<PairRecord>(product, channel / 2, x, positions, s);
    }
    const PairRecord& record = static_cast<const PairRecord*>(product.records)[channel / 2];
    const ChannelFinish& channel_finish = record.finish[channel % 2];
    int8_t* const y = results.y + channel * results.channel_step;
    const int32x4_t sums = vld1q_s32(s[channel % 2]);
    if (finish.rounding != kAnyRounding) {
      vstrbq_scatter_offset_p_s32(y, offsets, finish_four(finish.rounding, channel_finish, bounds, sums),
                                  there);
      continue;
    }
    for (int32_t i = 0; i < positions; ++i) {
      y[i * results.position_step] = finish_one(finish, channel_finish, s[channel % 2][i]);
    }
  }
}

[[gnu::noinline]] void clamp_some(const Finish& finish, int32_t channels, int32_t positions, const Results& results) {
  const Bounds bounds(finish);
  const uint32x4_t offsets =
      vmulq_n_u32(vidupq_n_u32(0, 1), static_cast<uint32_t>(results.position_step));
  const mve_pred16_t there = vctp32q(static_cast<uint32_t>(positions));
  int8_t* y = results.y;
  for (int32_t channel = 0; channel < channels; ++channel, y += results.channel_step) {
    const int32x4_t values = vldrbq_gather_offset_z_s32(y, offsets, there);
    vstrbq_scatter_offset_p_s32(y, offsets, vminq_s32(vmaxq_s32(values, bounds.low), bounds.high),
                                there);
  }
}

}  // namespace

void widen(const int8_t* x, int32_t step, int32_t positions, int32_t count, int32_t fours_done,
           bool, int16_t* to) {
  const int32_t block = fours_done > 0 ? kBlock : block_of(count);
  int8_t* out = reinterpret_cast<int8_t*>(to) + fours_done * 4 * positions;
  const int32_t next = block * positions;
  // Of every four, the two in the middle change places: those that stand right backwards.
  const mve_pred16_t middle = 0x6666;
  for (int32_t at = 0; at < count; at += kBlock, x += kBlock, out += next) {
    const int8_t* from = x;
    if (count - at >= kBlock) {
      for (int32_t position = 0; position < positions; ++position, from += step) {
        const int8x16_t values = vldrbq_s8(from);
        vstrbq_s8(out + position * kBlock, vpselq_s8(vrev32q_s8(values), values, middle));
      }
      continue;
    }
    const mve_pred16_t there = vctp8q(static_cast<uint32_t>(count - at));
    const mve_pred16_t all = vctp8q(static_cast<uint32_t>(block));
    for (int32_t position = 0; position < positions; ++position, from += step) {
      const int8x16_t values = vldrbq_z_s8(from, there);
      vstrbq_p_s8(out + position * block, vpselq_s8(vrev32q_s8(values), values, middle), all);
    }
  }
}

void multiply(const Product& product, const Finish& finish, const int16_t* x, int32_t positions,
              const Results& results) {
  const int32_t pairs = finish.rounding == kAnyRounding ? 0 : whole_pairs(product);
  if (pairs > 0) {
    const bool halves = results.channel_step == 1 && results.position_step % 2 == 0 &&
                        reinterpret_cast<uintptr_t>(results.y) % 2 == 0;
    multiply_of(finish, halves, positions)(as_bytes(x), product.weights, product.records, results.y,
                                           results.position_step, results.channel_step, pairs,
                                           more_blocks(product), over_of(product));
    if (finish.clamps()) clamp_some(finish, 2 * pairs, positions, results);
  }
  const int32_t rest = pairs < 0 ? 0 : pairs;
  if (2 * rest < product.channels) {
    multiply_rest(product, finish, as_bytes(x), positions, rest, results);
  }
}

void multiply_sums(const Product& product, const int16_t* x, int32_t positions, int32_t channels,
                   int32_t* y) {
  const int32_t pairs = whole_pairs(product);
  if (pairs > 0) {
    sums_of(positions)(as_bytes(x), product.weights, product.records, y, 4 * channels, 4, pairs,
                       more_blocks(product), over_of(product));
  }
  for (int32_t channel = pairs < 0 ? 0 : 2 * pairs; channel < product.channels; channel += 2) {
    int32_t s[2][4];
    sum_pair_with_bias<SumsRecord>(product, channel / 2, as_bytes(x), positions, s);
    for (int32_t j = 0; j < positions; ++j) {
      int32_t* const to = y + j * channels + channel;
      to[0] = s[0][j];
      if (product.channels - channel > 1) to[1] = s[1][j];
    }
  }
}

namespace {

// Four columns of one channel, in lanes of 32 bits; they lie `from` apart.
inline int32x4_t sum_taps(const Taps& taps, const Planes& planes, const int8_t* data,
                          const int8_t* w, int32_t bias, uint32x4_t from, mve_pred16_t there) {
  int32x4_t sums = vdupq_n_s32(bias);
  int32_t under = 0;
  for (int32_t row = 0; row < taps.kernel_rows; ++row) {
    const int8_t* x = data + planes.place_of(under);
    for (int32_t i = 0; i < taps.kernel_columns; ++i) {
      sums = vmlaq_n_s32(sums, vldrbq_gather_offset_z_s32(x, from, there), w[i]);
      x += taps.dilation_columns * planes.column_step;
    }
    w += fours(taps.kernel_columns);
    if (taps.kernel_rows > 1) under += taps.dilation_rows;  // of a single row it has no bounds
  }
  return sums;
}

// Any kernel: the columns of one channel, four at a time.
void row_of_channel(const Taps& taps, const Finish& finish, const Planes& planes,
                    const int8_t* data, const int8_t* constants, int32_t columns, int32_t step,
                    int8_t* y) {
  const TapsRecord& record = *reinterpret_cast<const TapsRecord*>(constants);
  const int8_t* const w = constants + sizeof(TapsRecord);
  const ChannelFinish channel = {record.multiplier, record.addend, record.shift};
  const Bounds bounds(finish);
  const uint32x4_t lanes = vidupq_n_u32(0, 1);
  const int32_t stride = taps.stride * planes.column_step;
  const uint32x4_t from = vmulq_n_u32(lanes, static_cast<uint32_t>(stride));
  const uint32x4_t to = vmulq_n_u32(lanes, static_cast<uint32_t>(step));
  for (int32_t column = 0; column < columns; column += 4, y += 4 * step) {
    const mve_pred16_t there = vctp32q(static_cast<uint32_t>(columns - column));
    const int32x4_t sums =
        sum_taps(taps, planes, data + column * stride, w, record.bias, from, there);
    if (finish.rounding != kAnyRounding) {
      vstrbq_scatter_offset_p_s32(y, to, finish_four(finish.rounding, channel, bounds, sums), there);
      continue;
    }
    int32_t four[4];
    vst1q_s32(four, sums);
    for (int32_t i = 0; i < 4 && column + i < columns; ++i) {
      y[i * step] = finish_one(finish, channel, four[i]);
    }
  }
}

bool is_fast(const Taps& taps, const Finish& finish) {
  return taps.kernel_rows == 3 && taps.kernel_columns == 3 && taps.stride <= 2 &&
         taps.dilation_rows == 1 && taps.dilation_columns == 1 && taps.multiplier == 1 &&
         finish.rounding != kAnyRounding;
}

SplitKernelsMveDepthwise* depthwise_of(const Finish& finish, int32_t stride) {
  if (finish.rounding == kOneRounding) {
    return stride == 1 ? split_kernels_mve_depthwise_once_1 : split_kernels_mve_depthwise_once_2;
  }
  return stride == 1 ? split_kernels_mve_depthwise_twice_1 : split_kernels_mve_depthwise_twice_2;
}

// Byte 3 * column + slot of a window belongs to weight 4 * row + column, where row is in the slot; the
// others to a weight that is 0. The window of the next column lies 3 * stride bytes on.
void offsets_of_taps(int32_t first_slot, int32_t stride, uint8_t offsets[32]) {
  std::memset(offsets, 3, 32);
  for (int32_t row = 0; row < 3; ++row) {
    uint8_t* const to = offsets + (first_slot + row) % 3;
    for (int32_t column = 0; column < 3; ++column) {
      to[3 * column] = to[16 + 3 * stride + 3 * column] = static_cast<uint8_t>(4 * row + column);
    }
  }
}

}  // namespace

void depthwise_row(const Taps& taps, const Finish& finish, const Planes& planes, int32_t count,
                   int32_t columns, int32_t step, int8_t* y) {
  if (is_fast(taps, finish)) {
    uint8_t offsets[32];
    offsets_of_taps(planes.first, taps.stride, offsets);
    depthwise_of(finish, taps.stride)(planes.data, taps.constants, y, step, planes.plane_bytes,
                                      count, columns / 4, columns % 4, offsets);
    if (finish.clamps()) {
      for (int32_t at = 0; at < columns; at += 4) {
        const int32_t left = columns - at;
        clamp_some(finish, count, left < 4 ? left : 4, {y + at * step, step, 1});
      }
    }
    return;
  }
  const int32_t bytes = static_cast<int32_t>(sizeof(TapsRecord)) +
                        taps.kernel_rows * fours(taps.kernel_columns);
  for (int32_t at = 0; at < count * taps.multiplier; ++at) {
    row_of_channel(taps, finish, planes, planes.data + at / taps.multiplier * planes.plane_bytes,
                   taps.constants + at * bytes, columns, step, y + at);
  }
}

void to_planes(const int8_t* x, int32_t step, int32_t columns, int32_t count, int32_t plane_bytes,
               int32_t column_step, int8_t* to) {
  const uint32x4_t offsets =
      vmulq_n_u32(vidupq_n_u32(0, 1), static_cast<uint32_t>(plane_bytes));
  const mve_pred16_t there = vctp32q(static_cast<uint32_t>(count));
  for (int32_t column = 0; column < columns; ++column, x += step, to += column_step) {
    vstrbq_scatter_offset_p_s32(to, offsets, vldrbq_z_s32(x, there), there);
  }
}

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_MVE
