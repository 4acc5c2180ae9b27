// SPDX-License-Identifier: Apache-2.0
#include "cmsis.h"
#include "convolution.h"
#include "dense.h"
#include "split_kernels/kernels.h"

namespace split_kernels {

size_t partial_conv_2d_get_scratch_bytes(const WindowParams& window) {
  return cmsis::kAvailable ? cmsis::partial_conv_2d_get_scratch_bytes(window) : 0;
}

void partial_conv_2d(const WindowParams& window, const int8_t* x, const int8_t* weights,
                     void* scratch, int32_t* y) {
  if (is_dense(window)) {
    dense_sums(dense_params(window), x, weights, y);
    return;
  }
  if (cmsis::kAvailable) {
    cmsis::partial_conv_2d(window, x, weights, static_cast<int8_t*>(scratch), y);
    return;
  }
  convolve(window, x, weights, [y](int32_t, int32_t sum) mutable { *y++ = sum; });
}

void partial_fully_connected(const FullyConnectedParams& params, const int8_t* x,
                             const int8_t* weights, int32_t* y) {
  const DenseParams product = {params.batches, params.in_channels, params.out_channels,
                               params.x_zero_point};
  dense_sums(product, x, weights, y);
}

}  // namespace split_kernels
