// SPDX-License-Identifier: Apache-2.0
// Operators that device graphs leave to TFLM, as kernels of ours with TFLM's bits, on cases from stdin in
// the terms of tests/kernels/driver.cc, so that whole networks can be counted where TFLM is not.
// Instructions are counted as there.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "../tflm_app/lib/split_kernels/src/add.h"
#include "../tflm_app/lib/split_kernels/src/arithmetic.h"
#include "counted_cases.h"
#include "split_kernels/kernels.h"

namespace {

using counted::Case;
using split_kernels::clamp_to;
using split_kernels::multiply_by_quantized_multiplier;

// Integers of each (n below):
//   ADD      p, residual and y zero point, activation min, max, then multiplier and shift of both and of
//            the sum
//   MEAN     outer, summed, inner, x zero point, multiplier, shift, y zero point
//   pools    rows, columns, channels of x, rows, columns of y, of the kernel, of a stride, pad above, left,
//            activation min, max
//   SOFTMAX  outer, depth, multiplier, left shift, smallest difference to the largest value
//   QUANTIZE multiplier, shift, x zero point, y zero point, whether x and y are unsigned
//   RESHAPE  none
enum Op : int32_t { kAdd, kMean, kAveragePool, kMaxPool, kSoftmax, kQuantize, kReshape };

split_kernels::ResidualAdd add_of(const int32_t* n) {
  split_kernels::ResidualAdd add;
  add.present = true;
  add.p_zero_point = n[0], add.residual_zero_point = n[1], add.y_zero_point = n[2];
  add.activation_min = n[3], add.activation_max = n[4];
  add.p = {n[5], n[6]}, add.residual = {n[7], n[8]}, add.sum = {n[9], n[10]};
  return add;
}

// What each of 256 operands is scaled to, doubled, by its byte.
void fill(int32_t zero_point, const split_kernels::AddScale& scale, int32_t* scaled) {
  for (int32_t byte = 0; byte < 256; ++byte) {
    const int32_t value = (static_cast<int8_t>(byte) - zero_point) * (1 << 20);
    scaled[byte] = 2 * multiply_by_quantized_multiplier(value, scale.multiplier, scale.shift);
  }
}

// Of a doubled sum; sums are below 2^29, so that doubling them stays in int32.
inline int32_t finish_sum(int32_t twice, int32_t multiplier, int32_t half, int32_t shift) {
#if defined(__ARM_FEATURE_DSP)
  int32_t high;
  __asm__("smmlar %0, %1, %2, %3" : "=r"(high) : "r"(twice), "r"(multiplier), "r"(half));
  return (high + (twice >> 31)) >> shift;
#else
  return (split_kernels::multiply_high(twice >> 1, multiplier) + half + (twice >> 31)) >> shift;
#endif
}

inline int32_t to_int8(int32_t value) {
#if defined(__ARM_FEATURE_DSP)
  __asm__("ssat %0, #8, %0" : "+r"(value));
  return value;
#else
  return clamp_to(value, -128, 127);
#endif
}

void clamp_all(int32_t low, int32_t high, int32_t count, int8_t* y) {
  for (int32_t i = 0; i < count; ++i) y[i] = clamp_to(y[i], low, high);
}

void add(const Case& c, int8_t* y) {
  const split_kernels::ResidualAdd add = add_of(c.n);
  const int8_t *p = c.bytes(0), *residual = c.bytes(1);
  const int32_t shift = -add.sum.shift, multiplier = add.sum.multiplier;
  // Few values, or a zero point that does not fit beside the sum (add.cc).
  if (c.sizes[0] < 1024 || shift < 1 || shift > 21) {
    return split_kernels::add_residual(add, p, residual, c.sizes[0], y);
  }
  static int32_t of_p[256], of_residual[256];
  fill(add.p_zero_point, add.p, of_p);
  fill(add.residual_zero_point, add.residual, of_residual);
  const int32_t half = (1 << (shift - 1)) + add.y_zero_point * (1 << shift);
  const auto add_one = [&](int32_t i) {
    const int32_t sum = of_p[static_cast<uint8_t>(p[i])] + of_residual[static_cast<uint8_t>(residual[i])];
    y[i] = static_cast<int8_t>(to_int8(finish_sum(sum, multiplier, half, shift)));
  };
  int32_t i = 0;
  for (; i + 4 <= c.sizes[0]; i += 4) add_one(i), add_one(i + 1), add_one(i + 2), add_one(i + 3);
  for (; i < c.sizes[0]; ++i) add_one(i);
  if (add.activation_min == -128 && add.activation_max == 127) return;
  clamp_all(add.activation_min, add.activation_max, c.sizes[0], y);
}

// `sums`: as many as y has values.
void mean(const Case& c, int32_t* sums, int8_t* y) {
  const int32_t* const n = c.n;
  split_kernels::partial_sum({n[0], n[1], n[2], n[3]}, c.bytes(0), sums);
  for (int32_t i = 0; i < n[0] * n[2]; ++i) {
    y[i] = clamp_to(multiply_by_quantized_multiplier(sums[i], n[4], n[5]) + n[6], -128, 127);
  }
}

struct Pool {
  explicit Pool(const int32_t* n)
      : rows(n[0]), columns(n[1]), channels(n[2]), out_rows(n[3]), out_columns(n[4]), kernel_rows(n[5]),
        kernel_columns(n[6]), stride_rows(n[7]), stride_columns(n[8]), top(n[9]), left(n[10]), low(n[11]),
        high(n[12]) {}
  int32_t rows, columns, channels, out_rows, out_columns, kernel_rows, kernel_columns, stride_rows,
      stride_columns, top, left, low, high;
};

// Half away from zero, of the stored values.
void divide(const Pool& p, int32_t count, const int32_t* sums, int8_t* y) {
  const int32_t half = count / 2;
  for (int32_t i = 0; i < p.channels; ++i) {
    const int32_t sum = sums[i];
    y[i] = clamp_to((sum > 0 ? sum + half : sum - half) / count, p.low, p.high);
  }
}

// `sums`: one for each channel.
template <bool IsMax>
void pool_window(const Pool& p, const int8_t* x, int32_t row, int32_t column, int32_t* sums, int8_t* y) {
  const int32_t row_end = row + p.kernel_rows < p.rows ? row + p.kernel_rows : p.rows;
  const int32_t column_end =
      column + p.kernel_columns < p.columns ? column + p.kernel_columns : p.columns;
  const int32_t first_row = row < 0 ? 0 : row, first_column = column < 0 ? 0 : column;
  const int32_t count = (row_end - first_row) * (column_end - first_column);
  if (!IsMax && first_column == 0 && column_end == p.columns) {  // one run of positions
    split_kernels::partial_sum({1, count, p.channels, 0}, x + first_row * p.columns * p.channels, sums);
    return divide(p, count, sums, y);
  }
  for (int32_t i = 0; i < p.channels; ++i) sums[i] = IsMax ? -128 : 0;
  for (int32_t r = first_row; r < row_end; ++r) {
    for (int32_t q = first_column; q < column_end; ++q) {
      const int8_t* const from = x + (r * p.columns + q) * p.channels;
      for (int32_t i = 0; i < p.channels; ++i) {
        if (!IsMax) sums[i] += from[i];
        if (IsMax && from[i] > sums[i]) sums[i] = from[i];
      }
    }
  }
  if (!IsMax) return divide(p, count, sums, y);
  for (int32_t i = 0; i < p.channels; ++i) y[i] = clamp_to(sums[i], p.low, p.high);
}

template <bool IsMax>
void pool(const Case& c, int32_t* sums, int8_t* y) {
  const Pool p(c.n);
  for (int32_t row = 0; row < p.out_rows; ++row) {
    for (int32_t column = 0; column < p.out_columns; ++column, y += p.channels) {
      pool_window<IsMax>(p, c.bytes(0), row * p.stride_rows - p.top, column * p.stride_columns - p.left,
                         sums, y);
    }
  }
}

// ---- SOFTMAX: gemmlowp's fixed point, of which a number of `digits` integer bits is raw / 2^(31 - digits)

constexpr int32_t kOne = INT32_MAX;  // of no integer bits

// a * b / 2^31, half away from zero.
int32_t times(int32_t a, int32_t b) {
  const int64_t product = static_cast<int64_t>(a) * b;
  return static_cast<int32_t>((product + (product >= 0 ? 1 << 30 : 1 - (1 << 30))) / (int64_t{1} << 31));
}
// Half away from zero.
int32_t divided(int32_t value, int32_t exponent) {
  const int32_t mask = static_cast<int32_t>((int64_t{1} << exponent) - 1);
  return (value >> exponent) + ((value & mask) > (mask >> 1) + (value < 0) ? 1 : 0);
}
int32_t multiplied(int32_t value, int32_t exponent) {
  const int32_t most = INT32_MAX >> exponent;
  if (value > most) return INT32_MAX;
  if (value < -most - 1) return INT32_MIN;
  return static_cast<int32_t>(static_cast<uint32_t>(value) << exponent);
}

// exp of a number from -1/4 to 0, without integer bits.
int32_t exp_of_quarter(int32_t a) {
  constexpr int32_t kExpOfEighth = 1895147668, kThird = 715827883;
  const int32_t x = a + (1 << 28), x2 = times(x, x), x3 = times(x2, x), x4 = times(x2, x2);
  const int32_t rest = divided(times(divided(x4, 2) + x3, kThird) + x2, 1);
  return kExpOfEighth + times(kExpOfEighth, x + rest);
}

// exp of a number of five integer bits, not above 0; without integer bits.
int32_t exp_of(int32_t a) {
  // exp(-2^i), i = -2..4.
  static const int32_t kFactors[] = {1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
  if (a == 0) return kOne;
  constexpr int32_t kQuarter = 1 << 24;
  const int32_t part = (a & (kQuarter - 1)) - kQuarter;
  int32_t result = exp_of_quarter(multiplied(part, 5));
  const int32_t rest = part - a;
  for (int32_t i = 0; i < 7; ++i) {
    if (rest & (1 << (24 + i))) result = times(result, kFactors[i]);
  }
  return result;
}

// 1 / (1 + a) by Newton's steps, numbers of 0 to 1 without integer bits.
int32_t one_over_one_plus(int32_t a) {
  const int64_t sum = static_cast<int64_t>(a) + kOne;
  const int32_t half = static_cast<int32_t>((sum + (sum >= 0 ? 1 : -1)) / 2);
  int32_t x = 1515870810 + times(half, -1010580540);  // of two integer bits, as below
  for (int32_t i = 0; i < 3; ++i) x += multiplied(times(x, (1 << 29) - times(half, x)), 2);
  return multiplied(x, 1);
}

void softmax_row(const int32_t* n, const int8_t* x, int8_t* y) {
  const int32_t depth = n[1], smallest = n[4];
  int32_t exps[256];  // of each difference to the largest that occurs; no other is -1
  std::memset(exps, -1, sizeof exps);
  int32_t largest = -128, sum = 0;
  for (int32_t i = 0; i < depth; ++i) largest = x[i] > largest ? x[i] : largest;
  for (int32_t i = 0; i < depth; ++i) {
    const int32_t difference = x[i] - largest;
    if (difference < smallest) continue;
    int32_t& known = exps[-difference];
    if (known < 0) known = exp_of(times(difference * (1 << n[3]), n[2]));
    sum += divided(known, 12);
  }
  const int32_t headroom = __builtin_clz(static_cast<uint32_t>(sum));
  const uint32_t fraction = (static_cast<uint32_t>(sum) << headroom) - (1u << 31);
  const int32_t scale = one_over_one_plus(static_cast<int32_t>(fraction));
  const int32_t exponent = 12 - headroom + 31 - 8;
  int32_t known_y[256];
  std::memset(known_y, -1, sizeof known_y);
  for (int32_t i = 0; i < depth; ++i) {
    const int32_t difference = x[i] - largest;
    if (difference < smallest) {
      y[i] = -128;
      continue;
    }
    int32_t& made = known_y[-difference];
    if (made < 0) made = divided(times(scale, exps[-difference]), exponent);
    y[i] = clamp_to(made - 128, -128, 127);
  }
}

void softmax(const Case& c, int8_t* y) {
  for (int32_t row = 0; row < c.n[0]; ++row) {
    softmax_row(c.n, c.bytes(0) + row * c.n[1], y + row * c.n[1]);
  }
}

void quantize(const Case& c, int8_t* y) {
  const int32_t multiplier = c.n[0], shift = c.n[1], x_zero_point = c.n[2], y_zero_point = c.n[3];
  const int32_t count = c.sizes[0];
  const bool is_unsigned = c.n[4] != 0, to_unsigned = c.n[5] != 0;
  const int32_t offset = (is_unsigned ? 128 : 0) - (to_unsigned ? 128 : 0);
  // One scale, and what is stored differs by the sign bit alone.
  if (multiplier == 1 << 30 && shift == 1 && x_zero_point - y_zero_point == offset && offset != 0) {
    int32_t i = 0;
    for (; i + 4 <= count; i += 4) {
      uint32_t word;
      std::memcpy(&word, c.bytes(0) + i, 4);
      word ^= 0x80808080u;
      std::memcpy(y + i, &word, 4);
    }
    for (; i < count; ++i) y[i] = static_cast<int8_t>(c.bytes(0)[i] ^ -128);
    return;
  }
  const int32_t low = to_unsigned ? 0 : -128, high = to_unsigned ? 255 : 127;
  for (int32_t i = 0; i < count; ++i) {
    const int32_t value = is_unsigned ? static_cast<uint8_t>(c.bytes(0)[i]) : c.bytes(0)[i];
    const int32_t made =
        multiply_by_quantized_multiplier(value - x_zero_point, multiplier, shift) + y_zero_point;
    y[i] = static_cast<int8_t>(made < low ? low : made > high ? high : made);
  }
}

// Of y.
int32_t size_of(const Case& c) {
  switch (c.op) {
    case kMean: return c.n[0] * c.n[2];
    case kAveragePool:
    case kMaxPool: return c.n[2] * c.n[3] * c.n[4];
    default: return c.sizes[0];
  }
}

// Bytes of the memory for sums.
int32_t scratch_of(const Case& c) {
  if (c.op == kMean) return 4 * c.n[0] * c.n[2];
  return c.op == kAveragePool || c.op == kMaxPool ? 4 * c.n[2] : 0;
}

void run(const Case& c, int32_t* sums, int8_t* y) {
  switch (c.op) {
    case kAdd: return add(c, y);
    case kMean: return mean(c, sums, y);
    case kAveragePool: return pool<false>(c, sums, y);
    case kMaxPool: return pool<true>(c, sums, y);
    case kSoftmax: return softmax(c, y);
    case kQuantize: return quantize(c, y);
    default: std::memcpy(y, c.bytes(0), static_cast<size_t>(c.sizes[0]));
  }
}

}  // namespace

int main() {
  const counted::Ticks ticks;
  Case c;
  while (counted::read_case(&c)) {
    const int32_t size = size_of(c), scratch = scratch_of(c);
    int8_t* const y = static_cast<int8_t*>(counted::memory_of(size));
    int32_t* const sums = static_cast<int32_t*>(counted::memory_of(scratch));
    ticks.begin();
    run(c, sums, y);
    counted::answer(scratch, ticks.instructions(), y, size);
    std::free(y);
    std::free(sums);
    counted::free_case(c);
  }
  return 0;
}
