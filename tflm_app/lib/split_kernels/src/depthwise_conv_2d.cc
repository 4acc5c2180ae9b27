// SPDX-License-Identifier: Apache-2.0
// Depthwise convolutions, four channels at a time: their rows are copied to planes, each once.
#include "planes.h"
#include "split_kernels/kernels.h"

namespace split_kernels {
namespace {

// All rows of `count` channels of one batch.
void convolve_channels(const WindowParams& p, const Finish& finish, const int8_t* x, int32_t count,
                       const Taps& taps, int8_t* memory, int8_t* y) {
  RowsByChannel rows(p, count, 0, p.out_columns, memory);
  rows.fill_all();
  const int32_t row_values = p.in_columns * p.in_channels;
  int32_t next = -p.pad_top;
  for (int32_t row = 0; row < p.out_rows; ++row, y += p.out_columns * p.out_channels) {
    next = advance(p, row, next, [&](int32_t at) {
      if (rows.has(at)) {
        to_planes(x + at * row_values + rows.start() * p.in_channels, p.in_channels, rows.inside(),
                  count, rows.plane_bytes(), rows.column_step(), rows.row(at));
      } else {
        rows.fill_row(at);
      }
    });
    depthwise_row(taps, finish, rows.planes(row, 0), count, p.out_columns, p.out_channels, y);
  }
}

}  // namespace

size_t depthwise_conv_2d_get_scratch_bytes(const WindowParams& p) {
  return planes_bytes(p, planes_together(p), p.out_columns);
}

void depthwise_conv_2d(const WindowParams& p, const Finish& finish, const int8_t* x,
                       const void* constants, void* scratch, int8_t* y) {
  const int32_t x_values = p.in_rows * p.in_columns * p.in_channels;
  const int32_t y_values = p.out_rows * p.out_columns * p.out_channels;
  for (int32_t batch = 0; batch < p.batches; ++batch, x += x_values, y += y_values) {
    Taps taps = taps_of(p, constants);
    for (int32_t channel = 0; channel < p.in_channels; channel += kPlanes) {
      const int32_t left = p.in_channels - channel;
      const int32_t count = left < kPlanes ? left : kPlanes;
      convolve_channels(p, finish, x + channel, count, taps, static_cast<int8_t*>(scratch),
                        y + channel * taps.multiplier);
      taps.constants += static_cast<size_t>(count * taps.multiplier) * taps_bytes(p);
    }
  }
}

}  // namespace split_kernels
