// SPDX-License-Identifier: Apache-2.0
// From sums to int8, as it is defined.
#ifndef SPLIT_KERNELS_SRC_ARITHMETIC_H_
#define SPLIT_KERNELS_SRC_ARITHMETIC_H_

#include <cstdint>

#include "layout.h"

namespace split_kernels {

inline int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }

// Signed overflow is undefined in C++ and wraps in TFLM's kernels as compiled, so say it.
inline int32_t wrapping_add(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
}

// value * multiplier / 2^31, halves up. multiplier >= 0; the result is never INT32_MIN.
inline int32_t multiply_high(int32_t value, int32_t multiplier) {
  const int64_t product = static_cast<int64_t>(value) * multiplier;
  return static_cast<int32_t>((product + (int64_t{1} << 30)) >> 31);
}

// 2 * sum * multiplier / 2^32, halves up: multiply_high() in fewer instructions, of sums that may be
// doubled, as those with a short rounding are proved to be.
inline int32_t multiply_high_short(int32_t sum, int32_t multiplier) {
  const int32_t twice = static_cast<int32_t>(static_cast<uint32_t>(sum) << 1);
#if defined(__ARM_ARCH_6M__)
  // Without a long multiplication, of halves: no term leaves 32 bits, and the last one's sign is no sign.
  const int32_t high = twice >> 16, of_high = multiplier >> 16;  // the latter below 2^15
  const uint32_t low = static_cast<uint32_t>(twice) & 0xFFFF;
  const uint32_t of_low = static_cast<uint32_t>(multiplier) & 0xFFFF;
  const int32_t middle = high * static_cast<int32_t>(of_low) + static_cast<int32_t>(low * of_low >> 16);
  const uint32_t rest =
      low * static_cast<uint32_t>(of_high) + (static_cast<uint32_t>(middle) & 0xFFFF) + 0x8000;
  return high * of_high + (middle >> 16) + static_cast<int32_t>(rest >> 16);
#else
  // The upper word and the lower one's first bit: an addition of 64 bits takes two registers of zeros and ones.
  const int64_t product = static_cast<int64_t>(twice) * multiplier;
  return static_cast<int32_t>(product >> 32) + static_cast<int32_t>(static_cast<uint32_t>(product) >> 31);
#endif
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

inline int8_t clamp_to(int32_t y, int32_t low, int32_t high) {
  return static_cast<int8_t>(y < low ? low : y > high ? high : y);
}

// A sum with its bias, to int8; what Rounding::ANY, TWICE and ONCE mean
// (rewriter/tflsplit/ops/own/short_rounding.py).
inline int8_t finish_one(const Finish& finish, const ChannelFinish& channel, int32_t sum) {
  int32_t y;
  if (finish.rounding == kAnyRounding) {
    y = wrapping_add(multiply_by_quantized_multiplier(sum, channel.multiplier, channel.shift),
                     finish.y_zero_point);
  } else {
    int32_t high = multiply_high(sum, channel.multiplier);
    if (finish.rounding == kTwoRoundings) high += high >> 31;
    y = wrapping_add(high, channel.addend) >> channel.shift;
  }
  return clamp_to(y, finish.activation_min, finish.activation_max);
}

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_SRC_ARITHMETIC_H_
