// SPDX-License-Identifier: Apache-2.0
// Scratch, one after the other:
//   first     rows of the first unit's e under its window (planes.h), if there is a first unit
//   inner     rows of its result that the next rows of e are made of
//   kept      rows of e that the window of the row of y before had, too
//   fresh     of the other rows, the columns under the window of some columns of y; none where that
//             window is as wide as y
//   window    all rows under it of some channels: copied to it from both (or made in it, where there are
//             no fresh ones), read, then the next channels
//   work      a chunk of d with what its projection takes, or what an expansion takes
#include "fused_sweep.h"

#include "block_steps.h"
#include "swept_rows.h"

namespace split_kernels {
namespace {

constexpr int32_t kShortRun = 8;  // memmove() takes longer
constexpr int32_t kNoRow = -1;

// ---- How large everything is ----

int32_t columns_of(const FusedBlockParams& block) {
  return least(block.window_columns, block.depthwise.window.out_columns);
}
// Whether one window has all columns: of new rows then only some channels are there at a time.
bool is_one_window(const FusedBlockParams& block) {
  return columns_of(block) == block.depthwise.window.out_columns;
}
int32_t fresh_plane_bytes(const FusedBlockParams& block) {
  const WindowParams& p = block.depthwise.window;
  if (is_one_window(block)) return 0;
  return new_rows(p) * columns_under(p, columns_of(block));
}
int32_t channels_together(const WindowParams& p) { return least(kWindowChannels, p.in_channels); }

size_t first_bytes(const FusedBlockParams& block) {
  const WindowParams& p = block.first_depthwise.window;
  return block.chained ? planes_bytes(p, p.in_channels, p.out_columns) : 0;
}
// Rows of the first unit's result that are made before they are used.
int32_t inner_rows(const FusedBlockParams& block) { return new_rows(block.depthwise.window); }
size_t inner_bytes(const FusedBlockParams& block) {
  const WindowParams& p = block.first_project.window;
  if (!block.chained) return 0;
  return fours(static_cast<size_t>(inner_rows(block)) * static_cast<size_t>(p.out_columns) *
               static_cast<size_t>(p.out_channels));
}
size_t fresh_rows_bytes(const FusedBlockParams& block) {
  const WindowParams& p = block.depthwise.window;
  return fours(static_cast<size_t>(p.in_channels) * static_cast<size_t>(fresh_plane_bytes(block)));
}
size_t window_bytes(const FusedBlockParams& block) {
  const WindowParams& p = block.depthwise.window;
  return planes_bytes(p, channels_together(p), columns_of(block));
}

int32_t first_columns(const FusedBlockParams& block) {
  return least(kChunkColumns, block.first_depthwise.window.out_columns);
}
size_t last_work_bytes(const FusedBlockParams& block) {
  const WindowParams& e = block.expand.window;
  const WindowParams& p = block.depthwise.window;
  const size_t expansion = block.expands ? expansion_bytes(e, e.out_columns) : 0;
  const int32_t columns = columns_of(block);
  if (!is_one_window(block)) {
    return unit_work_bytes(p, block.project.window, block.add.present, columns, expansion);
  }
  const size_t d = chunk_bytes(p, columns);  // grows while channels are expanded
  const size_t behind = projection_bytes(block.project.window, block.add.present, columns);
  return d + (behind > expansion ? behind : expansion);
}
size_t sweep_work_bytes(const FusedBlockParams& block) {
  const size_t last = last_work_bytes(block);
  if (!block.chained) return last;
  const WindowParams& f = block.first_expand.window;
  const size_t first = unit_work_bytes(block.first_depthwise.window, block.first_project.window,
                                       false, first_columns(block),
                                       block.first_expands ? expansion_bytes(f, f.out_columns) : 0);
  return first > last ? first : last;
}

// ---- The first unit: its rows one by one ----

class FirstUnit {
 public:
  FirstUnit(const FusedBlockParams& block, const int8_t* x, const UnitConstants& constants,
            int8_t* planes, int8_t* work)
      : block_(block),
        p_(block.first_depthwise.window),
        x_(x),
        constants_(constants),
        rows_(p_, p_.in_channels, 0, p_.out_columns, planes),
        work_(work),
        next_(-p_.pad_top) {
    rows_.fill_all();
  }

