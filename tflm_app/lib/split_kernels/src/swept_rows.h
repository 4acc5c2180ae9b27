// SPDX-License-Identifier: Apache-2.0
// Rows of a map under a depthwise window, of which only those stay between two rows of the result that
// both need:
//   kept      of all columns, the rows that the window of the row before had, too
//   window    all rows under the window of some columns of the result: kept ones are copied to it, new
//             ones made in it, and what the next row needs goes back to `kept`
#ifndef SPLIT_KERNELS_SRC_SWEPT_ROWS_H_
#define SPLIT_KERNELS_SRC_SWEPT_ROWS_H_

#include "block_steps.h"

namespace split_kernels {

inline int32_t reach_rows(const WindowParams& p) {
  return reach_of(p.kernel_rows, p.dilation_rows);
}
inline int32_t kept_rows(const WindowParams& p) {
  const int32_t kept = reach_rows(p) - p.stride_rows;
  return kept > 0 ? kept : 0;
}
// Rows of the map that are new to a row of the result.
inline int32_t new_rows(const WindowParams& p) { return reach_rows(p) - kept_rows(p); }

inline int32_t kept_plane_bytes(const WindowParams& p) {
  return kept_rows(p) * columns_under(p, p.out_columns);
}
inline size_t kept_rows_bytes(const WindowParams& p) {
  return fours(static_cast<size_t>(p.in_channels) * static_cast<size_t>(kept_plane_bytes(p)));
}

// What one unit works with, beside its rows: a chunk of d with what its projection takes, or what an
// expansion takes.
inline size_t unit_work_bytes(const WindowParams& depthwise, const WindowParams& projection,
                              bool adds, int32_t columns, size_t expansion) {
  const size_t row =
      chunk_bytes(depthwise, columns) + projection_bytes(projection, adds, columns);
  return row > expansion ? row : expansion;
}

// The constants of a unit, one behind the other.
struct UnitConstants {
  const int8_t* expand;
  const int8_t* depthwise;
  const int8_t* project;
};
// `end`: those behind them. `expand` is null where there is none.
inline UnitConstants constants_at(const int8_t* data, const FusedStage* expand,
                                  const WindowParams& depthwise, const WindowParams& projection,
                                  bool sums, const int8_t** end) {
  UnitConstants found;
  found.expand = data;
  if (expand != nullptr) data += conv_constants_bytes(expand->window, sizeof(PairRecord));
  found.depthwise = data;
  data += static_cast<size_t>(depthwise.out_channels) * taps_bytes(depthwise);
  found.project = data;
  *end = data + conv_constants_bytes(projection, sums ? sizeof(SumsRecord) : sizeof(PairRecord));
  return found;
}

inline bool has_row(const WindowParams& p, int32_t row) { return row >= 0 && row < p.in_rows; }

inline void fill_columns(const WindowParams& p, int32_t channels, int8_t* to, int32_t columns,
                         int32_t step, int32_t plane_bytes) {
  for (int32_t channel = 0; channel < channels; ++channel, to += plane_bytes) {
    for (int32_t i = 0; i < columns; ++i) to[i * step] = static_cast<int8_t>(p.x_zero_point);
  }
}

// Columns [from, stop) of a row of `channels` channels of the map, counted from the left padding on, as
// columns of planes. `make(row, column, count, to, step, plane_bytes)` makes those that are not padding.
template <typename Make>
void make_columns(const WindowParams& p, int32_t channels, int32_t row, int32_t from, int32_t stop,
                  int8_t* to, int32_t step, int32_t plane_bytes, const Make& make) {
  const int32_t left = least(from < p.pad_left ? p.pad_left : from, stop);
  const int32_t edge = p.pad_left + p.in_columns;
  const int32_t right = has_row(p, row) ? (stop < edge ? stop : edge) : left;
  fill_columns(p, channels, to, left - from, step, plane_bytes);
  if (right > left) {
    make(row, left - p.pad_left, right - left, to + (left - from) * step, step, plane_bytes);
  }
  const int32_t behind = right > left ? right : left;
  fill_columns(p, channels, to + (behind - from) * step, stop - behind, step, plane_bytes);
}

class SweptRows {
 public:
  // `columns`: of the result under one window, at most.
  SweptRows(const WindowParams& p, int32_t columns, int8_t* kept, int8_t* window)
      : p_(p),
        columns_(columns),
        kept_(kept),
        window_(window),
        kept_rows_(kept_rows(p_)),
        kept_row_bytes_(columns_under(p_, p_.out_columns)),
        row_step_(kRowsSideBySide ? 1 : columns_under(p_, columns)),
        step_(kRowsSideBySide ? reach_rows(p_) : 1),
        plane_bytes_(reach_rows(p_) * columns_under(p_, columns)) {}

