// SPDX-License-Identifier: Apache-2.0
// Sums of neighbouring channels, two of them in the halves of a word (on MVE eight in a vector), for as
// many positions as 16 bits hold.
#include <cstring>

#include "split_kernels/kernels.h"
#include "sums.h"
#include "target.h"

#if SPLIT_KERNELS_MVE
#include <arm_mve.h>
#endif

namespace split_kernels {
namespace {

// A function of its own: inlined, compilers keep its sums in memory.
#if defined(__GNUC__)
#define SPLIT_KERNELS_OWN_FUNCTION [[gnu::noinline]]
#else
#define SPLIT_KERNELS_OWN_FUNCTION
#endif

constexpr int32_t kMostAtOnce = 256;  // of int8, or of 0..255

#if SPLIT_KERNELS_MVE

constexpr int32_t kTogether = 32;

// Adds `positions` positions, `stride` apart, of Count channels to y.
template <int32_t Count>
SPLIT_KERNELS_OWN_FUNCTION void add_up(const int8_t* x, int32_t positions, int32_t stride, int32_t* y) {
  constexpr int32_t kVectors = (Count + 7) / 8;
  const mve_pred16_t there = vctp16q(Count);
  int16x8_t sums[kVectors];
  for (int16x8_t& sum : sums) sum = vdupq_n_s16(0);
  for (; positions > 0; --positions, x += stride) {
#pragma GCC unroll 4
    for (int32_t i = 0; i < kVectors; ++i) {
      const int16x8_t more = Count < 8 ? vldrbq_z_s16(x, there) : vldrbq_s16(x + 8 * i);
      sums[i] = vaddq_s16(sums[i], more);
    }
  }
  int16_t made[8 * kVectors];
#pragma GCC unroll 4
  for (int32_t i = 0; i < kVectors; ++i) vst1q_s16(made + 8 * i, sums[i]);
  for (int32_t i = 0; i < Count; ++i) y[i] += made[i];
}

#else

constexpr int32_t kTogether = 8;

inline uint32_t load(const int8_t* from) {
  uint32_t word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

// Adds channels 0 and 2 of a word to `even`, 1 and 3 to `odd`; without SXTAB16 as numbers from 0 on.
inline void add_word(uint32_t word, uint32_t& even, uint32_t& odd) {
#if SPLIT_KERNELS_DSP
  __asm__("sxtab16 %0, %0, %1" : "+r"(even) : "r"(word));
  __asm__("sxtab16 %0, %0, %1, ror #8" : "+r"(odd) : "r"(word));
#else
  constexpr uint32_t kBytes = 0x00FF00FF;
  word ^= 0x80808080;
  even += word & kBytes;
  odd += word >> 8 & kBytes;
#endif
}
inline int32_t half_of(uint32_t sums, int32_t shift, int32_t positions) {
#if SPLIT_KERNELS_DSP
  (void)positions;
  return static_cast<int16_t>(sums >> shift);
#else
  return static_cast<int32_t>(sums >> shift & 0xFFFF) - 128 * positions;
#endif
}

// Adds `positions` positions, `stride` apart, of Count channels to y: fours, or one.
template <int32_t Count>
SPLIT_KERNELS_OWN_FUNCTION void add_up(const int8_t* x, int32_t positions, int32_t stride, int32_t* y) {
  constexpr int32_t kWords = Count / 4;
  if (kWords == 0) {
    int32_t sum = 0;
    for (int32_t left = positions; left > 0; --left, x += stride) sum += *x;
    y[0] += sum;
    return;
  }
  uint32_t even[kWords + 1] = {}, odd[kWords + 1] = {};
  for (int32_t left = positions; left > 0; --left, x += stride) {
#pragma GCC unroll 4
    for (int32_t i = 0; i < kWords; ++i) add_word(load(x + 4 * i), even[i], odd[i]);
  }
#pragma GCC unroll 4
  for (int32_t i = 0; i < kWords; ++i) {
    y[4 * i] += half_of(even[i], 0, positions);
    y[4 * i + 1] += half_of(odd[i], 0, positions);
    y[4 * i + 2] += half_of(even[i], 16, positions);
    y[4 * i + 3] += half_of(odd[i], 16, positions);
  }
}

#endif

// Some channels of positions that are `stride` apart.
struct Run {
  const int8_t* x;
  int32_t positions, stride, channels;
};

// All positions of channels [channel, run.channels) that come in runs of Count.
template <int32_t Count>
int32_t add_runs(const Run run, int32_t channel, int32_t* y) {
  for (; channel + Count <= run.channels; channel += Count) {
    for (int32_t at = 0; at < run.positions; at += kMostAtOnce) {
      const int32_t left = run.positions - at;
      add_up<Count>(run.x + at * run.stride + channel, left < kMostAtOnce ? left : kMostAtOnce, run.stride,
                    y + channel);
    }
  }
  return channel;
}

}  // namespace

void add_positions(const int8_t* x, int32_t positions, int32_t stride, int32_t channels, int32_t* sums) {
  const Run run = {x, positions, stride, channels};
  int32_t channel = add_runs<kTogether>(run, 0, sums);
  channel = add_runs<4>(run, channel, sums);
  add_runs<1>(run, channel, sums);
}

void partial_sum(const PartialSumParams& params, const int8_t* x, int32_t* y) {
  const PartialSumParams p = params;  // a copy: a store to y might change the caller's
  const int32_t start = -p.x_zero_point * p.summed;  // at most 2**23
  for (int32_t outer = 0; outer < p.outer; ++outer, x += p.summed * p.inner, y += p.inner) {
    for (int32_t i = 0; i < p.inner; ++i) y[i] = start;
    add_positions(x, p.summed, p.inner, p.inner, y);
  }
}

void partial_sum(const PartialSumParams& params, const int8_t* x, int16_t* y) {
  constexpr int32_t kChannels = 32;
  const PartialSumParams p = params;
  for (int32_t outer = 0; outer < p.outer; ++outer, x += p.summed * p.inner, y += p.inner) {
    for (int32_t first = 0; first < p.inner; first += kChannels) {
      const int32_t left = p.inner - first, count = left < kChannels ? left : kChannels;
      int32_t sums[kChannels];
      for (int32_t i = 0; i < count; ++i) sums[i] = -p.x_zero_point * p.summed;
      add_positions(x + first, p.summed, p.inner, count, sums);
      for (int32_t i = 0; i < count; ++i) y[first + i] = static_cast<int16_t>(sums[i]);
    }
  }
}

}  // namespace split_kernels
