// SPDX-License-Identifier: Apache-2.0
#include "cmsis.h"
#include "convolution.h"
#include "split_kernels/kernels.h"

namespace split_kernels {

size_t conv_2d_get_scratch_bytes(const WindowParams& window, bool has_bias) {
  return cmsis::takes_conv_2d(window, has_bias) ? cmsis::conv_2d_get_scratch_bytes(window) : 0;
}

void conv_2d(const WindowParams& window, const Requantization& requantization, const int8_t* x,
             const int8_t* weights, void* scratch, int8_t* y) {
  if (cmsis::takes_conv_2d(window, requantization.bias != nullptr)) {
    cmsis::conv_2d(window, requantization, x, weights, scratch, y);
    return;
  }
  convolve(window, x, weights, [requantization, y](int32_t channel, int32_t sum) mutable {
    *y++ = requantize_one(requantization, sum, channel);
  });
}

}  // namespace split_kernels
