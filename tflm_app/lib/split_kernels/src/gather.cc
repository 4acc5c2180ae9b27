// SPDX-License-Identifier: Apache-2.0
#include "gather.h"

#include <cstring>

namespace split_kernels {
namespace {

// Short runs, often of 9 bytes: a call of memcpy costs more than they do.
inline int8_t* copy(const int8_t* from, int32_t count, int8_t* to) {
  for (; count >= 4; count -= 4, from += 4, to += 4) std::memcpy(to, from, 4);
  for (; count > 0; --count) *to++ = *from++;
  return to;
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

// Whether all windows of some positions lie inside x, in rows that may be widened one by one.
bool is_inside(const WindowParams& p, int32_t row, int32_t column, int32_t positions) {
  const int32_t first_row = row * p.stride_rows - p.pad_top;
  const int32_t first_column = column * p.stride_columns - p.pad_left;
  const int32_t last = first_column + (positions - 1) * p.stride_columns;
  return p.dilation_columns == 1 && p.kernel_channels == p.in_channels &&
         p.kernel_columns * p.kernel_channels % kWidenedTogether == 0 && first_row >= 0 &&
         first_row + reach_of(p.kernel_rows, p.dilation_rows) <= p.in_rows && first_column >= 0 &&
         last + p.kernel_columns <= p.in_columns;
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
  if (is_inside(p, row, column, positions)) {
    const int32_t run = p.kernel_columns * p.kernel_channels;
    const int32_t step = p.in_columns * p.in_channels;
    x += (row * p.stride_rows - p.pad_top) * step;
    x += (column * p.stride_columns - p.pad_left) * p.in_channels;
    // The stride of a single position and the dilation of a single row mean nothing: no bounds.
    const int32_t stride = positions > 1 ? p.stride_columns * p.in_channels : 0;
    for (int32_t i = 0; i < p.kernel_rows; ++i) {
      widen(x + i * p.dilation_rows * step, stride, positions, run, i * run / 4, doubled, to);
    }
    return;
  }
  const int32_t products = products_of(p);
  for (int32_t i = 0; i < positions; ++i) {
    gather(p, x + group * p.kernel_channels, row, column + i, gathered + i * fours(products));
  }
  widen(gathered, fours(products), positions, products, 0, doubled, to);
}

}  // namespace split_kernels
