// SPDX-License-Identifier: Apache-2.0
#include "arithmetic.h"
#include "split_kernels/kernels.h"

namespace split_kernels {

namespace {

template <typename Sum>
void requantize_sums(const Finish& finish, int32_t positions, int32_t channels, const void* constants,
                     const Sum* sums, int8_t* y) {
  const Finish f = finish;  // a copy: a store to y might change the caller's, for the compiler
  for (int32_t position = 0; position < positions; ++position) {
    const TapsRecord* record = static_cast<const TapsRecord*>(constants);
    for (int32_t channel = 0; channel < channels; ++channel, ++record) {
      const ChannelFinish finish_of = {record->multiplier, record->addend, record->shift};
      *y++ = finish_one(f, finish_of, wrapping_add(*sums++, record->bias));
    }
  }
}

}  // namespace

void requantize(const Finish& finish, int32_t positions, int32_t channels, const void* constants,
                const int32_t* sums, int8_t* y) {
  requantize_sums(finish, positions, channels, constants, sums, y);
}

void requantize(const Finish& finish, int32_t positions, int32_t channels, const void* constants,
                const int16_t* sums, int8_t* y) {
  requantize_sums(finish, positions, channels, constants, sums, y);
}

}  // namespace split_kernels
