// SPDX-License-Identifier: Apache-2.0
// Packed constants as docs/custom_ops.md lays them out, from explicit ones; a second hand beside
// rewriter/tflsplit/ops/own/packing.py.
#ifndef TESTS_FUZZ_PACKING_H_
#define TESTS_FUZZ_PACKING_H_

#include <cstring>

#include "naive.h"

namespace packing {

using naive::Tables;
using split_kernels::Constants;
using split_kernels::Finish;
using split_kernels::WindowParams;

class Packed {
 public:
  void word(int64_t value) {
    const int32_t wrapped = naive::wrap(value);
    int8_t bytes[4];
    std::memcpy(bytes, &wrapped, sizeof bytes);
    bytes_.insert(bytes_.end(), bytes, bytes + 4);
  }
  void byte(int8_t value) { bytes_.push_back(value); }
  void append(const Packed& other) {
    bytes_.insert(bytes_.end(), other.bytes_.begin(), other.bytes_.end());
  }
  // In memory of their own, of exactly their size.
  std::unique_ptr<int8_t[]> exactly() const {
    auto copy = fuzz::exactly<int8_t>(bytes_.size());
    std::memcpy(copy.get(), bytes_.data(), bytes_.size());
    return copy;
  }
  size_t size() const { return bytes_.size(); }

 private:
  std::vector<int8_t> bytes_;
};

inline int64_t addend_of(const Finish& finish, int32_t shift) {
  return (int64_t{1} << (shift - 1)) + finish.y_zero_point * (int64_t{1} << shift);
}

// The shortest rounding that gives the bits for these very sums (bias included).
inline int32_t rounding_of(const Finish& finish, const Tables& tables, int32_t channels,
                           const std::vector<int32_t>& sums) {
  for (size_t i = 0; i < sums.size(); ++i) {
    const auto c = i % static_cast<size_t>(channels);
    const int32_t shift = -tables.shift[c];
    const int64_t sum = naive::wrap(int64_t{sums[i]} + tables.bias_of(c));
    if (shift < 1 || shift > 30 || sum < -(1 << 30) || sum >= 1 << 30) return 0;
    const int64_t high = (sum * tables.multiplier[c] + (1 << 30)) >> 31;
    const int64_t addend = addend_of(finish, shift);
    const bool fits = high - 1 + addend >= INT32_MIN && high + addend <= INT32_MAX;
    if (!fits || addend != naive::wrap(addend)) return 0;
  }
  return finish.activation_min >= finish.y_zero_point ? 2 : 1;
}

inline void finish_words(const Finish& finish, const Tables& tables, size_t c, int64_t out[3]) {
  const bool is_short = finish.rounding != 0;
  out[0] = tables.multiplier[c];
  out[1] = is_short ? addend_of(finish, -tables.shift[c]) : 0;
  out[2] = is_short ? -tables.shift[c] : tables.shift[c];
}

// A convolution that is not depthwise; without tables, sums.
inline Packed pairs(const WindowParams& p, const int8_t* w, const Finish& finish,
                    const Tables* tables) {
  const int64_t products = int64_t{p.kernel_rows} * p.kernel_columns * p.kernel_channels;
  const int64_t groups = p.in_channels / p.kernel_channels, per_group = p.out_channels / groups;
  Packed packed;
  for (int64_t group = 0; group < groups; ++group) {
    const auto weight = [&](int64_t c, int64_t k) -> int8_t {
      const bool there = c < per_group && k < products;
      return there ? w[(group * per_group + c) * products + k] : int8_t{0};
    };
    for (int64_t c = 0; c < per_group; c += 2) {
      int64_t finishes[2][3] = {{0, 0, finish.rounding != 0}, {0, 0, finish.rounding != 0}};
      for (int64_t i = 0; i < 2; ++i) {
        int64_t bias = 0;
        for (int64_t k = 0; k < products; ++k) bias -= int64_t{p.x_zero_point} * weight(c + i, k);
        const auto at = static_cast<size_t>(group * per_group + c + i);
        if (c + i < per_group && tables != nullptr) {
          bias += tables->bias_of(at);
          finish_words(finish, *tables, at, finishes[i]);
        }
        packed.word(bias);
      }
      for (int i = 0; i < 2 && tables != nullptr; ++i) {
        for (const int64_t number : finishes[i]) packed.word(number);
      }
    }
    for (int64_t c = 0; c < per_group; c += 2) {
      for (int64_t k = 0; k < products; k += 4) {
        for (int64_t h = 0; h < 2; ++h) {
          for (int64_t j = 0; j < 4; j += 2) {
            packed.byte(weight(c, k + h + j));
            packed.byte(weight(c + 1, k + h + j));
          }
        }
      }
    }
  }
  return packed;
}

inline Packed taps(const WindowParams& p, const int8_t* w, const Finish& finish,
                   const Tables& tables) {
  Packed packed;
  for (int64_t c = 0; c < p.out_channels; ++c) {
    const auto weight = [&](int64_t i, int64_t j) {
      return j < p.kernel_columns ? w[(i * p.kernel_columns + j) * p.out_channels + c] : int8_t{0};
    };
    int64_t bias = tables.bias_of(static_cast<size_t>(c)), words[3];
    for (int64_t i = 0; i < p.kernel_rows; ++i) {
      for (int64_t j = 0; j < p.kernel_columns; ++j) bias -= int64_t{p.x_zero_point} * weight(i, j);
    }
    finish_words(finish, tables, static_cast<size_t>(c), words);
    packed.word(bias);
    packed.word(words[2]);
    packed.word(words[0]);
    packed.word(words[1]);
    for (int64_t i = 0; i < p.kernel_rows; ++i) {
      for (int64_t j = 0; j < (p.kernel_columns + 3) / 4 * 4; ++j) packed.byte(weight(i, j));
    }
  }
  return packed;
}

}  // namespace packing

#endif  // TESTS_FUZZ_PACKING_H_
