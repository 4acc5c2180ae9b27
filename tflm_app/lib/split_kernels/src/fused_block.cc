// SPDX-License-Identifier: Apache-2.0
// A block row by row and, in wide rows, chunk of columns by chunk. Scratch holds the rows of e (without
// expansion, of x) under the depthwise window by channels (planes.h), and after them what one step works
// with: windows of x for the expansion, or a chunk of one row of d and what its projection reads.
#include "block_steps.h"
#include "fused_sweep.h"
#include "widened_rows.h"

namespace split_kernels {
namespace {

constexpr int32_t kRowsAtOnce = 32;  // one bit each

int32_t tile_of(const FusedBlockParams& block) {
  const int32_t columns = block.depthwise.window.out_columns;
  return block.tile_columns > 0 ? least(block.tile_columns, columns) : columns;
}

int32_t chunk_of(const FusedBlockParams& block) { return least(tile_of(block), kChunkColumns); }

int32_t greatest_divisor_with_4(int32_t value) { return value % 4 == 0 ? 4 : value % 2 == 0 ? 2 : 1; }

// Narrow rows of d that are projected together, so that positions come in fours.
int32_t rows_together(const FusedBlockParams& block) {
  const WindowParams& p = block.depthwise.window;
  if (tile_of(block) < p.out_columns || p.out_columns > kChunkColumns / 2) return 1;
  const int32_t row_bytes = p.out_columns * p.out_channels;
  const int32_t most = least(kChunkColumns / p.out_columns, kRowsBytes / row_bytes);
  const int32_t rows = least(least(most, p.out_rows), 4 / greatest_divisor_with_4(p.out_columns));
  return rows < 1 ? 1 : rows;
}

// Positions of d at a time.
int32_t positions_of(const FusedBlockParams& block) {
  return chunk_of(block) * rows_together(block);
}

// Whether rows under the window are kept for all channels; rows of x only if they are small.
bool keeps_rows(const FusedBlockParams& block) {
  const WindowParams& p = block.depthwise.window;
  return block.expands || planes_bytes(p, p.in_channels, tile_of(block)) <= kKeptBytes;
}

size_t kept_bytes(const FusedBlockParams& block) {
  const WindowParams& p = block.depthwise.window;
  return keeps_rows(block) ? planes_bytes(p, p.in_channels, tile_of(block))
                           : planes_bytes(p, planes_together(p), chunk_of(block));
}

size_t chunk_bytes(const FusedBlockParams& block) {
  return chunk_bytes(block.depthwise.window, positions_of(block));
}

// Of a row of d, or some.
size_t row_bytes(const FusedBlockParams& block) {
  return chunk_bytes(block) +
         projection_bytes(block.project.window, block.add.present, positions_of(block));
}

size_t work_bytes(const FusedBlockParams& block) {
  const size_t row = row_bytes(block);
  if (!block.expands) return row;
  const WindowParams& p = block.expand.window;
  // Behind d, if rows of d wait, and else where d begins.
  const size_t windows = (rows_together(block) > 1 ? chunk_bytes(block) : 0) +
                         expansion_bytes(p, p.out_columns);
  return row > windows ? row : windows;
}

// Widened positions that a row may leave over: at most a group, and none where rows come in fours.
size_t left_bytes(const FusedBlockParams& block) {
  const int32_t columns = tile_of(block);
  const bool in_fours = columns % kPositions == 0 && block.depthwise.window.out_columns % columns == 0;
  return in_fours ? 0 : static_cast<size_t>(WidenedRows::group_bytes(block.depthwise.window));
}
// d that waits while rows are expanded.
size_t waiting_bytes(const FusedBlockParams& block) {
  return rows_together(block) > 1 ? chunk_bytes(block) : left_bytes(block);
}

// Groups of positions of d that are widened as they are made and projected together; 0: none. Then
// positions are written before all narrow rows that are projected together have been read.
int32_t widened_together(const FusedBlockParams& block, bool y_over_x, bool apart) {
  constexpr int32_t kLeastColumns = kWidensPairs ? 4 : 8;  // a channel of a short run costs more so
  if (!kMultipliesGroups || !keeps_rows(block) || (y_over_x && rows_together(block) > 1)) return 0;
  const int32_t columns = block.depthwise.window.out_columns;
  if (columns < kLeastColumns || (kWidensPairs && columns % 2 != 0)) return 0;
  if (block.expands) {
    const WindowParams& e = block.expand.window;
    const size_t waiting = waiting_bytes(block);
    const size_t taken = waiting + expansion_bytes(e, e.out_columns);
    if (waiting < left_bytes(block) || taken > work_bytes(block)) return 0;
  }
  return WidenedRows::most_groups(block, row_bytes(block), apart);
}

// What expands windows of x begins behind d that waits, and else where d begins.
size_t expansion_begin(const FusedBlockParams& block, int32_t widened) {
  if (rows_together(block) > 1) return chunk_bytes(block);
  return widened > 0 ? left_bytes(block) : 0;
}

// Groups of four columns of e that are multiplied together, as many as the memory holds in which a row
// of d is made: 0, or so many that widening weights for them pays.
int32_t groups_together(const FusedBlockParams& block, size_t begin) {
  constexpr int32_t kLeast = kWidensPairs ? 2 : 3;
  const WindowParams& p = block.expand.window;
  if (!kMultipliesGroups || !block.expands || !doubles(block.expand.finish)) return 0;
  const int32_t room = static_cast<int32_t>(work_bytes(block) - begin);
  const int32_t four = 4 * fours(products_of(p));  // of weights, or of windows that are gathered
  const int32_t before = (kWidensWeights ? four : 0) + (is_dense(p) ? 0 : four);
  const int32_t groups = least((room - before) / (2 * four), p.out_columns / kPositions);
  return groups < kLeast ? 0 : groups;
}

// One batch of a block.
class Block {
 public:
  Block(const FusedBlockParams& block, const int8_t* x, const int8_t* residual,
        const void* constants, void* scratch, const Arriving& arriving, bool y_over_x, bool apart)
      : block_(block),
        arriving_(arriving),
        x_(x),
        residual_(residual),
        expand_(static_cast<const int8_t*>(constants)),
        depthwise_(expand_),
        kept_(static_cast<int8_t*>(scratch)),
        work_(kept_ + kept_bytes(block)),
        apart_(apart),
        widened_(widened_together(block, y_over_x, apart)),
        expansion_(work_ + expansion_begin(block, widened_)),
        groups_(groups_together(block, static_cast<size_t>(expansion_ - work_))) {
    if (block.expands) {
      depthwise_ += conv_constants_bytes(block.expand.window, sizeof(PairRecord));
    }
    project_ = depthwise_ + static_cast<size_t>(block.depthwise.window.out_channels) *
                                taps_bytes(block.depthwise.window);
  }

