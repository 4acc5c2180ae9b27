// SPDX-License-Identifier: Apache-2.0
#include "add.h"

#include "arithmetic.h"
#include "target.h"

#if SPLIT_KERNELS_MVE
#include <arm_mve.h>
#endif

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

struct Scales {
  Scale p, residual, sum;
};

#if SPLIT_KERNELS_MVE

// The same for four values, of which VQRDMULH doubles the product in 64 bits.
inline int32x4_t scaled(const Scale& scale, int32x4_t values) {
  int32x4_t high = vqrdmulhq_n_s32(values, scale.multiplier);
  high = vaddq_s32(high, vandq_s32(vshrq_n_s32(high, 31), vdupq_n_s32(scale.correction)));
  return vshlq_r_s32(vaddq_n_s32(high, scale.half), -scale.shift);
}

inline int32x4_t shifted(int32x4_t values, int32_t zero_point) {
  return vshlq_n_s32(vsubq_n_s32(values, zero_point), kLeftShift);
}

// All values, four at a time.
int32_t add_fours(const ResidualAdd& add, const Scales& of, const int8_t* residual, int32_t count,
                  int8_t* y) {
  const int32x4_t low = vdupq_n_s32(add.activation_min), high = vdupq_n_s32(add.activation_max);
  for (int32_t at = 0; at < count; at += 4) {
    const mve_pred16_t there = vctp32q(static_cast<uint32_t>(count - at));
    const int32x4_t p = shifted(vldrbq_z_s32(y + at, there), add.p_zero_point);
    const int32x4_t r = shifted(vldrbq_z_s32(residual + at, there), add.residual_zero_point);
    const int32x4_t sum = vaddq_s32(scaled(of.p, p), scaled(of.residual, r));
    const int32x4_t made = vaddq_n_s32(scaled(of.sum, sum), add.y_zero_point);
    vstrbq_p_s32(y + at, vminq_s32(vmaxq_s32(made, low), high), there);
  }
  return count;
}

#else

int32_t add_fours(const ResidualAdd&, const Scales&, const int8_t*, int32_t, int8_t*) { return 0; }

#endif

}  // namespace

void add_residual(const ResidualAdd& add, const int8_t* residual, int32_t count, int8_t* y) {
  const Scales of = {Scale(add.p), Scale(add.residual), Scale(add.sum)};
  const int32_t done = add_fours(add, of, residual, count, y);
  const Scale of_p = of.p, of_residual = of.residual, of_sum = of.sum;
  residual += done;
  const int32_t p_zero_point = add.p_zero_point, residual_zero_point = add.residual_zero_point;
  const int32_t y_zero_point = add.y_zero_point;
  const int32_t low = add.activation_min, high = add.activation_max;
  const int8_t* const end = y + count;
  for (y += done; y != end; ++y) {
    const int32_t p = scaled(of_p, (*y - p_zero_point) * (1 << kLeftShift));
    const int32_t r = scaled(of_residual, (*residual++ - residual_zero_point) * (1 << kLeftShift));
    *y = clamp_to(wrapping_add(scaled(of_sum, p + r), y_zero_point), low, high);
  }
}

}  // namespace split_kernels
