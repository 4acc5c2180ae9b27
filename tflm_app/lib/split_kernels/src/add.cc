// SPDX-License-Identifier: Apache-2.0
#include "add.h"

#include "arithmetic.h"
#include "split_kernels/kernels.h"
#include "target.h"

#if SPLIT_KERNELS_MVE
#include <arm_mve.h>
#elif SPLIT_KERNELS_DSP
#include <arm_acle.h>
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
  int32_t high = multiply_high_short(value, scale.multiplier);
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
int32_t add_some(const ResidualAdd& add, const Scales& of, const int8_t* p, const int8_t* residual,
                 int32_t count, int8_t* y) {
  const int32x4_t low = vdupq_n_s32(add.activation_min), high = vdupq_n_s32(add.activation_max);
  for (int32_t at = 0; at < count; at += 4) {
    const mve_pred16_t there = vctp32q(static_cast<uint32_t>(count - at));
    const int32x4_t l = shifted(vldrbq_z_s32(p + at, there), add.p_zero_point);
    const int32x4_t r = shifted(vldrbq_z_s32(residual + at, there), add.residual_zero_point);
    const int32x4_t sum = vaddq_s32(scaled(of.p, l), scaled(of.residual, r));
    const int32x4_t made = vaddq_n_s32(scaled(of.sum, sum), add.y_zero_point);
    vstrbq_p_s32(y + at, vminq_s32(vmaxq_s32(made, low), high), there);
  }
  return count;
}

#elif SPLIT_KERNELS_DSP

inline int32_t smmulr(int32_t a, int32_t b) {
  int32_t high;
  __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(a), "r"(b));
  return high;
}
inline int32_t smmlar(int32_t a, int32_t b, int32_t c) {
  int32_t high;
  __asm__("smmlar %0, %1, %2, %3" : "=r"(high) : "r"(a), "r"(b), "r"(c));
  return high;
}

// A scale of a doubled value. With a shift, what is negative is one less before it is rounded; that
// of the value does for that of the high word, since they differ only where the high word is 0, and
// (half - 1) >> shift is then 0 as half >> shift is.
template <bool HasShift>
inline int32_t scaled_twice(const Scale& scale, int32_t twice) {
  if (!HasShift) return smmulr(twice, scale.multiplier);
  return (smmlar(twice, scale.multiplier, scale.half) + (twice >> 31)) >> scale.shift;
}

// With a sum that has a shift and no clamp but that to int8: its zero point goes into its rounding.
template <bool HasShiftP, bool HasShiftR>
void add_short(const ResidualAdd& add, const Scales& of, const int8_t* p, const int8_t* residual,
               int32_t count, int8_t* y) {
  constexpr int32_t kOne = 1 << (kLeftShift + 1);
  const Scale of_p = of.p, of_residual = of.residual;
  Scale of_sum = of.sum;
  of_sum.half += add.y_zero_point * (1 << of_sum.shift);
  const int32_t p_zero = -add.p_zero_point * kOne, residual_zero = -add.residual_zero_point * kOne;
  for (const int8_t* const end = p + count; p != end;) {
    const int32_t l = scaled_twice<HasShiftP>(of_p, p_zero + *p++ * kOne);
    const int32_t r = scaled_twice<HasShiftR>(of_residual, residual_zero + *residual++ * kOne);
    *y++ = static_cast<int8_t>(__ssat(scaled_twice<true>(of_sum, (l + r) * 2), 8));
  }
}

constexpr int32_t kMostShift = 21;  // zero point << shift and the high word of a sum fit together

// All values or none.
int32_t add_some(const ResidualAdd& add, const Scales& of, const int8_t* p, const int8_t* residual,
                 int32_t count, int8_t* y) {
  if (of.sum.shift < 1 || of.sum.shift > kMostShift || add.activation_min != -128 ||
      add.activation_max != 127) {
    return 0;
  }
  if (of.p.shift > 0) {
    (of.residual.shift > 0 ? add_short<true, true> : add_short<true, false>)(add, of, p, residual,
                                                                             count, y);
  } else {
    (of.residual.shift > 0 ? add_short<false, true> : add_short<false, false>)(add, of, p, residual,
                                                                               count, y);
  }
  return count;
}

#else

