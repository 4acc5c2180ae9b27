// SPDX-License-Identifier: Apache-2.0
// The kernels' results by the shortest loops that say what docs/custom_ops.md says, in 64 bits.
#ifndef TESTS_FUZZ_NAIVE_H_
#define TESTS_FUZZ_NAIVE_H_

#include <vector>

#include "split_kernels/params.h"

namespace naive {

using split_kernels::Finish;
using split_kernels::WindowParams;

// Per-channel constants in explicit form; a null bias is 0 everywhere.
struct Tables {
  const int32_t* bias = nullptr;
  const int32_t* multiplier = nullptr;
  const int32_t* shift = nullptr;
  int64_t bias_of(size_t channel) const { return bias == nullptr ? 0 : bias[channel]; }
};

inline int32_t wrap(int64_t value) {
  return static_cast<int32_t>(static_cast<uint32_t>(static_cast<uint64_t>(value)));
}

// TFLM's double rounding: times multiplier / 2^31, halves up; then by 2^-shift, halves away from 0.
inline int32_t scaled(int32_t sum, int32_t multiplier, int32_t shift) {
  const int64_t left = wrap(static_cast<int64_t>(static_cast<uint64_t>(int64_t{sum})
                                                 << (shift > 0 ? shift : 0)));
  const int64_t product = left * multiplier + (int64_t{1} << 30);
  const int64_t high = (product - (product & 0x7FFF'FFFF)) / 0x8000'0000;
  if (shift >= 0) return static_cast<int32_t>(high);
  const int64_t whole = int64_t{1} << -shift;
  const int64_t size = high < 0 ? -high : high;
  const int64_t rounded = (size + whole / 2) / whole;
  return static_cast<int32_t>(high < 0 ? -rounded : rounded);
}

inline int8_t requantized(const Finish& f, const Tables& tables, int32_t sum, size_t channel) {
  sum = wrap(int64_t{sum} + tables.bias_of(channel));
  int64_t y = scaled(sum, tables.multiplier[channel], tables.shift[channel]);
  y = wrap(y + f.y_zero_point);
  if (y < f.activation_min) y = f.activation_min;
  return static_cast<int8_t>(y > f.activation_max ? f.activation_max : y);
}

// One element of a convolution's sums; `depthwise`: weights [1, kh, kw, out_channels].
inline int32_t sum_at(const WindowParams& p, bool depthwise, const int8_t* x, const int8_t* w,
                      const int64_t (&at)[4]) {
  const int64_t per_channel = p.out_channels / p.in_channels;
  const int64_t group = depthwise ? 0 : at[3] / (p.out_channels / (p.in_channels / p.kernel_channels));
  const int64_t depth = depthwise ? 1 : p.kernel_channels;
  int64_t sum = 0;
  for (int64_t i = 0; i < p.kernel_rows; ++i) {
    const int64_t row = at[1] * p.stride_rows - p.pad_top + i * p.dilation_rows;
    for (int64_t j = 0; j < p.kernel_columns; ++j) {
      const int64_t column = at[2] * p.stride_columns - p.pad_left + j * p.dilation_columns;
      if (row < 0 || row >= p.in_rows || column < 0 || column >= p.in_columns) continue;
      const int64_t pixel = ((at[0] * p.in_rows + row) * p.in_columns + column) * p.in_channels;
      for (int64_t k = 0; k < depth; ++k) {
        const int64_t c = depthwise ? at[3] / per_channel : group * depth + k;
        const int64_t weight =
            depthwise ? (i * p.kernel_columns + j) * p.out_channels + at[3]
                      : ((at[3] * p.kernel_rows + i) * p.kernel_columns + j) * depth + k;
        sum += int64_t{x[pixel + c] - p.x_zero_point} * w[weight];
      }
    }
  }
  return wrap(sum);
}

inline std::vector<int32_t> sums(const WindowParams& p, bool depthwise, const int8_t* x,
                                 const int8_t* w) {
  std::vector<int32_t> y;
  for (int64_t n = 0; n < p.batches; ++n) {
    for (int64_t row = 0; row < p.out_rows; ++row) {
      for (int64_t column = 0; column < p.out_columns; ++column) {
        for (int64_t c = 0; c < p.out_channels; ++c) {
          y.push_back(sum_at(p, depthwise, x, w, {n, row, column, c}));
        }
      }
    }
  }
  return y;
}

inline std::vector<int8_t> requantized(const Finish& finish, const Tables& tables,
                                       int32_t channels, const std::vector<int32_t>& sums) {
  std::vector<int8_t> y;
  for (size_t i = 0; i < sums.size(); ++i) {
    y.push_back(requantized(finish, tables, sums[i], i % static_cast<size_t>(channels)));
  }
  return y;
}

}  // namespace naive

#endif  // TESTS_FUZZ_NAIVE_H_
