// SPDX-License-Identifier: Apache-2.0
#include "cmsis.h"
#include "convolution.h"
#include "split_kernels/kernels.h"

namespace split_kernels {

size_t partial_conv_2d_get_scratch_bytes(const WindowParams& window) {
  return cmsis::kAvailable ? cmsis::partial_conv_2d_get_scratch_bytes(window) : 0;
}

void partial_conv_2d(const WindowParams& window, const int8_t* x, const int8_t* weights,
                     void* scratch, int32_t* y) {
  if (cmsis::kAvailable) {
    cmsis::partial_conv_2d(window, x, weights, static_cast<int8_t*>(scratch), y);
    return;
  }
  convolve(window, x, weights, [y](int32_t, int32_t sum) mutable { *y++ = sum; });
}

void partial_fully_connected(const FullyConnectedParams& params, const int8_t* x,
                             const int8_t* weights, int32_t* y) {
  if (cmsis::kAvailable) {
    cmsis::partial_fully_connected(params, x, weights, y);
    return;
  }
  const int32_t count = params.in_channels;
  const int32_t offset = -params.x_zero_point;
  for (int32_t batch = 0; batch < params.batches; ++batch, x += count) {
    int32_t channel = 0;
    for (; channel + 4 <= params.out_channels; channel += 4, y += 4) {
      y[0] = y[1] = y[2] = y[3] = 0;
      accumulate_4(x, weights + channel * count, count, offset, count, y);
    }
    for (; channel < params.out_channels; ++channel, ++y) {
      *y = 0;
      accumulate_1(x, weights + channel * count, offset, count, y);
    }
  }
}

}  // namespace split_kernels
