// SPDX-License-Identifier: Apache-2.0
#include "add.h"

#include "arithmetic.h"
#include "target.h"

namespace split_kernels {
namespace {

constexpr int32_t kLeftShift = 20;

// Rounding of one AddScale: (high + (high < 0 ? -1 : 0) + half) >> shift, which is division with halves
// away from zero; without a shift there is nothing to correct.
struct Scale {
  explicit Scale(const AddScale& scale)
      : multiplier(scale.multiplier),
        shift(-scale.shift),
        half(scale.shift < 0 ? 1 << (-scale.shift - 1) : 0),
        correction(scale.shift < 0 ? -1 : 0) {}
  int32_t multiplier, shift, half, correction;
};

// Operands are below 2^28 and sums below 2^29, so doubling stays in int32: multiply_high() is then one
// instruction of cores that have SMMULR.
inline int32_t scaled(const Scale& scale, int32_t value) {
#if SPLIT_KERNELS_DSP
  int32_t high;
  __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(value << 1), "r"(scale.multiplier));
#else
  int32_t high = multiply_high(value, scale.multiplier);
#endif
  high += (high >> 31) & scale.correction;
  return (high + scale.half) >> scale.shift;
}

}  // namespace

void add_residual(const ResidualAdd& add, const int8_t* residual, int32_t count, int8_t* y) {
  const Scale of_p(add.p), of_residual(add.residual), of_sum(add.sum);
  const int32_t p_zero_point = add.p_zero_point, residual_zero_point = add.residual_zero_point;
  const int32_t y_zero_point = add.y_zero_point;
  const int32_t low = add.activation_min, high = add.activation_max;
  for (const int8_t* const end = y + count; y != end; ++y) {
    const int32_t p = scaled(of_p, (*y - p_zero_point) * (1 << kLeftShift));
    const int32_t r = scaled(of_residual, (*residual++ - residual_zero_point) * (1 << kLeftShift));
    *y = clamp_to(wrapping_add(scaled(of_sum, p + r), y_zero_point), low, high);
  }
}

}  // namespace split_kernels
