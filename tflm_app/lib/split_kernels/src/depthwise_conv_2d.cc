// SPDX-License-Identifier: Apache-2.0
#include "arithmetic.h"
#include "cmsis.h"
#include "portable.h"
#include "split_kernels/kernels.h"

namespace split_kernels {
namespace {

// The taps of one position that lie inside x, and the steps between them.
struct Taps2d {
  int32_t rows;
  int32_t columns;
  int32_t x_row_step;
  int32_t x_column_step;
  int32_t weights_row_step;
  int32_t weights_column_step;
};

// Sums of 4 adjacent output channels. OneEach: every one has an input channel of its own (then
// those are adjacent too); otherwise all of them read the same one.
template <bool OneEach>
SPLIT_KERNELS_INNER_LOOP void sum_4(const Taps2d& taps, const int8_t* x, const int8_t* weights,
                                    int32_t offset, int32_t sums[4]) {
  Sum s0, s1, s2, s3;
  for (int32_t row = taps.rows; row > 0; --row) {
    const int8_t* v = x;
    const int8_t* w = weights;
    for (int32_t column = taps.columns; column > 0; --column) {
      s0.add((v[0] + offset) * w[0]);
      s1.add((v[OneEach ? 1 : 0] + offset) * w[1]);
      s2.add((v[OneEach ? 2 : 0] + offset) * w[2]);
      s3.add((v[OneEach ? 3 : 0] + offset) * w[3]);
      v += taps.x_column_step;
      w += taps.weights_column_step;
    }
    x += taps.x_row_step;
    weights += taps.weights_row_step;
  }
  sums[0] = s0.value(), sums[1] = s1.value(), sums[2] = s2.value(), sums[3] = s3.value();
}

// The sum of one output channel.
SPLIT_KERNELS_INNER_LOOP int32_t sum_1(const Taps2d& taps, const int8_t* x, const int8_t* weights,
                                       int32_t offset) {
  Sum sum;
  for (int32_t row = 0; row < taps.rows; ++row) {
    const int8_t* v = x + row * taps.x_row_step;
    const int8_t* w = weights + row * taps.weights_row_step;
    for (int32_t column = 0; column < taps.columns; ++column) {
      sum.add((*v + offset) * *w);
      v += taps.x_column_step;
      w += taps.weights_column_step;
    }
  }
  return sum.value();
}

// Output channels [channel, stop) of one position; x and weights point to channel 0 of the first
// tap. `in_channel` belongs to `channel`.
template <bool OneEach>
void finish_channels(const Requantization& q, const Taps2d& taps, const int8_t* x,
                     const int8_t* weights, int32_t offset, int32_t in_channel, int32_t channel,
                     int32_t stop, int8_t* y) {
  int32_t sums[4];
  for (; channel + 4 <= stop; channel += 4, in_channel += OneEach ? 4 : 0) {
    sum_4<OneEach>(taps, x + in_channel, weights + channel, offset, sums);
    for (int32_t k = 0; k < 4; ++k) y[channel + k] = requantize_one(q, sums[k], channel + k);
  }
  for (; channel < stop; ++channel, in_channel += OneEach ? 1 : 0) {
    const int32_t sum = sum_1(taps, x + in_channel, weights + channel, offset);
    y[channel] = requantize_one(q, sum, channel);
  }
}

void finish_position(const WindowParams& p, const Requantization& q, const int8_t* x,
                     const int8_t* weights, const Taps& rows, const Taps& columns, int8_t* y) {
  const Taps2d taps = {rows.last - rows.first,
                       columns.last - columns.first,
                       step_of(p.kernel_rows, p.dilation_rows, p.in_columns * p.in_channels),
                       step_of(p.kernel_columns, p.dilation_columns, p.in_channels),
                       p.kernel_columns * p.out_channels,
                       p.out_channels};
  x += (rows.input * p.in_columns + columns.input) * p.in_channels;
  weights += (rows.first * p.kernel_columns + columns.first) * p.out_channels;
  const int32_t offset = -p.x_zero_point;
  const int32_t multiplier = p.out_channels / p.in_channels;
  if (multiplier == 1) {
    finish_channels<true>(q, taps, x, weights, offset, 0, 0, p.out_channels, y);
    return;
  }
  for (int32_t in_channel = 0; in_channel < p.in_channels; ++in_channel) {
    const int32_t first = in_channel * multiplier;
    finish_channels<false>(q, taps, x, weights, offset, in_channel, first, first + multiplier, y);
  }
}

}  // namespace

size_t depthwise_conv_2d_get_scratch_bytes(const WindowParams& window, bool has_bias) {
  return cmsis::takes_depthwise(window, has_bias) ? cmsis::depthwise_get_scratch_bytes(window) : 0;
}

void depthwise_conv_2d(const WindowParams& window, const Requantization& requantization,
                       const int8_t* x, const int8_t* weights, void* scratch, int8_t* y) {
  if (cmsis::takes_depthwise(window, requantization.bias != nullptr)) {
    cmsis::depthwise(window, requantization, x, weights, scratch, y);
    return;
  }
  depthwise_conv_2d_portable(window, requantization, x, weights, y);
}

void depthwise_conv_2d_portable(const WindowParams& p, const Requantization& requantization,
                                const int8_t* x, const int8_t* weights, int8_t* y) {
  // A copy: a store to y might change the caller's, for all that the compiler knows.
  const Requantization q = requantization;
  const int32_t batch_values = p.in_rows * p.in_columns * p.in_channels;
  for (int32_t batch = 0; batch < p.batches; ++batch, x += batch_values) {
    for (int32_t row = 0; row < p.out_rows; ++row) {
      const Taps rows =
          clip_taps(row, p.stride_rows, p.dilation_rows, p.pad_top, p.kernel_rows, p.in_rows);
      for (int32_t column = 0; column < p.out_columns; ++column, y += p.out_channels) {
        const Taps columns = clip_taps(column, p.stride_columns, p.dilation_columns, p.pad_left,
                                       p.kernel_columns, p.in_columns);
        finish_position(p, q, x, weights, rows, columns, y);
      }
    }
  }
}

}  // namespace split_kernels
