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
  const uint32_t word = 0x01010101U * static_cast<uint8_t>(value);
  if (count < 4) {
    for (int32_t i = 0; i < count; ++i) to[i] = static_cast<int8_t>(value);
    return to + count;
  }
  for (int32_t i = 0; i + 4 <= count; i += 4) std::memcpy(to + i, &word, 4);
  std::memcpy(to + count - 4, &word, 4);
  return to + count;
}

// One row of one window; `x`: the row, its first group's channels; columns may lie outside.
int8_t* gather_row(const WindowParams& p, const int8_t* x, int32_t first, int8_t* to) {
  const int32_t run = p.kernel_channels;
  for (int32_t i = 0; i < p.kernel_columns; ++i) {
    const int32_t column = first + i * p.dilation_columns;
    const bool inside = column >= 0 && column < p.in_columns;
    to = inside ? copy(x + column * p.in_channels, run, to) : fill(p.x_zero_point, run, to);
  }
  return to;
}

// Columns side by side, all channels, from `first` on: how many are left of x, in it, and right of it.
struct Clipped {
  Clipped(const WindowParams& p, int32_t first, int32_t columns) {
    left = first >= 0 ? 0 : -first < columns ? -first : columns;
    const int32_t over = first + columns - p.in_columns, most = columns - left;
    right = over <= 0 ? 0 : over < most ? over : most;
    inside = most - right;
  }
  bool whole() const { return left == 0 && right == 0; }
  int32_t left, inside, right;
};

// The rows under a window, `columns` columns from `first_column` on: windows of several positions share
// what is copied.
void gather_columns(const WindowParams& p, const int8_t* x, int32_t first_row, int32_t first_column,
                    int32_t columns, int8_t* to) {
  const Clipped clipped(p, first_column, columns);
  for (int32_t i = 0; i < p.kernel_rows; ++i) {
    const int32_t at = first_row + i * p.dilation_rows;
    if (at < 0 || at >= p.in_rows) {
      to = fill(p.x_zero_point, columns * p.in_channels, to);
      continue;
    }
    const int8_t* const from =
        x + (at * p.in_columns + first_column + clipped.left) * p.in_channels;
    if (clipped.left > 0) to = fill(p.x_zero_point, clipped.left * p.in_channels, to);
    to = copy(from, clipped.inside * p.in_channels, to);
    if (clipped.right > 0) to = fill(p.x_zero_point, clipped.right * p.in_channels, to);
  }
}

// Whether columns of a window lie side by side in x.
bool is_run(const WindowParams& p) {
  return p.dilation_columns == 1 && p.kernel_channels == p.in_channels;
}

void gather(const WindowParams& p, const int8_t* x, int32_t row, int32_t column, int8_t* to) {
  const int32_t first_row = row * p.stride_rows - p.pad_top;
  const int32_t first_column = column * p.stride_columns - p.pad_left;
  if (is_run(p)) return gather_columns(p, x, first_row, first_column, p.kernel_columns, to);
  for (int32_t i = 0; i < p.kernel_rows; ++i) {
    const int32_t at = first_row + i * p.dilation_rows;
    if (at < 0 || at >= p.in_rows) {
      to = fill(p.x_zero_point, p.kernel_columns * p.kernel_channels, to);
    } else {
      to = gather_row(p, x + at * p.in_columns * p.in_channels, first_column, to);
    }
  }
}

// Windows of several positions: where the first begins, and how far it is to the next row of a window and to
// the next position.
struct Runs {
  const int8_t* x;
  int32_t row_step;
  int32_t stride;
};

// Windows row by row of `run` values (Run of them, unless it is 0).
template <int Run>
void gather_runs(const WindowParams& p, const Runs& runs, int32_t run, int32_t positions,
                 int8_t* to) {
  const int32_t rows = p.kernel_rows, window = fours(rows * run);
  const int8_t* x = runs.x;
  for (int32_t i = 0; i < positions; ++i, x += runs.stride, to += window) {
    const int8_t* from = x;
    int8_t* at = to;  // what is behind the last run is multiplied by 0
    for (int32_t row = 0; row < rows; ++row, from += runs.row_step) {
      at = copy(from, Run ? Run : run, at);
    }
  }
}

// Whether runs of so many values are widened where they lie.
bool is_widened(const WindowParams& p, int32_t run, int32_t positions) {
  return run % kWidenedTogether == 0 ||
         (positions == kPositions && widens_ragged(p.kernel_rows, run));
}

void widen_runs(const WindowParams& p, const Runs& runs, int32_t run, int32_t positions,
                bool doubled, int16_t* to) {
  if constexpr (!SPLIT_KERNELS_MVE) {
    if (run % kWidenedTogether != 0) {
      return widen_ragged(runs.x, runs.row_step, p.kernel_rows, run, runs.stride, doubled, to);
    }
  }
  const int8_t* x = runs.x;
  for (int32_t i = 0; i < p.kernel_rows; ++i, x += runs.row_step) {
    widen(x, runs.stride, positions, run, i * run / 4, doubled, to);
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
  const int32_t run = p.kernel_columns * p.kernel_channels, products = fours(products_of(p));
  // The stride of a single position and the dilation of a single row mean nothing: no bounds.
  const int32_t stride = positions > 1 ? p.stride_columns : 0;
  const int32_t columns = (positions - 1) * stride + p.kernel_columns;
  const int32_t row_step = p.kernel_rows > 1 ? p.dilation_rows * p.in_columns * p.in_channels : 0;
  const bool inside = first_row >= 0 &&
                      first_row + reach_of(p.kernel_rows, p.dilation_rows) <= p.in_rows &&
                      Clipped(p, first_column, columns).whole();
  Runs runs = {gathered, columns * p.in_channels, stride * p.in_channels};
  if (inside) {
    runs.x = x + (first_row * p.in_columns + first_column) * p.in_channels, runs.row_step = row_step;
  }
  if (is_run(p) && is_widened(p, run, positions) && (inside || stride <= p.kernel_columns)) {
    // Windows that touch take no more bytes together than one by one.
    if (!inside) gather_columns(p, x, first_row, first_column, columns, gathered);
    return widen_runs(p, runs, run, positions, doubled, to);
  }
  if (is_run(p) && inside) {
    // Three columns of three channels begin many networks.
    run == 9 ? gather_runs<9>(p, runs, run, positions, gathered)
             : gather_runs<0>(p, runs, run, positions, gathered);
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