  // `make(row, column, count, to, step, plane_bytes)` makes columns of a row of the map as columns of
  // planes. Here of a row that is kept from the begin on, as number `i`.
  template <typename Make>
  void begin_with(int32_t row, int32_t i, const Make& make) {
    make_columns(p_, p_.in_channels, row, 0, kept_row_bytes_, kept_ + i * kept_row_bytes_, 1,
                 kept_plane_bytes(p_), make);
  }

  // The window of `columns` columns of a row of the result from `at` on; `under`: the first row under
  // it. Columns of a row come in ascending order.
  template <typename Make>
  Planes window(int32_t under, int32_t at, int32_t columns, const Make& make) {
    const int32_t from = at * p_.stride_columns;
    const int32_t width = columns_under(p_, columns);
    // What the window of the columns before had, too.
    const int32_t again = at == 0 ? 0 : columns_under(p_, 1) - p_.stride_columns;
    const int32_t shared = again < 0 ? 0 : again;
    const int32_t moved = columns_ * p_.stride_columns;
    move_window(from, width, shared, moved);
    for (int32_t i = kept_rows_; i < reach_rows(p_); ++i) {
      make_columns(p_, p_.in_channels, under + i, from + shared, from + width,
                   in_window(window_, i, shared), step_, plane_bytes_, make);
    }
    keep(from, at + columns == p_.out_columns ? width : moved);
    return {window_, plane_bytes_, row_step_, step_, reach_rows(p_), 0};
  }

 private:
  // Column `column` of row `row` of a plane of the window.
  int8_t* in_window(int8_t* plane, int32_t row, int32_t column) const {
    return plane + row * row_step_ + column * step_;
  }
  // To the same place or to the left; columns lie `step` apart.
  static void move(const int8_t* from, int32_t from_step, int32_t count, int8_t* to, int32_t step) {
    if (from_step == 1 && step == 1) {
      std::memmove(to, from, static_cast<size_t>(count));
      return;
    }
    for (int32_t i = 0; i < count; ++i) to[i * step] = from[i * from_step];
  }

  void move_window(int32_t from, int32_t width, int32_t shared, int32_t moved) const {
    const int32_t rows = reach_rows(p_), kept_plane = kept_plane_bytes(p_);
    for (int32_t channel = 0; channel < p_.in_channels; ++channel) {
      int8_t* const plane = window_ + channel * plane_bytes_;
      for (int32_t i = 0; i < kept_rows_; ++i) {
        move(kept_ + channel * kept_plane + i * kept_row_bytes_ + from, 1, width,
             in_window(plane, i, 0), step_);
      }
      for (int32_t i = kept_rows_; i < rows && shared > 0; ++i) {
        move(in_window(plane, i, moved), step_, shared, in_window(plane, i, 0), step_);
      }
    }
  }

  // The first `columns` columns of what the next row of the result needs.
  void keep(int32_t from, int32_t columns) const {
    const int32_t kept_plane = kept_plane_bytes(p_);
    for (int32_t channel = 0; channel < p_.in_channels; ++channel) {
      int8_t* const plane = window_ + channel * plane_bytes_;
      for (int32_t i = 0; i < kept_rows_; ++i) {
        move(in_window(plane, p_.stride_rows + i, 0), step_, columns,
             kept_ + channel * kept_plane + i * kept_row_bytes_ + from, 1);
      }
    }
  }

  const WindowParams& p_;
  int32_t columns_;
  int8_t* kept_;
  int8_t* window_;
  int32_t kept_rows_;
  int32_t kept_row_bytes_;
  int32_t row_step_;  // of the window
  int32_t step_;      // from column to column of it
  int32_t plane_bytes_;
};

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_SRC_SWEPT_ROWS_H_
