// SPDX-License-Identifier: Apache-2.0
// Packed constants as the kernels read them, and how large everything is (docs/custom_ops.md).
#ifndef SPLIT_KERNELS_SRC_LAYOUT_H_
#define SPLIT_KERNELS_SRC_LAYOUT_H_

#include <cstddef>
#include <cstdint>

#include "split_kernels/params.h"

namespace split_kernels {

struct ChannelFinish {
  int32_t multiplier;
  int32_t addend;
  int32_t shift;
};
// Two output channels of a matrix product; of sums, the bias alone.
struct PairRecord {
  int32_t bias[2];
  ChannelFinish finish[2];
};
struct SumsRecord {
  int32_t bias[2];
};
// One output channel of a depthwise convolution, before its weights.
struct TapsRecord {
  int32_t bias;
  int32_t shift;
  int32_t multiplier;
  int32_t addend;
};
static_assert(sizeof(PairRecord) == 32 && sizeof(SumsRecord) == 8 && sizeof(TapsRecord) == 16);

constexpr int32_t fours(int32_t count) { return (count + 3) / 4 * 4; }
constexpr size_t fours(size_t count) { return (count + 3) / 4 * 4; }

constexpr int32_t kPositions = 4;       // of a matrix product, made together
constexpr int32_t kPlanes = 4;          // channels of a depthwise convolution, likewise
constexpr int32_t kChunkColumns = 32;   // of a fused block's result
constexpr size_t kKeptBytes = 4096;     // of rows of x that a block without expansion keeps, at most
constexpr int32_t kRowsBytes = 16384;   // of several narrow rows of d, projected together
constexpr size_t kSpareBytes = 4;       // planes are read in words, which may reach over the end

inline int32_t groups_of(const WindowParams& p) { return p.in_channels / p.kernel_channels; }
// Products of one value of the result.
inline int32_t products_of(const WindowParams& p) {
  return p.kernel_rows * p.kernel_columns * p.kernel_channels;
}
inline int32_t reach_of(int32_t kernel, int32_t dilation) { return (kernel - 1) * dilation + 1; }

// Whether positions are those of x, one after the other.
inline bool is_dense(const WindowParams& p) {
  return p.kernel_rows == 1 && p.kernel_columns == 1 && p.kernel_channels == p.in_channels &&
         p.stride_rows == 1 && p.stride_columns == 1 && p.pad_top == 0 && p.pad_bottom == 0 &&
         p.pad_left == 0 && p.pad_right == 0;
}

inline size_t pairs_bytes(int32_t channels, int32_t products, size_t record_bytes) {
  const size_t pairs = (static_cast<size_t>(channels) + 1) / 2;
  return pairs * (record_bytes + 2 * fours(static_cast<size_t>(products)));
}
inline size_t conv_constants_bytes(const WindowParams& p, size_t record_bytes) {
  const int32_t groups = groups_of(p);
  return static_cast<size_t>(groups) *
         pairs_bytes(p.out_channels / groups, products_of(p), record_bytes);
}
// Of one channel.
inline size_t taps_bytes(const WindowParams& p) {
  return sizeof(TapsRecord) + static_cast<size_t>(p.kernel_rows) *
                                  fours(static_cast<size_t>(p.kernel_columns));
}

inline size_t widened_bytes(int32_t positions, int32_t products) {
  const int32_t together = positions < kPositions ? positions : kPositions;
  return 2 * static_cast<size_t>(together) * fours(static_cast<size_t>(products));
}
inline size_t gathered_bytes(int32_t positions, int32_t products) {
  return widened_bytes(positions, products) / 2;
}
// Columns of x that so many columns of a result read.
inline int32_t columns_under(const WindowParams& p, int32_t columns) {
  return (columns - 1) * p.stride_columns + reach_of(p.kernel_columns, p.dilation_columns);
}
// Channels of x whose planes are made together.
inline int32_t planes_together(const WindowParams& p) {
  return p.in_channels < kPlanes ? p.in_channels : kPlanes;
}
inline size_t planes_bytes(const WindowParams& p, int32_t planes, int32_t columns) {
  const size_t rows = static_cast<size_t>(reach_of(p.kernel_rows, p.dilation_rows));
  return fours(static_cast<size_t>(planes) * rows *
                   static_cast<size_t>(columns_under(p, columns)) +
               kSpareBytes);
}

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_SRC_LAYOUT_H_