  // Rows come in ascending order.
  void make(int32_t row, int8_t* y) {
    next_ = advance(p_, row, next_, [&](int32_t at) { make_under(at); });
    const Projection projection = {&block_.first_project, constants_.project, &none_, false};
    const int32_t most = first_columns(block_);
    for (int32_t at = 0; at < p_.out_columns; at += kChunkColumns) {
      const int32_t chunk = least(kChunkColumns, p_.out_columns - at);
      depthwise_row(taps_of(p_, constants_.depthwise), block_.first_depthwise.finish,
                    rows_.planes(row, at), p_.in_channels, chunk, p_.out_channels, work_);
      project(projection, work_, chunk, most, work_ + chunk_bytes(p_, most), nullptr, at, y);
    }
  }

 private:
  void make_under(int32_t row) {
    if (!rows_.has(row)) return rows_.fill_row(row);
    if (block_.first_expands) {
      expand(block_.first_expand, constants_.expand, x_, row, rows_.start(), rows_.inside(),
             block_.first_expand.window.out_columns, work_, rows_.row(row), rows_.column_step(),
             rows_.plane_bytes());
      return;
    }
    copy_columns(x_ + (row * p_.in_columns + rows_.start()) * p_.in_channels, p_.in_channels,
                 rows_.inside(), rows_.plane_bytes(), rows_.column_step(), rows_.row(row));
  }

  const FusedBlockParams& block_;
  const WindowParams& p_;
  const int8_t* x_;
  UnitConstants constants_;
  RowsByChannel rows_;
  int8_t* work_;
  int32_t next_;  // row under the window
  ResidualAdd none_;
};

// ---- The last unit, or the only one ----

class LastUnit {
 public:
  LastUnit(const FusedBlockParams& block, const int8_t* x, const UnitConstants& constants, int8_t* inner,
           int8_t* kept, int8_t* fresh, int8_t* window, int8_t* work, FirstUnit* first)
      : block_(block),
        p_(block.depthwise.window),
        x_(x),
        constants_(constants),
        inner_(inner),
        kept_(kept),
        fresh_(fresh),
        window_(window),
        work_(work),
        first_(first),
        kept_rows_(kept_rows(p_)),
        kept_row_bytes_(columns_under(p_, p_.out_columns)),
        fresh_plane_bytes_(fresh_plane_bytes(block)),
        fresh_row_bytes_(columns_under(p_, columns_of(block))),
        row_step_(kRowsSideBySide ? 1 : columns_under(p_, columns_of(block))),
        step_(kRowsSideBySide ? reach_rows(p_) : 1),
        plane_bytes_(reach_rows(p_) * columns_under(p_, columns_of(block))) {}

  void run(const int8_t* residual, void* y) {
    const int32_t top = -p_.pad_top;
    for (int32_t i = 0; i < kept_rows_; ++i) begin_with(top + i, i);
    for (int32_t row = 0; row < p_.out_rows; ++row) {
      const int32_t under = row * p_.stride_rows + top;
      for (int32_t i = kept_rows_; i < reach_rows(p_); ++i) fetch(under + i);
      if (is_one_window(block_)) {
        make_row(row, under, residual, y);
        continue;
      }
      for (int32_t at = 0; at < p_.out_columns; at += columns_of(block_)) {
        make(row, under, at, least(columns_of(block_), p_.out_columns - at), residual, y);
      }
    }
  }

 private:
  // A row of the first unit's result, or one that the stride leaves out.
  void fetch(int32_t row) {
    if (first_ != nullptr && has_row(p_, row)) first_->make(row, inner_ + slot(row) * inner_row_bytes());
  }
  int32_t slot(int32_t row) const { return row % inner_rows(block_); }
  int32_t inner_row_bytes() const {
    const WindowParams& p = block_.first_project.window;
    return p.out_columns * p.out_channels;
  }

