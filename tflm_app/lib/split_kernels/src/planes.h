// SPDX-License-Identifier: Apache-2.0
// Rows of a map by channels, padding included: what depthwise convolutions read.
#ifndef SPLIT_KERNELS_SRC_PLANES_H_
#define SPLIT_KERNELS_SRC_PLANES_H_

#include <cstring>

#include "schedule.h"

namespace split_kernels {

// Rows under the window of columns [column, column + columns) of a depthwise result. Row `row` of
// the map (-pad_top is the first) has the slot (row + pad_top) modulo the rows that the window spans.
class RowsByChannel {
 public:
  RowsByChannel(const WindowParams& window, int32_t planes, int32_t column, int32_t columns,
                int8_t* memory)
      : window_(window),
        planes_(planes),
        first_column_(column * window.stride_columns - window.pad_left),
        row_bytes_(columns_under(window, columns)),
        rows_(reach_of(window.kernel_rows, window.dilation_rows)),
        memory_(memory) {}

  int32_t first_column() const { return first_column_; }
  // The columns of the map that are under the window: from `start()` on, `inside()` of them.
  int32_t start() const {
    const int32_t start = first_column_ < 0 ? 0 : first_column_;
    return start < window_.in_columns ? start : window_.in_columns;
  }
  int32_t inside() const {
    const int32_t stop = first_column_ + row_bytes_;
    const int32_t end = stop < 0 ? 0 : stop < window_.in_columns ? stop : window_.in_columns;
    return end > start() ? end - start() : 0;
  }
  int32_t plane_bytes() const { return rows_ * row_bytes_; }

  // In words, since the memory begins at one and has spare bytes behind it (kSpareBytes); memset() of
  // small C libraries goes byte by byte.
  void fill_all() {
    const uint32_t word = 0x01010101U * static_cast<uint8_t>(window_.x_zero_point);
    int8_t* const end = memory_ + fours(planes_ * plane_bytes());
    int8_t* to = memory_;
    for (; end - to >= 16; to += 16) {
      const uint32_t words[4] = {word, word, word, word};
      std::memcpy(to, words, sizeof words);
    }
    for (; to != end; to += 4) std::memcpy(to, &word, sizeof word);
  }
  // After fill_all(): rows above the map are there already.
  void fill_row(int32_t row) {
    if (row < 0) return;
    int8_t* to = memory_ + slot(row) * row_step();
    for (int32_t plane = 0; plane < planes_; ++plane, to += plane_bytes()) {
      if (kRowsSideBySide) {
        for (int32_t i = 0; i < row_bytes_; ++i) {
          to[i * rows_] = static_cast<int8_t>(window_.x_zero_point);
        }
      } else {
        fill_run(to);
      }
    }
  }
  int32_t row_step() const { return kRowsSideBySide ? 1 : row_bytes_; }
  int32_t column_step() const { return kRowsSideBySide ? rows_ : 1; }
  // Where column `column` of those inside goes.
  int8_t* row(int32_t row, int32_t column = 0) const {
    return memory_ + slot(row) * row_step() + (start() - first_column_ + column) * column_step();
  }
  bool has(int32_t row) const { return row >= 0 && row < window_.in_rows; }

  // As the depthwise convolution of result row `row` reads it, from a column of this part on.
  Planes planes(int32_t row, int32_t column) const {
    return {memory_ + column * window_.stride_columns * column_step(),
            plane_bytes(),
            row_step(),
            column_step(),
            rows_,
            slot(row * window_.stride_rows - window_.pad_top),
            0,
            0};
  }

 private:
  // A row, in words of which the last may lie over the one before.
  void fill_run(int8_t* to) const {
    const uint32_t word = 0x01010101U * static_cast<uint8_t>(window_.x_zero_point);
    if (row_bytes_ < 4) {
      std::memcpy(to, &word, static_cast<size_t>(row_bytes_));
      return;
    }
    for (int32_t i = 0; i + 4 <= row_bytes_; i += 4) std::memcpy(to + i, &word, 4);
    std::memcpy(to + row_bytes_ - 4, &word, 4);
  }
  int32_t slot(int32_t row) const { return (row + window_.pad_top) % rows_; }

  const WindowParams& window_;
  int32_t planes_;
  int32_t first_column_;
  int32_t row_bytes_;
  int32_t rows_;
  int8_t* memory_;
};

inline Taps taps_of(const WindowParams& p, const void* constants) {
  return {static_cast<const int8_t*>(constants), p.kernel_rows,      p.kernel_columns,
          p.stride_columns,                      p.dilation_rows,    p.dilation_columns,
          p.out_channels / p.in_channels};
}

// Rows [from, row's last] of the map that the window of result row `row` spans and that are not
// there yet: calls make(map row) for each, and returns the row after them.
template <typename Make>
int32_t advance(const WindowParams& p, int32_t row, int32_t next, Make make) {
  const int32_t first = row * p.stride_rows - p.pad_top;
  const int32_t stop = first + reach_of(p.kernel_rows, p.dilation_rows);
  for (int32_t at = next > first ? next : first; at < stop; ++at) make(at);
  return stop;
}

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_SRC_PLANES_H_
