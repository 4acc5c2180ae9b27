// SPDX-License-Identifier: Apache-2.0
// A block row by row. Scratch holds the rows of e under the depthwise window (the ring: when the
// window moves down, its rows move up, which costs a byte or two per value where the convolution
// costs some hundred instructions, and leaves a dense map that every depthwise kernel reads), and
// after them one row of d.
#include <cstring>

#include "cmsis.h"
#include "dense.h"
#include "portable.h"
#include "split_kernels/kernels.h"

namespace split_kernels {
namespace {

struct Span {
  int32_t start;
  int32_t stop;
  int32_t size() const { return stop - start; }
};

int32_t reach_of(int32_t kernel, int32_t dilation) { return (kernel - 1) * dilation + 1; }

// What `count` positions from `first` on read of a dimension of x: from there to there, and the part
// of it that is there (an empty one at the nearer end if none is).
struct Reads {
  Span all;
  Span inside;
};

int32_t clamp(int32_t value, int32_t high) { return value < 0 ? 0 : value > high ? high : value; }

Reads reads_of(int32_t first, int32_t count, int32_t stride, int32_t reach, int32_t pad,
               int32_t extent) {
  const int32_t start = first * stride - pad;
  const int32_t stop = start + (count - 1) * stride + reach;
  return {{start, stop}, {clamp(start, extent), clamp(stop, extent)}};
}

Reads rows_read(const WindowParams& p, int32_t row) {
  return reads_of(row, 1, p.stride_rows, reach_of(p.kernel_rows, p.dilation_rows), p.pad_top,
                  p.in_rows);
}

Reads columns_read(const WindowParams& p, Span tile) {
  return reads_of(tile.start, tile.size(), p.stride_columns,
                  reach_of(p.kernel_columns, p.dilation_columns), p.pad_left, p.in_columns);
}

// The window of part of a result; it reads all of x.
WindowParams part_of(const WindowParams& p, Span rows, Span columns) {
  WindowParams part = p;
  part.batches = 1;
  part.out_rows = rows.size();
  part.out_columns = columns.size();
  part.pad_top = p.pad_top - rows.start * p.stride_rows;
  part.pad_left = p.pad_left - columns.start * p.stride_columns;
  return part;
}

int32_t tile_of(const FusedBlockParams& block) {
  const int32_t columns = block.depthwise.window.out_columns;
  return block.tile_columns > 0 && block.tile_columns < columns ? block.tile_columns : columns;
}

size_t ring_bytes(const FusedBlockParams& block) {
  if (!block.expands()) return 0;
  const WindowParams& p = block.depthwise.window;
  const int64_t reach = reach_of(p.kernel_columns, p.dilation_columns);
  const int64_t under = int64_t{tile_of(block) - 1} * p.stride_columns + reach;
  const size_t columns = static_cast<size_t>(under < p.in_columns ? under : p.in_columns);
  const size_t rows = static_cast<size_t>(reach_of(p.kernel_rows, p.dilation_rows));
  return rows * columns * static_cast<size_t>(p.in_channels);
}

size_t row_bytes(const FusedBlockParams& block) {
  return static_cast<size_t>(tile_of(block)) *
         static_cast<size_t>(block.depthwise.window.out_channels);
}

// Part of the result of a 1x1 expansion: a matrix product for each row, or one if rows lie side by side.
void expand_dense(const FusedStage& stage, Span rows, Span columns, const int8_t* x, int8_t* e) {
  const WindowParams& p = stage.window;
  const int32_t together = columns.size() == p.out_columns ? rows.size() : 1;
  const int32_t positions = together * columns.size();
  const DenseParams product = {positions, p.in_channels, p.out_channels, p.x_zero_point};
  for (int32_t row = rows.start; row < rows.stop; row += together) {
    const int32_t first = row * p.in_columns + columns.start;
    dense(product, stage.requantization, x + first * p.in_channels, stage.weights, e);
    e += positions * p.out_channels;
  }
}

// The same of any expansion. The part is not empty; `spare` may be overwritten.
void expand(const FusedStage& stage, Span rows, Span columns, const int8_t* x, int8_t* spare,
            size_t spare_bytes, int8_t* e) {
  if (is_dense(stage.window)) {
    expand_dense(stage, rows, columns, x, e);
    return;
  }
  const WindowParams part = part_of(stage.window, rows, columns);
  if (cmsis::conv_2d_gathered(part, stage.requantization, x, stage.weights, spare, spare_bytes,
                              e)) {
    return;
  }
  conv_2d_portable(part, stage.requantization, x, stage.weights, e);
}

// A map of which the depthwise convolution reads rows `rows` and columns `columns`.
struct Source {
  const int8_t* data;
  Span rows;
  Span columns;
};

void depthwise_row(const FusedStage& stage, int32_t row, Span tile, const Source& source,
                   int8_t* d) {
  const Reads rows = rows_read(stage.window, row);
  const Reads columns = columns_read(stage.window, tile);
  WindowParams p = stage.window;
  p.batches = p.out_rows = 1;
  p.out_columns = tile.size();
  p.in_rows = source.rows.size();
  p.in_columns = source.columns.size();
  p.pad_top = source.rows.start - rows.all.start;
  p.pad_bottom = rows.all.stop - source.rows.stop;
  p.pad_left = source.columns.start - columns.all.start;
  p.pad_right = columns.all.stop - source.columns.stop;
  const bool has_bias = stage.requantization.bias != nullptr;
  // A tile of x itself may begin inside x, with negative pads: only the portable kernel allows that.
  const bool is_window = p.pad_top >= 0 && p.pad_left >= 0;
  if (is_window && depthwise_conv_2d_get_scratch_bytes(p, has_bias) == 0) {
    depthwise_conv_2d(p, stage.requantization, source.data, stage.weights, nullptr, d);
  } else {
    depthwise_conv_2d_portable(p, stage.requantization, source.data, stage.weights, d);
  }
}

// One batch of one block, column tile by column tile.
class Block {
 public:
  Block(const FusedBlockParams& block, const int8_t* x, int8_t* ring)
      : block_(block), x_(x), ring_(ring), d_(ring + ring_bytes(block)) {}

