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

// A sum of products of int8, which from some 65,800 extreme ones on leaves int32. Unsigned inside, it
// wraps without being undefined, and costs the same instructions.
class Sum {
 public:
  Sum() = default;
  explicit Sum(int32_t start) : value_(static_cast<uint32_t>(start)) {}
  void add(int32_t term) { value_ += static_cast<uint32_t>(term); }
  int32_t value() const { return static_cast<int32_t>(value_); }

 private:
  uint32_t value_ = 0;
};

inline int32_t wrapping_multiply(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) * static_cast<uint32_t>(b));
}

// value * multiplier / 2^31, halves up. multiplier >= 0; the result is never INT32_MIN.
inline int32_t multiply_high(int32_t value, int32_t multiplier) {
  const int64_t product = static_cast<int64_t>(value) * multiplier;
  return static_cast<int32_t>((product + (int64_t{1} << 30)) >> 31);
}

// TFLM's MultiplyByQuantizedMultiplier (kernels/internal/common.cc, double rounding).
// multiplier >= 0, shift in -31..30.
inline int32_t multiply_by_quantized_multiplier(int32_t value, int32_t multiplier, int32_t shift) {
  if (shift >= 0) {
    return multiply_high(static_cast<int32_t>(static_cast<uint32_t>(value) << shift), multiplier);
  }
  // Division by 2^-shift, halves away from zero: one less where negative makes that halves up.
  int32_t high = multiply_high(value, multiplier);
  high += high >> 31;
  return ((high >> (-shift - 1)) + 1) >> 1;
}

inline int8_t requantize_one(const Requantization& q, int32_t sum, int32_t channel) {
  if (q.bias != nullptr) sum = wrapping_add(sum, q.bias[channel]);
  const int32_t scaled =
      multiply_by_quantized_multiplier(sum, q.multiplier[channel], q.shift[channel]);
  int32_t y = wrapping_add(scaled, q.y_zero_point);
  y = y < q.activation_min ? q.activation_min : y;
  return static_cast<int8_t>(y > q.activation_max ? q.activation_max : y);
}

// Inner loops are functions of their own: inlined into loops with many variables, compilers for
// Cortex-M keep their sums in memory (5 instead of 3 instructions a product on an M7).
#if defined(__GNUC__)
#define SPLIT_KERNELS_INNER_LOOP [[gnu::noinline]]
#else
#define SPLIT_KERNELS_INNER_LOOP
#endif

// sums[k] += sum over i of (x[i] + offset) * weights[k * filter_stride + i], k = 0..3: four filters
// share each load of x and its offset.
SPLIT_KERNELS_INNER_LOOP void accumulate_4(const int8_t* x, const int8_t* weights,
                                           int32_t filter_stride, int32_t offset, int32_t count,
                                           int32_t sums[4]);

// The same for one filter.
SPLIT_KERNELS_INNER_LOOP void accumulate_1(const int8_t* x, const int8_t* weights, int32_t offset,
                                           int32_t count, int32_t* sum);

// The taps [first, last) of a window that lie inside the tensor, and where the first one reads.
// Clipping the taps once per position leaves no bounds check in the inner loops.
struct Taps {
  int32_t first;
  int32_t last;
  int32_t input;  // coordinate in x of tap `first`
};

// a / b upwards, for a and b above 0; a + b may be more than an int32 holds.
inline int32_t divide_up(int32_t a, int32_t b) { return (a - 1) / b + 1; }

inline Taps clip_taps(int32_t position, int32_t stride, int32_t dilation, int32_t pad,
                      int32_t kernel, int32_t extent) {
  const int32_t origin = position * stride - pad;
  const int32_t first = origin >= 0 ? 0 : divide_up(-origin, dilation);
  // Taps from `beyond` on read at `extent` or further.
  const int32_t beyond = origin >= extent ? 0 : divide_up(extent - origin, dilation);
  const int32_t last = beyond < kernel ? beyond : kernel;
  if (first >= last) return {0, 0, 0};
  return {first, last, origin + first * dilation};
}

// Values between two taps of a kernel. The dilation of a single tap means nothing and has no bounds.
inline int32_t step_of(int32_t kernel, int32_t dilation, int32_t values) {
  return kernel > 1 ? dilation * values : 0;
}

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_SRC_ARITHMETIC_H_
