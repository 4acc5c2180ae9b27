// SPDX-License-Identifier: Apache-2.0
// Inner loops that several kernels share.
#ifndef SPLIT_KERNELS_SRC_ARITHMETIC_H_
#define SPLIT_KERNELS_SRC_ARITHMETIC_H_

#include <cstdint>

#include "split_kernels/params.h"

namespace split_kernels {

// Signed overflow is undefined in C++ and wraps in TFLM's kernels as compiled, so say it.
inline int32_t wrapping_add(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
}

// TFLM's MultiplyByQuantizedMultiplier (kernels/internal/common.cc, double rounding): the first
// rounding takes halves up, the second away from zero. multiplier >= 0, shift in -31..30.
inline int32_t multiply_by_quantized_multiplier(int32_t value, int32_t multiplier, int32_t shift) {
  const int32_t left = shift > 0 ? shift : 0;
  const int32_t right = shift > 0 ? 0 : -shift;
  const int32_t shifted = static_cast<int32_t>(static_cast<uint32_t>(value) << left);
  const int64_t product = static_cast<int64_t>(shifted) * multiplier;
  const int32_t high = static_cast<int32_t>((product + (int64_t{1} << 30)) >> 31);
  const int32_t mask = static_cast<int32_t>((uint32_t{1} << right) - 1);
  const int32_t threshold = (mask >> 1) + (high < 0 ? 1 : 0);
  return (high >> right) + ((high & mask) > threshold ? 1 : 0);
}

inline int8_t requantize_one(const Requantization& q, int32_t sum, int32_t channel) {
  if (q.bias != nullptr) sum = wrapping_add(sum, q.bias[channel]);
  const int32_t scaled =
      multiply_by_quantized_multiplier(sum, q.multiplier[channel], q.shift[channel]);
  int32_t y = wrapping_add(scaled, q.y_zero_point);
  y = y < q.activation_min ? q.activation_min : y;
  return static_cast<int8_t>(y > q.activation_max ? q.activation_max : y);
}

// sums[k] += sum over i of (x[i] + offset) * weights[k * filter_stride + i], k = 0..3: four filters
// share each load of x and its offset.
inline void accumulate_4(const int8_t* x, const int8_t* weights, int32_t filter_stride,
                         int32_t offset, int32_t count, int32_t sums[4]) {
  const int8_t* w0 = weights;
  const int8_t* w1 = w0 + filter_stride;
  const int8_t* w2 = w1 + filter_stride;
  const int8_t* w3 = w2 + filter_stride;
  int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
  for (const int8_t* const end = x + count; x != end; ++x) {
    const int32_t value = *x + offset;
    s0 += value * *w0++;
    s1 += value * *w1++;
    s2 += value * *w2++;
    s3 += value * *w3++;
  }
  sums[0] = s0, sums[1] = s1, sums[2] = s2, sums[3] = s3;
}

// The same for one filter.
inline void accumulate_1(const int8_t* x, const int8_t* weights, int32_t offset, int32_t count,
                         int32_t* sum) {
  int32_t s = *sum;
  for (const int8_t* const end = x + count; x != end;) s += (*x++ + offset) * *weights++;
  *sum = s;
}

// The taps [first, last) of a window that lie inside the tensor, and where the first one reads.
// Clipping the taps once per position leaves no bounds check in the inner loops.
struct Taps {
  int32_t first;
  int32_t last;
  int32_t input;  // coordinate in x of tap `first`
};

inline Taps clip_taps(int32_t position, int32_t stride, int32_t dilation, int32_t pad,
                      int32_t kernel, int32_t extent) {
  const int32_t origin = position * stride - pad;
  const int32_t first = origin >= 0 ? 0 : (-origin + dilation - 1) / dilation;
  // Taps from `beyond` on read at `extent` or further.
  const int32_t beyond = origin >= extent ? 0 : (extent - origin + dilation - 1) / dilation;
  const int32_t last = beyond < kernel ? beyond : kernel;
  if (first >= last) return {0, 0, 0};
  return {first, last, origin + first * dilation};
}

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_SRC_ARITHMETIC_H_