  bool run(int32_t batch, void* y) {
    const int32_t columns = block_.depthwise.window.out_columns;
    for (int32_t start = 0; start < columns; start += tile_of(block_)) {
      const int32_t count = least(tile_of(block_), columns - start);
      bool done = false;
      if (!keeps_rows(block_)) {
        done = run_copying(batch, start, count, y);
      } else if (!kMultipliesGroups || widened_ == 0) {
        done = run_keeping(batch, start, count, y);
      } else if constexpr (kMultipliesGroups) {
        done = run_widening(batch, start, count, y);
      }
      if (!done) return false;
    }
    return true;
  }

 private:
  bool run_keeping(int32_t batch, int32_t start, int32_t count, void* y) {
    const WindowParams& p = block_.depthwise.window;
    RowsByChannel rows(p, p.in_channels, start, count, kept_);
    rows.fill_all();
    const int32_t together = rows_together(block_);
    int32_t next = -p.pad_top, waiting = 0;  // rows of d
    for (int32_t row = 0; row < p.out_rows; ++row) {
      const int32_t first = row * p.stride_rows - p.pad_top;
      const int32_t stop = first + reach_of(p.kernel_rows, p.dilation_rows);
      if (!make_rows(next > first ? next : first, stop, rows)) return false;
      next = stop;
      for (int32_t at = 0; at < count; at += kChunkColumns) {
        const int32_t chunk = least(kChunkColumns, count - at);
        depthwise_row(taps_of(p, depthwise_), block_.depthwise.finish, rows.planes(row, at),
                      p.in_channels, chunk, p.out_channels,
                      work_ + waiting * chunk * p.out_channels);
        if (++waiting < together && row + 1 < p.out_rows) break;
        project(position_of(batch, row + 1 - waiting, start + at), waiting * chunk, y);
        waiting = 0;
      }
    }
    return true;
  }

