// SPDX-License-Identifier: Apache-2.0
#include "arithmetic.h"
#include "split_kernels/kernels.h"

namespace split_kernels {

void requantize(const Requantization& requantization, int32_t positions, int32_t channels,
                const int32_t* sums, int8_t* y) {
  // A copy: a store to y might change the caller's, for all that the compiler knows.
  const Requantization q = requantization;
  for (int32_t position = 0; position < positions; ++position) {
    for (int32_t channel = 0; channel < channels; ++channel) {
      *y++ = requantize_one(q, *sums++, channel);
    }
  }
}

}  // namespace split_kernels
