// SPDX-License-Identifier: Apache-2.0
// Matrix products: 1x1 convolutions of contiguous pixels, and fully connected operators.
#ifndef SPLIT_KERNELS_SRC_DENSE_H_
#define SPLIT_KERNELS_SRC_DENSE_H_

#include <cstdint>

#include "split_kernels/params.h"

namespace split_kernels {

// x [positions, depth] and weights [channels, depth] make y [positions, channels].
struct DenseParams {
  int32_t positions;
  int32_t depth;
  int32_t channels;
  int32_t x_zero_point;
};

// y is int8, requantized.
void dense(const DenseParams& params, const Requantization& requantization, const int8_t* x,
           const int8_t* weights, int8_t* y);

// y is int32 sums.
void dense_sums(const DenseParams& params, const int8_t* x, const int8_t* weights, int32_t* y);

// Whether a convolution is such a product: every pixel by itself, and every one.
inline bool is_dense(const WindowParams& p) {
  return p.kernel_rows == 1 && p.kernel_columns == 1 && p.kernel_channels == p.in_channels &&
         p.stride_rows == 1 && p.stride_columns == 1 && p.pad_top == 0 && p.pad_bottom == 0 &&
         p.pad_left == 0 && p.pad_right == 0;
}

inline DenseParams dense_params(const WindowParams& p) {
  return {p.batches * p.out_rows * p.out_columns, p.in_channels, p.out_channels, p.x_zero_point};
}

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_SRC_DENSE_H_