  // The same with d as widened positions.
  bool run_widening(int32_t batch, int32_t start, int32_t count, void* y) {
    const WindowParams& p = block_.depthwise.window;
    RowsByChannel rows(p, p.in_channels, start, count, kept_);
    rows.fill_all();
    const bool whole_rows = count == p.out_columns;
    WidenedRows d(block_, project_, widened_, work_, position_of(batch, 0, start), residual_,
                  static_cast<int8_t*>(y), apart_);
    int32_t next = -p.pad_top;
    for (int32_t row = 0; row < p.out_rows; ++row) {
      const int32_t first = row * p.stride_rows - p.pad_top;
      const int32_t stop = first + reach_of(p.kernel_rows, p.dilation_rows);
      if (!make_rows(next > first ? next : first, stop, rows)) return false;
      next = stop;
      for (int32_t at = 0; at < count;) {
        const int32_t columns = d.room(count - at);
        d.add(taps_of(p, depthwise_), rows.planes(row, at), columns);
        at += columns;
      }
      if (!whole_rows || row + 1 == p.out_rows) {
        d.finish(position_of(batch, row + 1, start));
      } else if (block_.expands) {
        d.keep(static_cast<int32_t>(expansion_ - work_) / WidenedRows::group_bytes(p));
      }
    }
    return true;
  }

  // Rows [first, stop) of what the depthwise convolution reads: those that are here, then the others as
  // they come.
  bool make_rows(int32_t first, int32_t stop, const RowsByChannel& rows) {
    for (int32_t from = first; from < stop; from += kRowsAtOnce) {
      const int32_t count = least(kRowsAtOnce, stop - from);
      uint32_t late = 0;
      for (int32_t i = 0; i < count; ++i) {
        if (is_here(needed_for(from + i))) {
          make_row(from + i, rows);
        } else {
          late |= uint32_t{1} << i;
        }
      }
      for (int32_t i = 0; late != 0; ++i, late >>= 1) {
        if ((late & 1u) == 0) continue;
        if (!await(needed_for(from + i))) return false;
        make_row(from + i, rows);
      }
    }
    return true;
  }

  void make_row(int32_t row, RowsByChannel rows) {
    if (!rows.has(row)) {
      rows.fill_row(row);
    } else if (block_.expands) {
      expand(row, rows);
    } else {
      const WindowParams& p = block_.depthwise.window;
      copy_columns(x_ + (row * p.in_columns + rows.start()) * p.in_channels, p.in_channels,
                   p.in_channels, rows.inside(), rows.plane_bytes(), rows.column_step(), rows.row(row));
    }
  }

  struct Bytes {
    const int8_t* begin;
    size_t count;
  };
  // Rows [first, stop) of x, as far as there are such.
  Bytes rows_of_x(int32_t first, int32_t stop) const {
    const WindowParams& p = block_.expands ? block_.expand.window : block_.depthwise.window;
    first = first < 0 ? 0 : least(first, p.in_rows);
    stop = stop < first ? first : least(stop, p.in_rows);
    const int32_t row_bytes = p.in_columns * p.in_channels;
    return {x_ + first * row_bytes, static_cast<size_t>((stop - first) * row_bytes)};
  }
  // Those under the window of row `row` of the result of a convolution of x.
  Bytes under(const WindowParams& p, int32_t row) const {
    const int32_t first = row * p.stride_rows - p.pad_top;
    return rows_of_x(first, first + reach_of(p.kernel_rows, p.dilation_rows));
  }
  // Those that a row which the depthwise convolution reads is made of.
  Bytes needed_for(int32_t row) const {
    const WindowParams& read = block_.depthwise.window;
    if (row < 0 || row >= read.in_rows) return {x_, 0};
    return block_.expands ? under(block_.expand.window, row) : rows_of_x(row, row + 1);
  }
  bool is_here(const Bytes& bytes) const { return arriving_.here(bytes.begin, bytes.count); }
  bool await(const Bytes& bytes) const { return arriving_.await(bytes.begin, bytes.count); }

