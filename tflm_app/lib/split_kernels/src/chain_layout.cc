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

size_t work_bytes(const ChainParams& chain, const ChainUnit& unit) {
  const WindowParams& e = unit.expand.window;
  return unit_work_bytes(unit.depthwise.window, unit.project.window, unit.add.present,
                         window_columns(chain, unit),
                         unit.expands ? expansion_bytes(e, e.out_columns) : 0);
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
  uint64_t at = 0, window = 0, work = 0;  // check_chain() bounds their sum
  for (int32_t i = 0; i < chain.count; ++i) {
    ChainUnit& unit = chain.units[i];
    const WindowParams& p = unit.depthwise.window;
    unit.rows_at = static_cast<int32_t>(at);
    if (i > 0) at += fours(static_cast<size_t>(rows_at_once(unit) * row_bytes(reads(unit))));
    unit.kept_at = static_cast<int32_t>(at);
    at += kept_rows_bytes(p);
    const uint64_t own = planes_bytes(p, p.in_channels, window_columns(chain, unit));
    window = own > window ? own : window;
    const uint64_t working = work_bytes(chain, unit);
    work = working > work ? working : work;
  }
  return {static_cast<int32_t>(at), static_cast<int32_t>(at + window), at + window + work};
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
