// SPDX-License-Identifier: Apache-2.0
// The portable convolution loop, with what happens to finished sums left to a sink.
#ifndef SPLIT_KERNELS_SRC_CONVOLUTION_H_
#define SPLIT_KERNELS_SRC_CONVOLUTION_H_

#include <cstdint>

#include "arithmetic.h"

namespace split_kernels {

// What one position of the result sees of x: rows of runs. A run is contiguous both in x and in the
// weights: all taps of a kernel row if nothing lies between them, else one tap.
struct Field {
  const int8_t* x;         // first value of the first run, first group
  int32_t weights_offset;  // of the first run in a filter
  int32_t rows;
  int32_t x_row_step;
  int32_t weights_row_step;
  int32_t runs;  // per row
  int32_t x_run_step;
  int32_t run;  // values per run
};

inline Field field_of(const WindowParams& p, const int8_t* x_of_batch, const Taps& rows,
                      const Taps& columns) {
  const int32_t taps = columns.last - columns.first;
  const bool whole_rows = p.dilation_columns == 1 && p.kernel_channels == p.in_channels;
  Field field;
  field.x = x_of_batch + (rows.input * p.in_columns + columns.input) * p.in_channels;
  field.weights_offset = (rows.first * p.kernel_columns + columns.first) * p.kernel_channels;
  field.rows = taps > 0 ? rows.last - rows.first : 0;
  field.x_row_step = step_of(p.kernel_rows, p.dilation_rows, p.in_columns * p.in_channels);
  field.weights_row_step = p.kernel_columns * p.kernel_channels;
  field.runs = whole_rows ? 1 : taps;
  field.x_run_step = step_of(p.kernel_columns, p.dilation_columns, p.in_channels);
  field.run = whole_rows ? taps * p.in_channels : p.kernel_channels;
  return field;
}

// Sums of `Filters` (4 or 1) filters over one field.
template <int Filters>
inline void sum_field(const Field& field, const int8_t* x, const int8_t* filter,
                      int32_t filter_bytes, int32_t offset, int32_t sums[Filters]) {
  const int8_t* weights_row = filter + field.weights_offset;
  for (int32_t row = 0; row < field.rows; ++row) {
    const int8_t* run_x = x + row * field.x_row_step;
    const int8_t* run_weights = weights_row + row * field.weights_row_step;
    for (int32_t run = 0; run < field.runs; ++run) {
      if constexpr (Filters == 4) {
        accumulate_4(run_x, run_weights, filter_bytes, offset, field.run, sums);
      } else {
        accumulate_1(run_x, run_weights, offset, field.run, sums);
      }
      run_x += field.x_run_step;
      run_weights += field.run;
    }
  }
}

// Sink: void operator()(int32_t channel, int32_t sum), called channel by channel, position by
// position, in the order of y.
template <typename Sink>
void convolve_position(const WindowParams& p, const Field& field, const int8_t* weights,
                       Sink& sink) {
  const int32_t offset = -p.x_zero_point;
  const int32_t filter_bytes = p.kernel_rows * p.kernel_columns * p.kernel_channels;
  const int32_t groups = p.in_channels / p.kernel_channels;
  const int32_t per_group = p.out_channels / groups;
  int32_t channel = 0;
  for (int32_t group = 0; group < groups; ++group) {
    const int8_t* const x = field.x + group * p.kernel_channels;
    const int32_t stop = (group + 1) * per_group;
    for (; channel + 4 <= stop; channel += 4) {
      int32_t sums[4] = {0, 0, 0, 0};
      sum_field<4>(field, x, weights + channel * filter_bytes, filter_bytes, offset, sums);
      for (int32_t k = 0; k < 4; ++k) sink(channel + k, sums[k]);
    }
    for (; channel < stop; ++channel) {
      int32_t sum = 0;
      sum_field<1>(field, x, weights + channel * filter_bytes, filter_bytes, offset, &sum);
      sink(channel, sum);
    }
  }
}

template <typename Sink>
void convolve(const WindowParams& p, const int8_t* x, const int8_t* weights, Sink sink) {
  const int32_t batch_values = p.in_rows * p.in_columns * p.in_channels;
  for (int32_t batch = 0; batch < p.batches; ++batch, x += batch_values) {
    for (int32_t row = 0; row < p.out_rows; ++row) {
      const Taps rows =
          clip_taps(row, p.stride_rows, p.dilation_rows, p.pad_top, p.kernel_rows, p.in_rows);
      for (int32_t column = 0; column < p.out_columns; ++column) {
        const Taps columns = clip_taps(column, p.stride_columns, p.dilation_columns, p.pad_left,
                                       p.kernel_columns, p.in_columns);
        convolve_position(p, field_of(p, x, rows, columns), weights, sink);
      }
    }
  }
}

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_SRC_CONVOLUTION_H_