  void run(int32_t batch, void* y) {
    const WindowParams& p = block_.depthwise.window;
    const int32_t tile = tile_of(block_);
    for (int32_t start = 0; start < p.out_columns; start += tile) {
      const int32_t left = p.out_columns - start;
      const Span columns = {start, start + (left < tile ? left : tile)};
      Source source = whole_x();
      if (block_.expands()) source = {ring_, {0, 0}, columns_read(p, columns).inside};
      for (int32_t row = 0; row < p.out_rows; ++row) {
        move_to(rows_read(p, row).inside, &source);
        depthwise_row(block_.depthwise, row, columns, source, d_);
        project((batch * p.out_rows + row) * p.out_columns + start, columns.size(), y);
      }
    }
  }

 private:
  Source whole_x() const {
    const WindowParams& p = block_.depthwise.window;
    return {x_, {0, 0}, {0, p.in_columns}};
  }

  // Makes `rows` the rows of the source; they never move up.
  void move_to(Span rows, Source* source) {
    const WindowParams& p = block_.depthwise.window;
    const int32_t row_values = source->columns.size() * p.in_channels;
    if (!block_.expands()) {
      source->data = x_ + rows.start * row_values;
      source->rows = rows;
      return;
    }
    Span missing = {rows.start > source->rows.stop ? rows.start : source->rows.stop, rows.stop};
    const int32_t kept = missing.start - rows.start;
    if (kept > 0 && rows.start > source->rows.start) {
      const int8_t* from = ring_ + (rows.start - source->rows.start) * row_values;
      std::memmove(ring_, from, static_cast<size_t>(kept * row_values));
    }
    if (missing.size() > 0 && row_values > 0) {
      expand(block_.expand, missing, source->columns, x_, d_, row_bytes(block_),
             ring_ + kept * row_values);
    }
    source->rows = rows;
  }

  void project(int32_t position, int32_t positions, void* y) const {
    const FusedStage& stage = block_.project;
    const WindowParams& p = stage.window;
    const DenseParams product = {positions, p.in_channels, p.out_channels, p.x_zero_point};
    const int32_t at = position * p.out_channels;
    if (block_.sums) {
      dense_sums(product, d_, stage.weights, static_cast<int32_t*>(y) + at);
    } else {
      dense(product, stage.requantization, d_, stage.weights, static_cast<int8_t*>(y) + at);
    }
  }

  const FusedBlockParams& block_;
  const int8_t* x_;
  int8_t* ring_;
  int8_t* d_;
};

}  // namespace

size_t fused_block_get_scratch_bytes(const FusedBlockParams& block) {
  return ring_bytes(block) + row_bytes(block);
}

void fused_block(const FusedBlockParams& block, const int8_t* x, void* scratch, void* y) {
  const WindowParams& p = block.expands() ? block.expand.window : block.depthwise.window;
  for (int32_t batch = 0; batch < p.batches; ++batch) {
    Block(block, x, static_cast<int8_t*>(scratch)).run(batch, y);
    x += p.in_rows * p.in_columns * p.in_channels;
  }
}

}  // namespace split_kernels
