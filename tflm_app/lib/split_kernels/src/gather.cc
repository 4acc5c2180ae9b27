// SPDX-License-Identifier: Apache-2.0
#include "gather.h"

#include <cstring>

namespace split_kernels {
namespace {

// Short runs, often of 9 bytes: a call of memcpy costs more than they do. The last word may lie over
// the one before.
inline int8_t* copy(const int8_t* from, int32_t count, int8_t* to) {
  if (count < 4) {
    for (int32_t i = 0; i < count; ++i) to[i] = from[i];
    return to + count;
  }
  for (int32_t i = 0; i + 4 <= count; i += 4) std::memcpy(to + i, from + i, 4);
  std::memcpy(to + count - 4, from + count - 4, 4);
  return to + count;
}

inline int8_t* fill(int32_t value, int32_t count, int8_t* to) {
  std::memset(to, value, static_cast<size_t>(count));
  return to + count;
}

// One row of one window; `x`: the row, its first group's channels; columns may lie outside.
int8_t* gather_row(const WindowParams& p, const int8_t* x, int32_t first, int8_t* to) {
  const int32_t run = p.kernel_channels;
  const int32_t last = first + p.kernel_columns - 1;
  if (p.dilation_columns == 1 && run == p.in_channels && first >= 0 && last < p.in_columns) {
    return copy(x + first * run, p.kernel_columns * run, to);
  }
  for (int32_t i = 0; i < p.kernel_columns; ++i) {
    const int32_t column = first + i * p.dilation_columns;
    const bool inside = column >= 0 && column < p.in_columns;
    to = inside ? copy(x + column * p.in_channels, run, to) : fill(p.x_zero_point, run, to);
  }
  return to;
}

// Whether windows from the first to the last column lie inside x, row by row a run of it.
bool has_runs(const WindowParams& p, int32_t first_row, int32_t first_column,
              int32_t last_column) {
  return p.dilation_columns == 1 && p.kernel_channels == p.in_channels && first_row >= 0 &&
         first_row + reach_of(p.kernel_rows, p.dilation_rows) <= p.in_rows && first_column >= 0 &&
         last_column + p.kernel_columns <= p.in_columns;
}

void gather(const WindowParams& p, const int8_t* x, int32_t row, int32_t column, int8_t* to) {
  const int32_t first_row = row * p.stride_rows - p.pad_top;
  const int32_t first_column = column * p.stride_columns - p.pad_left;
  for (int32_t i = 0; i < p.kernel_rows; ++i) {
    const int32_t at = first_row + i * p.dilation_rows;
    if (at < 0 || at >= p.in_rows) {
      to = fill(p.x_zero_point, p.kernel_columns * p.kernel_channels, to);
    } else {
      to = gather_row(p, x + at * p.in_columns * p.in_channels, first_column, to);
    }
  }
}

// Windows of `positions` positions `stride` apart, each row by row of `run` values (Run of them, unless
// it is 0) `row_step` apart; x is where the first begins.
template <int Run>
void gather_runs(const WindowParams& p, const int8_t* x, int32_t run, int32_t positions,
                 int8_t* to) {
  const int32_t rows = p.kernel_rows, window = fours(rows * run);
  // The stride of a single position and the dilation of a single row mean nothing: no bounds.
  const int32_t row_step = rows > 1 ? p.dilation_rows * p.in_columns * p.in_channels : 0;
  const int32_t stride = positions > 1 ? p.stride_columns * p.in_channels : 0;
  for (int32_t i = 0; i < positions; ++i, x += stride, to += window) {
    const int8_t* from = x;
    int8_t* at = to;  // what is behind the last run is multiplied by 0
    for (int32_t row = 0; row < rows; ++row, from += row_step) {
      at = copy(from, Run ? Run : run, at);
    }
  }
}

// Row by row, without gathering.
void widen_runs(const WindowParams& p, const int8_t* x, int32_t run, int32_t positions,
                bool doubled, int16_t* to) {
  // The stride of a single position and the dilation of a single row mean nothing: no bounds.
  const int32_t row_step = p.in_columns * p.in_channels;
  const int32_t stride = positions > 1 ? p.stride_columns * p.in_channels : 0;
  for (int32_t i = 0; i < p.kernel_rows; ++i) {
    widen(x + i * p.dilation_rows * row_step, stride, positions, run, i * run / 4, doubled, to);
  }
}

}  // namespace

void widen_windows(const WindowParams& p, const int8_t* x, int32_t group, int32_t row,
                   int32_t column, int32_t positions, bool doubled, int8_t* gathered,
                   int16_t* to) {
  if (is_dense(p)) {
    widen(x + (row * p.in_columns + column) * p.in_channels, p.in_channels, positions,
          p.in_channels, 0, doubled, to);
    return;
  }
  const int32_t first_row = row * p.stride_rows - p.pad_top;
  const int32_t first_column = column * p.stride_columns - p.pad_left;
  const int32_t last_column = first_column + (positions - 1) * p.stride_columns;
  const int32_t products = fours(products_of(p));
  if (has_runs(p, first_row, first_column, last_column)) {
    const int32_t run = p.kernel_columns * p.kernel_channels;
    const int8_t* const first = x + (first_row * p.in_columns + first_column) * p.in_channels;
    if (run % kWidenedTogether == 0) return widen_runs(p, first, run, positions, doubled, to);
    // Three columns of three channels begin many networks.
    run == 9 ? gather_runs<9>(p, first, run, positions, gathered)
             : gather_runs<0>(p, first, run, positions, gathered);
  } else {
    for (int32_t i = 0; i < positions; ++i) {
      int8_t* const window = gathered + i * products;
      std::memset(window + products - 4, 0, 4);
      gather(p, x + group * p.kernel_channels, row, column + i, window);
    }
  }
  widen(gathered, products, positions, products, 0, doubled, to);
}

}  // namespace split_kernels
