// SPDX-License-Identifier: Apache-2.0
// TFLSPLIT_CHAIN: units (fused blocks) one after the other, row by row, so that of what they hand on
// only some rows exist (docs/custom_ops.md).
#ifndef SPLIT_KERNELS_CHAIN_H_
#define SPLIT_KERNELS_CHAIN_H_

#include "split_kernels/params.h"

namespace split_kernels {

inline constexpr int32_t kMostChainUnits = 8;

// Columns of a convolution's operand and result, and its padding at the sides.
struct ChainColumns {
  int32_t in = 0;
  int32_t out = 0;
  int32_t left = 0;
  int32_t right = 0;
};

// A fused block without tiles, whose ADD adds its own x; the windows' columns are those of the tile that
// is being made. What the kernel keeps of a unit stands here too.
struct ChainUnit {
  bool expands = false;
  FusedStage expand, depthwise, project;
  ResidualAdd add;
  ChainColumns expand_whole, depthwise_whole;  // of all columns: set_whole()
  int32_t rows_at = 0;  // in scratch: rows of its x, and rows of what its depthwise convolution reads
  int32_t kept_at = 0;
  int32_t constants_at = 0;
  int32_t columns = 0;  // of its result that are made at a time
};
// rewriter/tflsplit/memory/custom.py counts with this.
static_assert(sizeof(ChainUnit) == 380);

// x that comes row by row, in pieces of some rows, those of one tile after those of the other. x is then
// memory for some rows of a tile, one behind the other.
struct RollingRows {
  void* context = nullptr;
  // Piece number `piece` to `to`; false: it does not come, and the kernel ends without a result.
  bool (*take)(void* context, int32_t piece, void* to, size_t bytes) = nullptr;
};

struct ChainParams {
  ChainUnit* units = nullptr;  // `count` of them, whole, one batch
  int32_t count = 0;
  int32_t window_columns = 0;  // of a unit's result that are made at a time, at least
  int32_t tile_columns = 0;    // of y, made from the first row to the last; 0: all. Rolling x only.
  int32_t piece_rows = 0;      // of a piece; 0: all of x is there
  bool is_unsigned = false;    // x is uint8, its zero point 128 larger; rolling x only
};

// Notes the columns of a unit's windows, which are of all columns.
void set_whole(ChainUnit* unit);
// Null, or what is wrong.
const char* check_chain(const ChainParams& chain);
const char* check_chain_constants(const ChainParams& chain, const Constants& constants);
// Of rolling x: the bytes that x needs.
size_t chain_get_rolling_bytes(const ChainParams& chain);
size_t chain_get_scratch_bytes(const ChainParams& chain);
// y and x share no byte. x is written if it is rolling. False if a piece does not come.
bool run_chain(const ChainParams& chain, int8_t* x, const void* constants, void* scratch, int8_t* y,
               const RollingRows& rolling);

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_CHAIN_H_
