// SPDX-License-Identifier: Apache-2.0
// Cores with MVE (Cortex-M55, M85): sixteen products of one channel an instruction (VMLADAVA).
//
// "Widened" values stay bytes here, a position after the other, in the order of the packed weights:
// of every four 0 2 1 3, because VLD2 parts the two channels of a pair in that order.
#include "target.h"

#if SPLIT_KERNELS_MVE

#include <arm_mve.h>

#include "arithmetic.h"
#include "schedule.h"

namespace split_kernels {
namespace {

// Sums are s[channel][position].

// The rest of the products, fewer than sixteen: nothing is read behind weights or x.
template <int Positions>
[[gnu::noinline]] void multiply_tail(const int8_t* x, int32_t step, const int8_t* weights, int32_t count,
                          int32_t s[2][4]) {
  const mve_pred16_t there = vctp8q(static_cast<uint32_t>(count));
  const uint8x16_t even = vidupq_n_u8(0, 2);
  const int8x16_t first = vldrbq_gather_offset_z_s8(weights, even, there);
  const int8x16_t second = vldrbq_gather_offset_z_s8(weights + 1, even, there);
  for (int i = 0; i < Positions; ++i) {
    const int8x16_t values = vldrbq_z_s8(x + i * step, there);
    s[0][i] = vmladavaq_s8(s[0][i], values, first);
    s[1][i] = vmladavaq_s8(s[1][i], values, second);
  }
}

template <int Positions>
inline void multiply_pair(const int8_t* x, int32_t products, const int8_t* weights,
                          const int32_t bias[2], int32_t s[2][4]) {
  int32_t s0 = bias[0], s1 = bias[1], s2 = s0, s3 = s1, s4 = s0, s5 = s1, s6 = s0, s7 = s1;
  const int8_t* const x1 = x + products;
  const int8_t* const x2 = x1 + products;
  const int8_t* const x3 = x2 + products;
  int32_t at = 0;
  for (; at + 16 <= products; at += 16) {
    const int8x16x2_t pair = vld2q_s8(weights);
    weights += 32;
    int8x16_t values = vldrbq_s8(x + at);
    s0 = vmladavaq_s8(s0, values, pair.val[0]);
    s1 = vmladavaq_s8(s1, values, pair.val[1]);
    if (Positions > 1) {
      values = vldrbq_s8(x1 + at);
      s2 = vmladavaq_s8(s2, values, pair.val[0]);
      s3 = vmladavaq_s8(s3, values, pair.val[1]);
    }
    if (Positions > 2) {
      values = vldrbq_s8(x2 + at);
      s4 = vmladavaq_s8(s4, values, pair.val[0]);
      s5 = vmladavaq_s8(s5, values, pair.val[1]);
    }
    if (Positions > 3) {
      values = vldrbq_s8(x3 + at);
      s6 = vmladavaq_s8(s6, values, pair.val[0]);
      s7 = vmladavaq_s8(s7, values, pair.val[1]);
    }
  }
  s[0][0] = s0, s[0][1] = s2, s[0][2] = s4, s[0][3] = s6;
  s[1][0] = s1, s[1][1] = s3, s[1][2] = s5, s[1][3] = s7;
  if (at < products) multiply_tail<Positions>(x + at, products, weights, products - at, s);
}

struct Bounds {
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

// With TFLM's arithmetic as it stands.
template <int Positions>
[[gnu::noinline]] void multiply_any(const Product& product, const Finish& finish, const int8_t* x,
                                    const Results& results) {
  const PairRecord* record = static_cast<const PairRecord*>(product.records);
  const int8_t* weights = product.weights;
  for (int32_t channel = 0; channel < product.channels; channel += 2, ++record) {
    int32_t s[2][4];
    multiply_pair<Positions>(x, product.products, weights, record->bias, s);
    weights += 2 * product.products;
    for (int32_t i = 0; i < 2 && channel + i < product.channels; ++i) {
      int8_t* y = results.y + (channel + i) * results.channel_step;
      for (int j = 0; j < Positions; ++j, y += results.position_step) {
        *y = finish_one(finish, record->finish[i], s[i][j]);
      }
    }
  }
}

template <int Positions>
[[gnu::noinline]] void multiply_all(const Product& product, const Finish& finish, const int8_t* x,
                                    const Results& results) {
  if (finish.rounding == kAnyRounding) {
    return multiply_any<Positions>(product, finish, x, results);
  }
  const PairRecord* record = static_cast<const PairRecord*>(product.records);
  const int8_t* weights = product.weights;
  const Bounds bounds = {vdupq_n_s32(finish.activation_min), vdupq_n_s32(finish.activation_max)};
  const uint32x4_t offsets =
      vmulq_n_u32(vidupq_n_u32(0, 1), static_cast<uint32_t>(results.position_step));
  const mve_pred16_t there = vctp32q(Positions);
  const int32_t rounding = finish.rounding, products = product.products;
  const int32_t channel_step = results.channel_step;
  int8_t* y = results.y;
  for (int32_t left = product.channels; left > 0; left -= 2, ++record, weights += 2 * products) {
    int32_t s[2][4];
    multiply_pair<Positions>(x, products, weights, record->bias, s);
    int32x4_t made = finish_four(rounding, record->finish[0], bounds, vld1q_s32(s[0]));
    vstrbq_scatter_offset_p_s32(y, offsets, made, there);
    y += channel_step;
    if (left == 1) return;
    made = finish_four(rounding, record->finish[1], bounds, vld1q_s32(s[1]));
    vstrbq_scatter_offset_p_s32(y, offsets, made, there);
    y += channel_step;
  }
}

const int8_t* as_bytes(const int16_t* x) { return reinterpret_cast<const int8_t*>(x); }

template <int Positions>
void multiply_all_sums(const Product& product, const int8_t* x, int32_t channels, int32_t* y) {
  const SumsRecord* record = static_cast<const SumsRecord*>(product.records);
  const int8_t* weights = product.weights;
  for (int32_t channel = 0; channel < product.channels; channel += 2, ++record) {
    int32_t s[2][4];
    multiply_pair<Positions>(x, product.products, weights, record->bias, s);
    weights += 2 * product.products;
    for (int j = 0; j < Positions; ++j) {
      int32_t* const to = y + j * channels + channel;
      to[0] = s[0][j];
      if (product.channels - channel > 1) to[1] = s[1][j];
    }
  }
}

}  // namespace

void widen(const int8_t* x, int32_t step, int32_t positions, int32_t count, int32_t, bool,
           int16_t* to) {
  int8_t* out = reinterpret_cast<int8_t*>(to);
  const uint8x16_t lanes = vidupq_n_u8(0, 1);
  // 0 2 1 3, 4 6 5 7, ...: bits 0 and 1 of the lane's number change places.
  const uint8x16_t odd = vandq_u8(lanes, vdupq_n_u8(1)), two = vandq_u8(lanes, vdupq_n_u8(2));
  const uint8x16_t rest = vandq_u8(lanes, vdupq_n_u8(0xFC));
  const uint8x16_t order =
      vorrq_u8(rest, vorrq_u8(vshlq_n_u8(odd, 1), vshrq_n_u8(two, 1)));
  for (int32_t position = 0; position < positions; ++position, x += step) {
    for (int32_t at = 0; at < count; at += 16) {
      const int32_t left = count - at;
      const uint8x16_t stop = vdupq_n_u8(static_cast<uint8_t>(left < 16 ? left : 16));
      const mve_pred16_t read = vcmphiq_u8(stop, order);
      const int8x16_t values = vldrbq_gather_offset_z_s8(x + at, order, read);
      vstrbq_p_s8(out + at, values, vctp8q(static_cast<uint32_t>(fours(left))));
    }
    out += fours(count);
  }
}

void multiply(const Product& product, const Finish& finish, const int16_t* x, int32_t positions,
              const Results& results) {
  switch (positions) {
    case 1: return multiply_all<1>(product, finish, as_bytes(x), results);
    case 2: return multiply_all<2>(product, finish, as_bytes(x), results);
    case 3: return multiply_all<3>(product, finish, as_bytes(x), results);
    default: return multiply_all<4>(product, finish, as_bytes(x), results);
  }
}

void multiply_sums(const Product& product, const int16_t* x, int32_t positions, int32_t channels,
                   int32_t* y) {
  switch (positions) {
    case 1: return multiply_all_sums<1>(product, as_bytes(x), channels, y);
    case 2: return multiply_all_sums<2>(product, as_bytes(x), channels, y);
    case 3: return multiply_all_sums<3>(product, as_bytes(x), channels, y);
    default: return multiply_all_sums<4>(product, as_bytes(x), channels, y);
  }
}

namespace {

// Four columns of one channel, in lanes of 32 bits.
template <bool IsDense>
inline int32x4_t sum_taps(const Taps& taps, const Planes& planes, const int8_t* data,
                          const int8_t* w, int32_t bias, uint32x4_t from, mve_pred16_t there) {
  int32x4_t sums = vdupq_n_s32(bias);
  int32_t slot = planes.first;
  for (int32_t row = 0; row < taps.kernel_rows; ++row) {
    const int8_t* x = data + slot * planes.row_bytes;
    for (int32_t i = 0; i < taps.kernel_columns; ++i) {
      const int8_t* const tap = x + (IsDense ? i : i * taps.dilation_columns);
      const int32x4_t values = IsDense ? vldrbq_z_s32(tap, there)
                                       : vldrbq_gather_offset_z_s32(tap, from, there);
      sums = vmlaq_n_s32(sums, values, w[i]);
    }
    w += fours(taps.kernel_columns);
    if (taps.kernel_rows > 1) slot += taps.dilation_rows;  // of a single row it has no bounds
    if (slot >= planes.rows) slot -= planes.rows;
  }
  return sums;
}

// A 3x3 kernel without dilation, the same unrolled; rows in the order of the kernel.
template <bool IsDense>
inline int32x4_t sum_3x3(const int8_t* const rows[3], int32_t at, const int8_t* w, int32_t bias,
                         uint32x4_t from, mve_pred16_t there) {
  int32x4_t sums = vdupq_n_s32(bias);
  for (int row = 0; row < 3; ++row) {
    const int8_t* const x = rows[row] + at;
    for (int i = 0; i < 3; ++i) {
      const int32x4_t values = IsDense ? vldrbq_z_s32(x + i, there)
                                       : vldrbq_gather_offset_z_s32(x + i, from, there);
      sums = vmlaq_n_s32(sums, values, w[4 * row + i]);
    }
  }
  return sums;
}

struct RowResults {
  int8_t* y;
  int32_t step;
  int32_t columns;
};

// Calls sum(first column, lanes that are there) for the columns of one channel, four at a time.
template <typename Sum>
inline void finish_row(const TapsRecord& record, const Finish& finish, const Bounds& bounds,
                       uint32x4_t to, const RowResults& row, Sum sum) {
  const ChannelFinish channel = {record.multiplier, record.addend, record.shift};
  int8_t* y = row.y;
  for (int32_t column = 0; column < row.columns; column += 4, y += 4 * row.step) {
    const mve_pred16_t there = vctp32q(static_cast<uint32_t>(row.columns - column));
    const int32x4_t sums = sum(column, there);
    if (finish.rounding != kAnyRounding) {
      const int32x4_t made = finish_four(finish.rounding, channel, bounds, sums);
      vstrbq_scatter_offset_p_s32(y, to, made, there);
      continue;
    }
    int32_t four[4];
    vst1q_s32(four, sums);
    for (int32_t i = 0; i < 4 && column + i < row.columns; ++i) {
      y[i * row.step] = finish_one(finish, channel, four[i]);
    }
  }
}

}  // namespace

void depthwise_row(const Taps& taps, const Finish& finish, const Planes& planes, int32_t count,
                   int32_t columns, int32_t step, int8_t* y) {
  const Bounds bounds = {vdupq_n_s32(finish.activation_min), vdupq_n_s32(finish.activation_max)};
  const uint32x4_t lanes = vidupq_n_u32(0, 1);
  const uint32x4_t from = vmulq_n_u32(lanes, static_cast<uint32_t>(taps.stride));
  const uint32x4_t to = vmulq_n_u32(lanes, static_cast<uint32_t>(step));
  const Finish f = finish;
  const bool is_3x3 = taps.kernel_rows == 3 && taps.kernel_columns == 3 &&
                      taps.dilation_rows == 1 && taps.dilation_columns == 1;
  const int8_t* constants = taps.constants;
  for (int32_t plane = 0; plane < count; ++plane) {
    const int8_t* const data = planes.data + plane * planes.plane_bytes;
    for (int32_t k = 0; k < taps.multiplier; ++k, ++y) {
      const TapsRecord& record = *reinterpret_cast<const TapsRecord*>(constants);
      const int8_t* const w = constants + sizeof(TapsRecord);
      constants = w + taps.kernel_rows * fours(taps.kernel_columns);
      const RowResults row = {y, step, columns};
      if (!is_3x3) {
        finish_row(record, f, bounds, to, row, [&](int32_t column, mve_pred16_t there) {
          const int8_t* const x = data + column * taps.stride;
          return sum_taps<false>(taps, planes, x, w, record.bias, from, there);
        });
        continue;
      }
      const int8_t* rows[3];
      for (int i = 0; i < 3; ++i) rows[i] = data + (planes.first + i) % 3 * planes.row_bytes;
      if (taps.stride == 1) {
        finish_row(record, f, bounds, to, row, [&](int32_t column, mve_pred16_t there) {
          return sum_3x3<true>(rows, column, w, record.bias, from, there);
        });
      } else {
        finish_row(record, f, bounds, to, row, [&](int32_t column, mve_pred16_t there) {
          return sum_3x3<false>(rows, column * taps.stride, w, record.bias, from, there);
        });
      }
    }
  }
}

void to_planes(const int8_t* x, int32_t step, int32_t columns, int32_t count, int32_t plane_bytes,
               int8_t* to) {
  const uint32x4_t from = vmulq_n_u32(vidupq_n_u32(0, 1), static_cast<uint32_t>(step));
  for (int32_t plane = 0; plane < count; ++plane) {
    for (int32_t column = 0; column < columns; column += 4) {
      const mve_pred16_t there = vctp32q(static_cast<uint32_t>(columns - column));
      const int32x4_t values =
          vldrbq_gather_offset_z_s32(x + column * step + plane, from, there);
      vstrbq_p_s32(to + plane * plane_bytes + column, values, there);
    }
  }
}

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_MVE
