// SPDX-License-Identifier: Apache-2.0
#include "arithmetic.h"
#include "cmsis.h"
#include "split_kernels/kernels.h"

namespace split_kernels {
namespace {

// Channels are adjacent in x, weights and y, so a block of them is summed tap by tap: loads run
// along memory, and the sums of a block stay in registers.
constexpr int32_t kBlock = 8;

struct Position {
  const int8_t* x;        // first tap inside, channel 0
  const int8_t* weights;  // its weights, channel 0
  int32_t rows;
  int32_t columns;
};

Position position_of(const WindowParams& p, const int8_t* x, const int8_t* weights,
                     const Taps& rows, const Taps& columns) {
  return {x + (rows.input * p.in_columns + columns.input) * p.in_channels,
          weights + (rows.first * p.kernel_columns + columns.first) * p.out_channels,
          rows.last - rows.first, columns.last - columns.first};
}

// The sums of `count` <= kBlock output channels from `channel` on. OneEach: every output channel
// has an input channel of its own; otherwise all of them read input channel `in_channel`.
template <bool OneEach>
inline void sum_block(const WindowParams& p, const Position& at, int32_t in_channel,
                      int32_t channel, int32_t count, int32_t sums[kBlock]) {
  const int32_t offset = -p.x_zero_point;
  const int32_t x_step = p.dilation_columns * p.in_channels;
  for (int32_t row = 0; row < at.rows; ++row) {
    const int8_t* x = at.x + row * p.dilation_rows * p.in_columns * p.in_channels + in_channel;
    const int8_t* w = at.weights + row * p.kernel_columns * p.out_channels + channel;
    for (int32_t column = 0; column < at.columns; ++column, x += x_step, w += p.out_channels) {
      for (int32_t k = 0; k < count; ++k) sums[k] += (x[OneEach ? k : 0] + offset) * w[k];
    }
  }
}

// Output channels [channel, stop); the constant count of the full blocks lets compilers unroll.
template <bool OneEach>
void finish_channels(const WindowParams& p, const Requantization& q, const Position& at,
                     int32_t in_channel, int32_t channel, int32_t stop, int8_t* y) {
  while (channel < stop) {
    const int32_t count = stop - channel < kBlock ? stop - channel : kBlock;
    int32_t sums[kBlock] = {};
    if (count == kBlock) {
      sum_block<OneEach>(p, at, in_channel, channel, kBlock, sums);
    } else {
      sum_block<OneEach>(p, at, in_channel, channel, count, sums);
    }
    for (int32_t k = 0; k < count; ++k) y[channel + k] = requantize_one(q, sums[k], channel + k);
    channel += count;
    if (OneEach) in_channel += count;
  }
}

void finish_position(const WindowParams& p, const Requantization& q, const Position& at,
                     int8_t* y) {
  const int32_t multiplier = p.out_channels / p.in_channels;
  if (multiplier == 1) {
    finish_channels<true>(p, q, at, 0, 0, p.out_channels, y);
    return;
  }
  for (int32_t in_channel = 0; in_channel < p.in_channels; ++in_channel) {
    const int32_t first = in_channel * multiplier;
    finish_channels<false>(p, q, at, in_channel, first, first + multiplier, y);
  }
}

}  // namespace

size_t depthwise_conv_2d_get_scratch_bytes(const WindowParams& window, bool has_bias) {
  return cmsis::takes_depthwise(window, has_bias) ? cmsis::depthwise_get_scratch_bytes(window) : 0;
}

void depthwise_conv_2d(const WindowParams& p, const Requantization& q, const int8_t* x,
                       const int8_t* weights, void* scratch, int8_t* y) {
  if (cmsis::takes_depthwise(p, q.bias != nullptr)) {
    cmsis::depthwise(p, q, x, weights, scratch, y);
    return;
  }
  const int32_t batch_values = p.in_rows * p.in_columns * p.in_channels;
  for (int32_t batch = 0; batch < p.batches; ++batch, x += batch_values) {
    for (int32_t row = 0; row < p.out_rows; ++row) {
      const Taps rows =
          clip_taps(row, p.stride_rows, p.dilation_rows, p.pad_top, p.kernel_rows, p.in_rows);
      for (int32_t column = 0; column < p.out_columns; ++column, y += p.out_channels) {
        const Taps columns = clip_taps(column, p.stride_columns, p.dilation_columns, p.pad_left,
                                       p.kernel_columns, p.in_columns);
        finish_position(p, q, position_of(p, x, weights, rows, columns), y);
      }
    }
  }
}

}  // namespace split_kernels
