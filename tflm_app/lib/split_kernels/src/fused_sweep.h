// SPDX-License-Identifier: Apache-2.0
// Fused blocks with window_columns: between two rows of y only the rows of e are kept that both need.
#ifndef SPLIT_KERNELS_SRC_FUSED_SWEEP_H_
#define SPLIT_KERNELS_SRC_FUSED_SWEEP_H_

#include "split_kernels/kernels.h"

namespace split_kernels {

size_t fused_sweep_get_scratch_bytes(const FusedBlockParams& block);
// One batch.
void fused_sweep(const FusedBlockParams& block, const int8_t* x, const int8_t* residual,
                 const void* constants, void* scratch, void* y);

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_SRC_FUSED_SWEEP_H_
