// SPDX-License-Identifier: Apache-2.0
// What a chain keeps in scratch, one after the other:
//   rows      of every unit but the first: rows of its x, the newest; a row has the slot that is its number
//             modulo their number
//   kept      of every unit: rows of what its depthwise convolution reads (swept_rows.h)
//   the rest  of the unit that runs; each makes as many columns at a time as fit in what one of them wants
#ifndef SPLIT_KERNELS_SRC_CHAIN_LAYOUT_H_
#define SPLIT_KERNELS_SRC_CHAIN_LAYOUT_H_

#include "split_kernels/chain.h"
#include "swept_rows.h"

namespace split_kernels {

inline const WindowParams& reads(const ChainUnit& unit) {
  return unit.expands ? unit.expand.window : unit.depthwise.window;
}
inline int32_t middle(int32_t kernel, int32_t dilation) { return (kernel - 1) / 2 * dilation; }
// Where what is added to row or column 0 of a unit's result lies in its x.
inline int32_t added_row(const WindowParams& p) {
  return middle(p.kernel_rows, p.dilation_rows) - p.pad_top;
}
inline int32_t added_column(const WindowParams& p) {
  return middle(p.kernel_columns, p.dilation_columns) - p.pad_left;
}

// Rows of x that a unit wants at once where its expansion is 1x1 or missing: those that are new to a row
// of its result, and with an ADD those from the one that is added on.
inline int32_t rows_at_once(const ChainUnit& unit) {
  const WindowParams& p = unit.depthwise.window;
  const int32_t added = reach_rows(p) - middle(p.kernel_rows, p.dilation_rows);
  return unit.add.present && added > new_rows(p) ? added : new_rows(p);
}
// The same of the first unit, whose expansion may be any.
inline int32_t first_rows_at_once(const ChainUnit& unit) {
  if (!unit.expands) return rows_at_once(unit);
  const WindowParams& e = unit.expand.window;
  return (rows_at_once(unit) - 1) * e.stride_rows + reach_of(e.kernel_rows, e.dilation_rows);
}
inline SweptUnit swept_of(const ChainUnit& unit) {
  return {unit.expands ? &unit.expand : nullptr, &unit.depthwise, &unit.project, &unit.add, false};
}
inline int32_t row_bytes(const WindowParams& p) { return p.in_columns * p.in_channels; }

struct ChainLayout {
  int32_t rest_at;
  uint64_t bytes;
};

// Sets the places of all units, and their columns.
ChainLayout lay_out(const ChainParams& chain);
// Sets the columns of all units to those that columns [from, stop) of y are made of.
void set_tile(const ChainParams& chain, int32_t from, int32_t stop);

inline int32_t whole_columns(const ChainParams& chain) {
  return chain.units[chain.count - 1].depthwise_whole.out;
}
inline int32_t tile_of(const ChainParams& chain) {
  return chain.tile_columns > 0 ? least(chain.tile_columns, whole_columns(chain))
                                : whole_columns(chain);
}
// Calls visit(from, stop) with the columns of every tile set; ends at the first that returns false.
template <typename Visit>
bool for_tiles(const ChainParams& chain, Visit visit) {
  const int32_t columns = whole_columns(chain), tile = tile_of(chain);
  for (int32_t from = 0; from < columns; from += tile) {
    const int32_t stop = least(from + tile, columns);
    set_tile(chain, from, stop);
    if (!visit(from, stop)) return false;
  }
  return true;
}

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_SRC_CHAIN_LAYOUT_H_
