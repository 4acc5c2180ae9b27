// SPDX-License-Identifier: Apache-2.0
// Scratch, one after the other:
//   first     rows of the first unit's e under its window (planes.h), if there is a first unit
//   inner     rows of its result that the next rows of e are made of
//   kept      rows of e that stay (swept_rows.h)
//   the rest  of the unit that runs
#include "fused_sweep.h"

#include "swept_rows.h"

namespace split_kernels {
namespace {

// ---- How large everything is ----

SweptUnit unit_of(const FusedBlockParams& block) {
  return {block.expands ? &block.expand : nullptr, &block.depthwise, &block.project, &block.add,
          block.sums};
}
int32_t columns_of(const FusedBlockParams& block) {
  return least(block.window_columns, block.depthwise.window.out_columns);
}
size_t first_bytes(const FusedBlockParams& block) {
  const WindowParams& p = block.first_depthwise.window;
  return block.chained ? planes_bytes(p, p.in_channels, p.out_columns) : 0;
}
// Rows of the first unit's result that are made before they are used.
int32_t inner_rows(const FusedBlockParams& block) { return new_rows(block.depthwise.window); }
int32_t inner_row_bytes(const FusedBlockParams& block) {
  const WindowParams& p = block.first_project.window;
  return p.out_columns * p.out_channels;
}
size_t inner_bytes(const FusedBlockParams& block) {
  if (!block.chained) return 0;
  return fours(static_cast<size_t>(inner_rows(block)) * static_cast<size_t>(inner_row_bytes(block)));
}
int32_t first_columns(const FusedBlockParams& block) {
  return least(kChunkColumns, block.first_depthwise.window.out_columns);
}
// A chunk of d of the first unit with what its projection takes, or what its expansion takes.
size_t first_work_bytes(const FusedBlockParams& block) {
  if (!block.chained) return 0;
  const WindowParams& f = block.first_expand.window;
  const int32_t columns = first_columns(block);
  const size_t row = chunk_bytes(block.first_depthwise.window, columns) +
                     projection_bytes(block.first_project.window, false, columns);
  const size_t expansion = block.first_expands ? expansion_bytes(f, f.out_columns) : 0;
  return row > expansion ? row : expansion;
}
size_t rest_bytes(const FusedBlockParams& block) {
  const size_t first = first_work_bytes(block), last = swept_bytes(unit_of(block), columns_of(block));
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
                 p_.in_channels, rows_.inside(), rows_.plane_bytes(), rows_.column_step(), rows_.row(row));
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

class Sweep {
 public:
  Sweep(const FusedBlockParams& block, const int8_t* x, int8_t* inner, FirstUnit* first)
      : block_(block), x_(x), inner_(inner), first_(first) {}

  void run(const UnitConstants& constants, int8_t* kept, int8_t* rest, const int8_t* residual,
           void* y) {
    const WindowParams& p = block_.depthwise.window;
    const SweptUnit unit = unit_of(block_);
    SweptRows rows(unit, constants, columns_of(block_), kept, rest, {this, find});
    for (int32_t i = 0; i < kept_rows(p); ++i) {
      fetch(i - p.pad_top);
      rows.begin_with(i);
    }
    for (int32_t row = 0; row < p.out_rows; ++row) {
      const int32_t under = row * p.stride_rows - p.pad_top;
      for (int32_t i = kept_rows(p); i < reach_rows(p); ++i) fetch(under + i);
      rows.make(row, residual, row * p.out_columns, y);
    }
  }

 private:
  // A row of the first unit's result, or one that the stride leaves out.
  void fetch(int32_t row) {
    if (first_ != nullptr && has_row(block_.depthwise.window, row)) first_->make(row, inner_row(row));
  }
  int8_t* inner_row(int32_t row) const {
    return inner_ + row % inner_rows(block_) * inner_row_bytes(block_);
  }
  static RowOfX find(const void* self, int32_t row) {
    const Sweep& sweep = *static_cast<const Sweep*>(self);
    const WindowParams* const window = &sweep.block_.expand.window;
    if (sweep.first_ != nullptr) return {window, sweep.inner_row(row), 0};
    return {window, sweep.x_, row};
  }

  const FusedBlockParams& block_;
  const int8_t* x_;
  int8_t* inner_;
  FirstUnit* first_;
};

}  // namespace

size_t fused_sweep_get_scratch_bytes(const FusedBlockParams& block) {
  return first_bytes(block) + inner_bytes(block) + kept_rows_bytes(block.depthwise.window) +
         rest_bytes(block);
}

void fused_sweep(const FusedBlockParams& block, const int8_t* x, const int8_t* residual,
                 const void* constants, void* scratch, void* y) {
  int8_t* const planes = static_cast<int8_t*>(scratch);
  int8_t* const inner = planes + first_bytes(block);
  int8_t* const kept = inner + inner_bytes(block);
  int8_t* const rest = kept + kept_rows_bytes(block.depthwise.window);
  const int8_t* data = static_cast<const int8_t*>(constants);
  const FusedStage* const expansion = block.expands ? &block.expand : nullptr;
  UnitConstants firsts = {};
  if (block.chained) {
    firsts = constants_at(data, block.first_expands ? &block.first_expand : nullptr,
                          block.first_depthwise.window, block.first_project.window, false, &data);
  }
  const UnitConstants own = constants_at(data, expansion, block.depthwise.window,
                                         block.project.window, block.sums, &data);
  if (!block.chained) return Sweep(block, x, inner, nullptr).run(own, kept, rest, residual, y);
  FirstUnit first(block, x, firsts, planes, rest);
  Sweep(block, x, inner, &first).run(own, kept, rest, residual, y);
}

}  // namespace split_kernels