  // Columns of a row of e, as split_kernels::make_columns() counts them.
  void make_columns(int32_t row, int32_t from, int32_t stop, int8_t* to, int32_t step,
                    int32_t plane_bytes) {
    const auto make = [this](int32_t at, int32_t column, int32_t count, int8_t* there,
                             int32_t apart, int32_t plane) {
      make_inside(at, column, count, there, apart, plane);
    };
    split_kernels::make_columns(p_, p_.in_channels, row, from, stop, to, step, plane_bytes, make);
  }
  void make_inside(int32_t row, int32_t column, int32_t count, int8_t* to, int32_t step,
                   int32_t plane_bytes) {
    const int8_t* const x = first_ != nullptr ? inner_ : x_;
    const int32_t at = first_ != nullptr ? slot(row) : row;
    if (block_.expands) {
      expand(block_.expand, constants_.expand, x, at, column, count,
             block_.expand.window.out_columns, work_, to, step, plane_bytes);
    } else {
      copy_columns(x + (at * p_.in_columns + column) * p_.in_channels, p_.in_channels, count,
                   plane_bytes, step, to);
    }
  }

  // A row of y whose window has all columns: new rows are made in the window, some channels at a time.
  void make_row(int32_t row, int32_t under, const int8_t* residual, void* y) {
    const int32_t columns = p_.out_columns;
    int8_t* const work = work_ + chunk_bytes(p_, columns);
    widened_row_ = kNoRow;  // the projection had the memory
    for (int32_t channel = 0; channel < p_.in_channels; channel += kWindowChannels) {
      const int32_t count = least(kWindowChannels, p_.in_channels - channel);
      for (int32_t i = 0; i < count; ++i) {
        for (int32_t at = 0; at < kept_rows_; ++at) {
          copy_apart(kept_row(channel + i, at), 1, kept_row_bytes_, in_window(i, at), step_);
        }
      }
      for (int32_t at = kept_rows_; at < reach_rows(p_); ++at) {
        make_channels(channel, count, under + at, in_window(0, at), work);
      }
      depthwise_channels(channel, count, columns);
      for (int32_t i = 0; i < count; ++i) {
        for (int32_t at = 0; at < kept_rows_; ++at) {
          copy_apart(in_window(i, p_.stride_rows + at), step_, kept_row_bytes_,
                     kept_row(channel + i, at), 1);
        }
      }
    }
    const Projection projection = {&block_.project, constants_.project, &block_.add, block_.sums};
    project(projection, work_, columns, columns, work, residual, row * columns, y);
  }

  // Some channels of a row of e.
  void make_channels(int32_t channel, int32_t count, int32_t row, int8_t* to, int8_t* work) {
    const auto make = [&](int32_t at, int32_t column, int32_t inside, int8_t* there, int32_t step,
                          int32_t plane) {
      const int8_t* const x = first_ != nullptr ? inner_ : x_;
      const int32_t x_row = first_ != nullptr ? slot(at) : at;
      if (block_.expands) {
        expand_channels(channel, count, x, x_row, column, inside, there, step, plane, work);
        return;
      }
      const int8_t* from = x + (x_row * p_.in_columns + column) * p_.in_channels + channel;
      for (int32_t i = 0; i < count; ++i, there += plane) {
        copy_apart(from + i, p_.in_channels, inside, there, step);
      }
    };
    split_kernels::make_columns(p_, count, row, 0, kept_row_bytes_, to, step_, plane_bytes_, make);
  }

