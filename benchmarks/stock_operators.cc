// SPDX-License-Identifier: Apache-2.0
// Operators that device graphs leave to TFLM, as kernels with TFLM's bits, on cases from stdin in the terms
// of tests/kernels/driver.cc, so that whole networks can be counted where TFLM is not.
// Instructions are counted as there.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "../tflm_app/lib/split_kernels/src/arithmetic.h"
#include "counted_cases.h"

namespace {

using counted::Case;
using split_kernels::clamp_to;
using split_kernels::multiply_by_quantized_multiplier;

// Integers of each (n below):
//   SOFTMAX  outer, depth, multiplier, left shift, smallest difference to the largest value
//   QUANTIZE multiplier, shift, x zero point, y zero point, whether x and y are unsigned
//   RESHAPE  none
enum Op : int32_t { kSoftmax, kQuantize, kReshape };

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

void run(const Case& c, int8_t* y) {
  switch (c.op) {
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
    const int32_t size = c.sizes[0];  // of y, too
    int8_t* const y = static_cast<int8_t*>(counted::memory_of(size));
    ticks.begin();
    run(c, y);
    counted::answer(0, ticks.instructions(), y, size);
    std::free(y);
    counted::free_case(c);
  }
  return 0;
}
