// SPDX-License-Identifier: Apache-2.0
// A unit (a fused block, or one of a chain) of which, between two rows of its result, only those rows of e
// stay that both need. A row of the result is made some columns at a time, and those some channels of e
// at a time:
//   kept      the rows of e that stay: row by row the planes of all channels, in a ring of rows
//   carried   of new rows, the columns that the next columns' windows share with these, of all channels
//   fresh     new rows of some channels, as far as the columns' windows read them. Planes are as long as
//             those that are kept, so that windows are read where both are; where rows lie side by side (schedule.h) a window is put together here instead.
//   work      d as the projection takes it, and what an expansion takes; or d, and then either of the
//             expansion's and the projection's
// What is read of new rows goes to the place of the oldest of those kept.
#ifndef SPLIT_KERNELS_SRC_SWEPT_ROWS_H_
#define SPLIT_KERNELS_SRC_SWEPT_ROWS_H_

#include "block_steps.h"

namespace split_kernels {

constexpr int32_t kSweptChannels = 16;  // of e, made and read together; what widen() can go on behind
static_assert(kSweptChannels % kWidenedTogether == 0);

inline int32_t reach_rows(const WindowParams& p) {
  return reach_of(p.kernel_rows, p.dilation_rows);
}
inline int32_t kept_rows(const WindowParams& p) {
  const int32_t kept = reach_rows(p) - p.stride_rows;
  return kept > 0 ? kept : 0;
}
// Rows of the map that are new to a row of the result.
inline int32_t new_rows(const WindowParams& p) { return reach_rows(p) - kept_rows(p); }
// Columns that the windows of two neighbours share.
inline int32_t shared_columns(const WindowParams& p) {
  const int32_t shared = columns_under(p, 1) - p.stride_columns;
  return shared > 0 ? shared : 0;
}
inline size_t kept_rows_bytes(const WindowParams& p) {
  return fours(static_cast<size_t>(p.in_channels) * static_cast<size_t>(kept_rows(p)) *
               static_cast<size_t>(columns_under(p, p.out_columns)));
}

inline bool has_row(const WindowParams& p, int32_t row) { return row >= 0 && row < p.in_rows; }

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

struct SweptUnit {
  const FusedStage* expand;  // null: none
  const FusedStage* depthwise;
  const FusedStage* project;
  const ResidualAdd* add;
  bool sums;
};

// Memory for `columns` columns of a result at a time, beside the rows that stay.
size_t swept_bytes(const SweptUnit& unit, int32_t columns);

// A row of what a unit reads: row `row` of x, for an expansion with this window.
struct RowOfX {
  const WindowParams* window;
  const int8_t* x;
  int32_t row;
};
// Of row `row` of e.
struct RowsOfX {
  const void* context;
  RowOfX (*find)(const void* context, int32_t row);
};

class SweptRows {
 public:
  // `columns`: at a time. `memory`: swept_bytes().
  SweptRows(const SweptUnit& unit, const UnitConstants& constants, int32_t columns, int8_t* kept,
            int8_t* memory, const RowsOfX& rows);

  // The rows that row 0 of the result keeps from the begin on, number `i` of them.
  void begin_with(int32_t i);
  // Row `row`; positions of y and of what is added from `position` on. Rows come one after the other.
  void make(int32_t row, const int8_t* residual, int32_t position, void* y);

 private:
  void make_columns(int32_t row, int32_t at, int32_t columns, const int8_t* residual,
                    int32_t position, void* y);
  void make_map(int32_t row, int32_t channel, int32_t count, int32_t from, int32_t stop, int8_t* to,
                int32_t step, int32_t plane_bytes);
  void expand(int32_t row, int32_t channel, int32_t count, int32_t column, int32_t columns, int8_t* to,
              int32_t step, int32_t plane_bytes);
  void multiply_taps(int32_t channel, int32_t count, int32_t from, int32_t columns);
  void project(int32_t columns, const int8_t* residual, int32_t position, void* y);

  bool widens() const { return columns_ <= kPositions; }
  int8_t* new_row(int32_t i) const;
  int8_t* kept_row(int32_t i, int32_t channel) const;
  int8_t* carried(int32_t i, int32_t channel) const {
    return carried_ + (channel * new_rows(p_) + i) * shared_columns(p_);
  }
  void take_kept(int32_t channel, int32_t count, int32_t from, int32_t width);
  void keep(int32_t channel, int32_t count, int32_t from, int32_t columns);

  static constexpr int32_t kNoRow = INT32_MIN;

  const SweptUnit& unit_;
  const WindowParams& p_;
  UnitConstants constants_;
  Projection projection_;
  RowsOfX rows_;
  int32_t columns_;
  int32_t row_bytes_;    // of a plane of a kept row
  int32_t step_;         // from column to column of a new row
  int32_t fresh_step_;   // from new row to new row
  int32_t plane_bytes_;  // of what is fresh
  int8_t* kept_;
  int8_t* carried_;
  int8_t* fresh_;
  int8_t* work_;
  int8_t* expansion_;
  int32_t first_ = 0;  // of the kept rows, the oldest
  // The position of e that is widened, with up to three after it.
  int32_t widened_row_ = kNoRow;
  int32_t widened_column_ = 0;
};

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_SRC_SWEPT_ROWS_H_