  // One row of e.
  void expand(int32_t row, const RowsByChannel& rows) {
    const WindowParams& p = block_.expand.window;
    const int32_t products = products_of(p);
    int8_t* const begin = expansion_;
    int16_t* const widened = reinterpret_cast<int16_t*>(begin);
    int8_t* const gathered = begin + widened_bytes(p.out_columns, products);
    const Product product = product_of(expand_, p.out_channels, products, sizeof(PairRecord));
    int32_t at = 0;
    if (kMultipliesGroups && groups_ > 0) at = expand_groups(row, rows, product, begin);
    for (; at < rows.inside(); at += kPositions) {
      const int32_t count = least(kPositions, rows.inside() - at);
      widen_windows(p, x_, 0, row, rows.start() + at, count, doubles(block_.expand.finish), gathered,
                    widened);
      multiply(product, block_.expand.finish, widened, count,
               {rows.row(row, at), rows.column_step(), rows.plane_bytes()});
    }
  }

  // Without expansion and with large rows the planes hold four channels of x, for a chunk of some rows
  // of d at a time.
  bool run_copying(int32_t batch, int32_t start, int32_t count, void* y) {
    const WindowParams& p = block_.depthwise.window;
    const int32_t together = rows_together(block_);
    for (int32_t row = 0; row < p.out_rows; row += together) {
      const int32_t rows = least(together, p.out_rows - row);
      for (int32_t i = 0; i < rows; ++i) {
        if (!await(under(p, row + i))) return false;
      }
      for (int32_t at = 0; at < count; at += kChunkColumns) {
        const int32_t chunk = least(kChunkColumns, count - at);
        Taps taps = taps_of(p, depthwise_);
        for (int32_t channel = 0; channel < p.in_channels; channel += kPlanes) {
          const int32_t planes = least(kPlanes, p.in_channels - channel);
          run_planes(row, rows, channel, planes, start + at, chunk, taps);
          taps.constants += static_cast<size_t>(planes) * taps_bytes(p);
        }
        project(position_of(batch, row, start + at), rows * chunk, y);
      }
    }
    return true;
  }

  // Whole groups of four columns of a row of e; returns the columns made. In `memory` lie weights of a
  // pair of channels, gathered windows and widened ones.
  int32_t expand_groups(int32_t row, const RowsByChannel& rows, const Product& product,
                        int8_t* memory) const {
    const WindowParams& p = block_.expand.window;
    const int32_t four = 4 * product.products;
    int8_t* const gathered = kWidensWeights ? memory + four : memory;
    int16_t* const widened = reinterpret_cast<int16_t*>(is_dense(p) ? gathered : gathered + four);
    int32_t column = 0;
    for (int32_t left = rows.inside() / kPositions; left > 0;) {
      const int32_t groups = least(left, groups_);
      for (int32_t i = 0; i < groups; ++i) {
        widen_windows(p, x_, 0, row, rows.start() + column + i * kPositions, kPositions, true, gathered,
                      widened + i * four);
      }
      multiply_groups(product, block_.expand.finish, widened, groups,
                      reinterpret_cast<int16_t*>(memory),
                      {rows.row(row, column), 1, rows.plane_bytes()});
      left -= groups;
      column += groups * kPositions;
    }
    return column;
  }

  // `rows` rows of d of some channels.
  void run_planes(int32_t row, int32_t rows, int32_t channel, int32_t planes, int32_t column,
                  int32_t columns, const Taps& taps) {
    const WindowParams& p = block_.depthwise.window;
    RowsByChannel kept(p, planes, column, columns, kept_);
    kept.fill_all();
    int32_t next = row * p.stride_rows - p.pad_top;
    int8_t* d = work_ + channel;
    for (int32_t i = 0; i < rows; ++i, d += columns * p.out_channels) {
      next = advance(p, row + i, next, [&](int32_t at) {
        if (kept.has(at)) {
          copy_row(at, channel, planes, kept);
        } else {
          kept.fill_row(at);
        }
      });
      depthwise_row(taps, block_.depthwise.finish, kept.planes(row + i, 0), planes, columns,
                    p.out_channels, d);
    }
  }

