// SPDX-License-Identifier: Apache-2.0
#include "cmsis.h"
#include "convolution.h"
#include "dense.h"
#include "portable.h"
#include "split_kernels/kernels.h"

namespace split_kernels {

void conv_2d_portable(const WindowParams& window, const Requantization& requantization,
                      const int8_t* x, const int8_t* weights, int8_t* y) {
  convolve(window, x, weights, [requantization, y](int32_t channel, int32_t sum) mutable {
    *y++ = requantize_one(requantization, sum, channel);
  });
}

size_t conv_2d_get_scratch_bytes(const WindowParams& window, bool has_bias) {
  if (is_dense(window) || !cmsis::takes_conv_2d(window, has_bias)) return 0;
  return cmsis::conv_2d_get_scratch_bytes(window);
}

void conv_2d(const WindowParams& window, const Requantization& requantization, const int8_t* x,
             const int8_t* weights, void* scratch, int8_t* y) {
  if (is_dense(window)) {
    dense(dense_params(window), requantization, x, weights, y);
    return;
  }
  if (cmsis::takes_conv_2d(window, requantization.bias != nullptr)) {
    cmsis::conv_2d(window, requantization, x, weights, scratch, y);
    return;
  }
  conv_2d_portable(window, requantization, x, weights, y);
}

}  // namespace split_kernels