  // Up to four positions of x stay widened for all channels.
  void expand_channels(int32_t channel, int32_t count, const int8_t* x, int32_t row, int32_t column,
                       int32_t inside, int8_t* to, int32_t step, int32_t plane, int8_t* work) {
    const FusedStage& stage = block_.expand;
    const WindowParams& e = stage.window;
    const int32_t products = products_of(e);
    int16_t* const widened = reinterpret_cast<int16_t*>(work);
    int8_t* const gathered = work + widened_bytes(e.out_columns, products);
    const Product product = some_channels(
        product_of(constants_.expand, e.out_channels, products, sizeof(PairRecord)), channel, count);
    for (int32_t at = 0; at < inside; at += kPositions) {
      const int32_t positions = least(kPositions, inside - at);
      if (inside > kPositions || widened_row_ != row) {
        widen_windows(e, x, 0, row, column + at, positions, doubles(stage.finish), gathered, widened);
        widened_row_ = row;
      }
      multiply(product, stage.finish, widened, positions, {to + at * step, step, plane});
    }
  }

  void begin_with(int32_t row, int32_t i) {
    fetch(row);
    make_columns(row, 0, kept_row_bytes_, kept_ + i * kept_row_bytes_, 1, kept_plane_bytes(p_));
  }

  // `columns` columns of a row of y from `at` on; `under`: the first row of e under it.
  void make(int32_t row, int32_t under, int32_t at, int32_t columns, const int8_t* residual,
            void* y) {
    const int32_t from = at * p_.stride_columns;
    const int32_t width = columns_under(p_, columns);
    // What the window of the columns before had, too.
    const int32_t again = at == 0 ? 0 : columns_under(p_, 1) - p_.stride_columns;
    const int32_t shared = again < 0 ? 0 : again;
    const int32_t moved = columns_of(block_) * p_.stride_columns;
    move_fresh(moved, shared);
    for (int32_t i = kept_rows_; i < reach_rows(p_); ++i) {
      make_columns(under + i, from + shared, from + width, fresh_row(0, i) + shared, 1,
                   fresh_plane_bytes_);
    }
    for (int32_t channel = 0; channel < p_.in_channels; channel += kWindowChannels) {
      multiply_taps(channel, least(kWindowChannels, p_.in_channels - channel), from, width, columns);
    }
    keep(from, at + columns == p_.out_columns ? width : moved);
    const int32_t most = columns_of(block_);
    const Projection projection = {&block_.project, constants_.project, &block_.add, block_.sums};
    project(projection, work_, columns, most, work_ + chunk_bytes(p_, most), residual,
            row * p_.out_columns + at, y);
  }

  // d of some channels.
  void multiply_taps(int32_t channel, int32_t count, int32_t from, int32_t width, int32_t columns) {
    for (int32_t i = 0; i < count; ++i) {
      int8_t* const plane = window_ + i * plane_bytes_;
      for (int32_t row = 0; row < reach_rows(p_); ++row) {
        copy(e_row(channel + i, row, from), width, plane + row * row_step_, step_);
      }
    }
    depthwise_channels(channel, count, columns);
  }

  // d of the channels that are in the window.
  void depthwise_channels(int32_t channel, int32_t count, int32_t columns) {
    const Planes planes = {window_, plane_bytes_, row_step_, step_, reach_rows(p_), 0};
    Taps taps = taps_of(p_, constants_.depthwise);
    taps.constants += static_cast<size_t>(channel * taps.multiplier) * taps_bytes(p_);
    depthwise_row(taps, block_.depthwise.finish, planes, count, columns, p_.out_channels,
                  work_ + channel * taps.multiplier);
  }

  int8_t* in_window(int32_t plane, int32_t row) const {
    return window_ + plane * plane_bytes_ + row * row_step_;
  }
  // Row `row` of those under the window, from its column `from` on.
  int8_t* e_row(int32_t channel, int32_t row, int32_t from) const {
    return row < kept_rows_ ? kept_row(channel, row) + from : fresh_row(channel, row);
  }
  int8_t* kept_row(int32_t channel, int32_t row) const {
    return kept_ + (channel * kept_rows_ + row) * kept_row_bytes_;
  }
  int8_t* fresh_row(int32_t channel, int32_t row) const {
    return fresh_ + channel * fresh_plane_bytes_ + (row - kept_rows_) * fresh_row_bytes_;
  }