int32_t add_some(const ResidualAdd&, const Scales&, const int8_t*, const int8_t*, int32_t, int8_t*) {
  return 0;
}

#endif

}  // namespace

void add_residual(const ResidualAdd& add, const int8_t* p, const int8_t* residual, int32_t count,
                  int8_t* y) {
  const Scales of = {Scale(add.p), Scale(add.residual), Scale(add.sum)};
  const Scale of_p = of.p, of_residual = of.residual, of_sum = of.sum;
  const int32_t p_zero_point = add.p_zero_point, residual_zero_point = add.residual_zero_point;
  const int32_t y_zero_point = add.y_zero_point;
  const int32_t low = add.activation_min, high = add.activation_max;
  for (int32_t at = add_some(add, of, p, residual, count, y); at < count; ++at) {
    const int32_t l = scaled(of_p, (p[at] - p_zero_point) * (1 << kLeftShift));
    const int32_t r = scaled(of_residual, (residual[at] - residual_zero_point) * (1 << kLeftShift));
    y[at] = clamp_to(wrapping_add(scaled(of_sum, l + r), y_zero_point), low, high);
  }
}

// ---- Of a whole map: what each of 256 operands is scaled to is found once

namespace {

constexpr int32_t kTableCount = 256;
constexpr int32_t kLeastCount = 4096;  // values for which two tables are worth their making

#if SPLIT_KERNELS_MVE

bool add_by_tables(const ResidualAdd&, const int8_t*, const int8_t*, int32_t, int32_t*, int8_t*) {
  return false;  // vectors need none
}

#else

constexpr int32_t kMostTableShift = 21;  // as kMostShift: a zero point beside the high word of a sum

// Doubled, by the operand's byte.
void fill(int32_t zero_point, const AddScale& scale, int32_t* table) {
  const Scale of(scale);
  for (int32_t byte = 0; byte < kTableCount; ++byte) {
    const int32_t value = static_cast<int8_t>(byte);
    table[byte] = 2 * scaled(of, (value - zero_point) * (1 << kLeftShift));
  }
}

// Of a doubled sum, which stays in int32: sums are below 2^29.
inline int8_t finish_sum(const Scale& of, int32_t twice) {
#if SPLIT_KERNELS_DSP
  const int32_t high = smmlar(twice, of.multiplier, of.half);
  return static_cast<int8_t>(__ssat((high + (twice >> 31)) >> of.shift, 8));
#else
  const int32_t high = multiply_high_short(twice >> 1, of.multiplier) + of.half;
  return clamp_to((high + (twice >> 31)) >> of.shift, -128, 127);
#endif
}

// All values, or none: false.
bool add_by_tables(const ResidualAdd& add, const int8_t* x, const int8_t* other, int32_t count,
                   int32_t* tables, int8_t* y) {
  Scale of(add.sum);
  if (count < kLeastCount || of.shift < 1 || of.shift > kMostTableShift) return false;
  int32_t *const of_x = tables, *const of_other = tables + kTableCount;
  fill(add.p_zero_point, add.p, of_x);
  fill(add.residual_zero_point, add.residual, of_other);
  of.half += add.y_zero_point * (1 << of.shift);
  const auto add_one = [&](int32_t i) {
    y[i] = finish_sum(of, of_x[static_cast<uint8_t>(x[i])] + of_other[static_cast<uint8_t>(other[i])]);
  };
  int32_t i = 0;
  for (; i + 4 <= count; i += 4) add_one(i), add_one(i + 1), add_one(i + 2), add_one(i + 3);
  for (; i < count; ++i) add_one(i);
  const int32_t low = add.activation_min, high = add.activation_max;
  if (low == -128 && high == 127) return true;
  for (i = 0; i < count; ++i) y[i] = clamp_to(y[i], low, high);
  return true;
}

#endif

}  // namespace

size_t add_get_scratch_bytes(int32_t count) {
  return count < kLeastCount ? 0 : 2 * kTableCount * sizeof(int32_t);
}

void add(const ResidualAdd& add, const int8_t* x, const int8_t* other, int32_t count, void* scratch,
         int8_t* y) {
  if (!add_by_tables(add, x, other, count, static_cast<int32_t*>(scratch), y)) {
    add_residual(add, x, other, count, y);
  }
}

}  // namespace split_kernels
