// SPDX-License-Identifier: Apache-2.0
#include "chain_layout.h"

namespace split_kernels {
namespace {

void set_columns(WindowParams* p, const ChainColumns& columns) {
  p->in_columns = columns.in, p->out_columns = columns.out;
  p->pad_left = columns.left, p->pad_right = columns.right;
}

int32_t within(int32_t value, int32_t most) { return value < 0 ? 0 : least(value, most); }

// Columns [*from, *stop) of the result become those of the operand.
void cut(WindowParams* p, const ChainColumns& whole, int32_t* from, int32_t* stop) {
  const int32_t low = *from * p->stride_columns - whole.left;
  const int32_t high = (*stop - 1) * p->stride_columns - whole.left +
                       reach_of(p->kernel_columns, p->dilation_columns);
  p->out_columns = *stop - *from;
  *from = within(low, whole.in), *stop = within(high, whole.in);
  p->in_columns = *stop - *from;
  p->pad_left = *from - low, p->pad_right = high - *stop;
}

// As many columns at a time as so many bytes allow, in fours if not all; `least_columns` always do.
int32_t columns_within(const ChainUnit& unit, int32_t least_columns, uint64_t bytes) {
  const int32_t all = unit.depthwise.window.out_columns;
  const SweptUnit swept = swept_of(unit);
  if (swept_bytes(swept, all) <= bytes) return all;
  int32_t columns = all > kPositions ? (all - 1) / kPositions * kPositions : all - 1;
  for (; columns > least_columns; columns -= columns > kPositions ? kPositions : 1) {
    if (swept_bytes(swept, columns) <= bytes) return columns;
  }
  return least(least_columns, all);
}

}  // namespace

void set_whole(ChainUnit* unit) {
  const WindowParams &e = unit->expand.window, &d = unit->depthwise.window;
  unit->expand_whole = {e.in_columns, e.out_columns, e.pad_left, e.pad_right};
  unit->depthwise_whole = {d.in_columns, d.out_columns, d.pad_left, d.pad_right};
}

void set_tile(const ChainParams& chain, int32_t from, int32_t stop) {
  const bool whole = from == 0 && stop == whole_columns(chain);
  for (int32_t i = chain.count; i-- > 0;) {
    ChainUnit& unit = chain.units[i];
    WindowParams &e = unit.expand.window, &d = unit.depthwise.window;
    if (whole) {
      set_columns(&d, unit.depthwise_whole);
      if (unit.expands) set_columns(&e, unit.expand_whole);
    } else {
      cut(&d, unit.depthwise_whole, &from, &stop);
      if (unit.expands) cut(&e, unit.expand_whole, &from, &stop);
    }
    unit.project.window.in_columns = unit.project.window.out_columns = d.out_columns;
  }
}

ChainLayout lay_out(const ChainParams& chain) {
  uint64_t at = 0, rest = 0;  // check_chain() bounds their sum
  for (int32_t i = 0; i < chain.count; ++i) {
    ChainUnit& unit = chain.units[i];
    const WindowParams& p = unit.depthwise.window;
    unit.rows_at = static_cast<int32_t>(at);
    if (i > 0) at += fours(static_cast<size_t>(rows_at_once(unit) * row_bytes(reads(unit))));
    unit.kept_at = static_cast<int32_t>(at);
    at += kept_rows_bytes(p);
    const uint64_t own = swept_bytes(swept_of(unit), least(chain.window_columns, p.out_columns));
    rest = own > rest ? own : rest;
  }
  for (int32_t i = 0; i < chain.count; ++i) {
    chain.units[i].columns = columns_within(chain.units[i], chain.window_columns, rest);
  }
  return {static_cast<int32_t>(at), at + rest};
}

size_t chain_get_scratch_bytes(const ChainParams& chain) {
  uint64_t most = 0;
  for_tiles(chain, [&](int32_t, int32_t) {
    const uint64_t bytes = lay_out(chain).bytes;
    most = bytes > most ? bytes : most;
    return true;
  });
  return static_cast<size_t>(most);
}

size_t chain_get_rolling_bytes(const ChainParams& chain) {
  size_t most = 0;
  for_tiles(chain, [&](int32_t, int32_t) {
    const ChainUnit& first = chain.units[0];
    const WindowParams& p = reads(first);
    const int32_t rows = first_rows_at_once(first) - 1 + least(chain.piece_rows, p.in_rows);
    const size_t bytes = static_cast<size_t>(rows) * static_cast<size_t>(row_bytes(p));
    most = bytes > most ? bytes : most;
    return true;
  });
  return most;
}

}  // namespace split_kernels
