// SPDX-License-Identifier: Apache-2.0
// int8 kernels of tflsplit's custom compute operators (docs/custom_ops.md).
//
// No heap, no state, no exceptions. Parameters and constants must have passed their check_...().
// x and y need no alignment beyond their type's, constants are aligned to 4 bytes. x and y must not
// overlap. `scratch` is aligned to 16 bytes and has at least ..._get_scratch_bytes() bytes; it may
// be null if that is 0, and holds nothing between calls. Results are the same bits on every core.
#ifndef SPLIT_KERNELS_KERNELS_H_
#define SPLIT_KERNELS_KERNELS_H_

#include "split_kernels/arriving.h"
#include "split_kernels/params.h"

namespace split_kernels {

// TFLSPLIT_CONV_2D
size_t conv_2d_get_scratch_bytes(const WindowParams& window);
void conv_2d(const WindowParams& window, const Finish& finish, const int8_t* x,
             const void* constants, void* scratch, int8_t* y);

// TFLSPLIT_DEPTHWISE_CONV_2D
size_t depthwise_conv_2d_get_scratch_bytes(const WindowParams& window);
void depthwise_conv_2d(const WindowParams& window, const Finish& finish, const int8_t* x,
                       const void* constants, void* scratch, int8_t* y);

// TFLSPLIT_PARTIAL_CONV_2D: y is int32 sums. Not grouped.
size_t partial_conv_2d_get_scratch_bytes(const WindowParams& window);
void partial_conv_2d(const WindowParams& window, const int8_t* x, const void* constants,
                     void* scratch, int32_t* y);

// TFLSPLIT_PARTIAL_FULLY_CONNECTED: y is int32 sums [batches, out_channels].
size_t partial_fully_connected_get_scratch_bytes(const FullyConnectedParams& params);
void partial_fully_connected(const FullyConnectedParams& params, const int8_t* x,
                             const void* constants, void* scratch, int32_t* y);

// TFLSPLIT_PARTIAL_SUM: x is [outer, summed, inner], y is int32 or (of at most kMostShortSummed values)
// int16 sums [outer, inner].
void partial_sum(const PartialSumParams& params, const int8_t* x, int32_t* y);
void partial_sum(const PartialSumParams& params, const int8_t* x, int16_t* y);

// TFLSPLIT_MEAN: y is int8 [outer, inner].
void mean(const MeanParams& params, const int8_t* x, int8_t* y);

// TFLSPLIT_POOL_2D
void pool_2d(const WindowParams& window, const PoolFinish& finish, const int8_t* x, int8_t* y);

// TFLSPLIT_ADD: y = x + other, `count` values one by one in ascending order: y may begin where either
// does, or below.
size_t add_get_scratch_bytes(int32_t count);
void add(const ResidualAdd& add, const int8_t* x, const int8_t* other, int32_t count, void* scratch,
         int8_t* y);

// TFLSPLIT_REQUANTIZE: sums and y are [positions, channels]; they may begin at the same address.
void requantize(const Finish& finish, int32_t positions, int32_t channels, const void* constants,
                const int32_t* sums, int8_t* y);
void requantize(const Finish& finish, int32_t positions, int32_t channels, const void* constants,
                const int16_t* sums, int8_t* y);

// TFLSPLIT_FUSED_BLOCK: y is int8, or int32 sums, of the projection. `residual`: what is added, of the
// shape of y; not read unless block.add is present, and where it is a part of x, that is read. Of one batch, whole rows of y (no tile_columns) are
// written behind the last rows of x that are read: y may lie over those before
// (docs/custom_ops.md, "y over x"). y may begin where `residual` does, or below.
// What of x is still `arriving` is read last; false if it did not come.
size_t fused_block_get_scratch_bytes(const FusedBlockParams& block);
bool fused_block(const FusedBlockParams& block, const int8_t* x, const int8_t* residual,
                 const void* constants, void* scratch, void* y, const Arriving& arriving = {});

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_KERNELS_H_