  // A row of some channels of x.
  void copy_row(int32_t row, int32_t channel, int32_t planes, const RowsByChannel& rows) {
    const WindowParams& p = block_.depthwise.window;
    const int8_t* const from = x_ + (row * p.in_columns + rows.start()) * p.in_channels;
    to_planes(from + channel, p.in_channels, rows.inside(), planes, rows.plane_bytes(),
              rows.column_step(), rows.row(row));
  }

  int32_t position_of(int32_t batch, int32_t row, int32_t column) const {
    const WindowParams& p = block_.depthwise.window;
    return (batch * p.out_rows + row) * p.out_columns + column;
  }

  // A chunk of d, which begins `work_`.
  void project(int32_t position, int32_t positions, void* y) const {
    const Projection projection = {&block_.project, project_, &block_.add, block_.sums};
    split_kernels::project(projection, work_, positions, positions_of(block_),
                           work_ + chunk_bytes(block_), residual_, position, y);
  }

  const FusedBlockParams& block_;
  const Arriving& arriving_;
  const int8_t* x_;
  const int8_t* residual_;
  const int8_t* expand_;
  const int8_t* depthwise_;
  const int8_t* project_;
  int8_t* kept_;
  int8_t* work_;
  bool apart_;
  int32_t widened_;
  int8_t* expansion_;
  int32_t groups_;
};

// Whether two arrays share bytes.
bool shares(const void* a, int32_t a_bytes, const void* b, int32_t b_bytes) {
  const uintptr_t first = reinterpret_cast<uintptr_t>(a), second = reinterpret_cast<uintptr_t>(b);
  return first < second + static_cast<uintptr_t>(b_bytes) &&
         second < first + static_cast<uintptr_t>(a_bytes);
}
int32_t y_bytes(const FusedBlockParams& block) {
  const WindowParams& p = block.project.window;
  return p.batches * p.out_rows * p.out_columns * p.out_channels * (block.sums ? 4 : 1);
}

// From the first value that is added to behind the last.
int32_t residual_bytes(const FusedBlockParams& block) {
  const WindowParams& p = block.project.window;
  if (block.add.row_positions == 0) return y_bytes(block);
  return ((p.out_rows - 1) * block.add.row_positions + p.out_columns) * p.out_channels;
}

// That which x is the input of.
const WindowParams& first_window(const FusedBlockParams& block) {
  if (!block.chained) return block.expands ? block.expand.window : block.depthwise.window;
  return block.first_expands ? block.first_expand.window : block.first_depthwise.window;
}

}  // namespace

size_t fused_block_get_scratch_bytes(const FusedBlockParams& block) {
  return block.window_columns > 0 ? fused_sweep_get_scratch_bytes(block)
                                  : kept_bytes(block) + work_bytes(block);
}

bool fused_block(const FusedBlockParams& block, const int8_t* x, const int8_t* residual,
                 const void* constants, void* scratch, void* y, const Arriving& arriving) {
  if (block.add.row_positions != 0) {
    residual = x + middle_position(block) * block.project.window.out_channels;
  }
  if (block.window_columns > 0) {
    const WindowParams& first = first_window(block);
    const int32_t x_bytes = first.batches * first.in_rows * first.in_columns * first.in_channels;
    if (!arriving.await(x, static_cast<size_t>(x_bytes))) return false;
    fused_sweep(block, x, residual, constants, scratch, y);
    return true;
  }
  const WindowParams& p = block.expands ? block.expand.window : block.depthwise.window;
  const int32_t batch_bytes = p.in_rows * p.in_columns * p.in_channels;
  const int8_t* batch_x = x;
  const bool over = p.batches == 1 && shares(x, batch_bytes, y, y_bytes(block));
  const bool apart =
      block.add.present && !shares(residual, residual_bytes(block), y, y_bytes(block));
  for (int32_t batch = 0; batch < p.batches; ++batch, batch_x += batch_bytes) {
    Block made(block, batch_x, residual, constants, scratch, arriving, over, apart);
    if (!made.run(batch, y)) return false;
  }
  // Rows that no window reads (a stride leaves them over) may still be under way.
  return arriving.await(x, static_cast<size_t>(batch_bytes) * static_cast<size_t>(p.batches));
}

}  // namespace split_kernels