  // To columns `step` apart; where both lie in one row, to the left.
  static void copy(const int8_t* from, int32_t count, int8_t* to, int32_t step) {
    if (step == 1 && count > kShortRun) {
      std::memmove(to, from, static_cast<size_t>(count));
      return;
    }
    for (int32_t i = 0; i < count; ++i) to[i * step] = from[i];
  }

  // Columns that lie apart.
  static void copy_apart(const int8_t* from, int32_t from_step, int32_t count, int8_t* to,
                         int32_t step) {
    if (from_step == 1) return copy(from, count, to, step);
    for (int32_t i = 0; i < count; ++i) to[i * step] = from[i * from_step];
  }

  // The last `shared` columns of the new rows come first.
  void move_fresh(int32_t moved, int32_t shared) {
    if (shared == 0) return;
    for (int32_t channel = 0; channel < p_.in_channels; ++channel) {
      for (int32_t i = kept_rows_; i < reach_rows(p_); ++i) {
        int8_t* const row = fresh_row(channel, i);
        copy(row + moved, shared, row, 1);
      }
    }
  }

  // The first `columns` columns of what the next row of y needs.
  void keep(int32_t from, int32_t columns) {
    for (int32_t channel = 0; channel < p_.in_channels; ++channel) {
      for (int32_t i = 0; i < kept_rows_; ++i) {
        copy(e_row(channel, p_.stride_rows + i, from), columns, kept_row(channel, i) + from, 1);
      }
    }
  }

  const FusedBlockParams& block_;
  const WindowParams& p_;
  const int8_t* x_;
  UnitConstants constants_;
  int8_t* inner_;
  int8_t* kept_;
  int8_t* fresh_;
  int8_t* window_;
  int8_t* work_;
  FirstUnit* first_;
  int32_t kept_rows_;
  int32_t kept_row_bytes_;
  int32_t fresh_plane_bytes_;
  int32_t fresh_row_bytes_;
  int32_t row_step_;  // of the window
  int32_t step_;      // from column to column of it
  int32_t plane_bytes_;
  int32_t widened_row_ = kNoRow;  // of x (of the first unit's result: its slot)
};

}  // namespace

size_t fused_sweep_get_scratch_bytes(const FusedBlockParams& block) {
  return first_bytes(block) + inner_bytes(block) + kept_rows_bytes(block.depthwise.window) +
         fresh_rows_bytes(block) + window_bytes(block) + sweep_work_bytes(block);
}

void fused_sweep(const FusedBlockParams& block, const int8_t* x, const int8_t* residual,
                 const void* constants, void* scratch, void* y) {
  int8_t* const planes = static_cast<int8_t*>(scratch);
  int8_t* const inner = planes + first_bytes(block);
  int8_t* const kept = inner + inner_bytes(block);
  int8_t* const fresh = kept + kept_rows_bytes(block.depthwise.window);
  int8_t* const window = fresh + fresh_rows_bytes(block);
  int8_t* const work = window + window_bytes(block);
  const int8_t* data = static_cast<const int8_t*>(constants);
  const FusedStage* const expansion = block.expands ? &block.expand : nullptr;
  if (!block.chained) {
    const UnitConstants own = constants_at(data, expansion, block.depthwise.window,
                                        block.project.window, block.sums, &data);
    return LastUnit(block, x, own, inner, kept, fresh, window, work, nullptr).run(residual, y);
  }
  const UnitConstants firsts =
      constants_at(data, block.first_expands ? &block.first_expand : nullptr,
                   block.first_depthwise.window, block.first_project.window, false, &data);
  const UnitConstants own = constants_at(data, expansion, block.depthwise.window,
                                      block.project.window, block.sums, &data);
  FirstUnit first(block, x, firsts, planes, work);
  LastUnit(block, x, own, inner, kept, fresh, window, work, &first).run(residual, y);
}

}  // namespace split_kernels
