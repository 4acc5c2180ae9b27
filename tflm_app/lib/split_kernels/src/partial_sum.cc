// SPDX-License-Identifier: Apache-2.0
#include "split_kernels/kernels.h"

namespace split_kernels {
namespace {

constexpr int32_t kTogether = 8;  // channels whose sums stay in registers

// Sums of `count` neighbouring channels over all positions, `stride` apart.
template <int32_t count>
inline void add_up(const int8_t* x, int32_t positions, int32_t stride, int32_t start, int32_t* y) {
  int32_t sums[count];
  for (int32_t i = 0; i < count; ++i) sums[i] = start;
  for (int32_t position = 0; position < positions; ++position, x += stride) {
    for (int32_t i = 0; i < count; ++i) sums[i] += x[i];
  }
  for (int32_t i = 0; i < count; ++i) y[i] = sums[i];
}

}  // namespace

void partial_sum(const PartialSumParams& params, const int8_t* x, int32_t* y) {
  const PartialSumParams p = params;  // a copy: a store to y might change the caller's
  const int32_t start = -p.x_zero_point * p.summed;  // at most 2**23
  for (int32_t outer = 0; outer < p.outer; ++outer, x += p.summed * p.inner, y += p.inner) {
    int32_t channel = 0;
    for (; channel + kTogether <= p.inner; channel += kTogether) {
      add_up<kTogether>(x + channel, p.summed, p.inner, start, y + channel);
    }
    for (; channel < p.inner; ++channel) {
      add_up<1>(x + channel, p.summed, p.inner, start, y + channel);
    }
  }
}

}  // namespace split_kernels
