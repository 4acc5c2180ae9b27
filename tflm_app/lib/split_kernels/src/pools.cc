// SPDX-License-Identifier: Apache-2.0
// Means and pools: some channels at a time, so that what is found of them lies on the stack and none of
// it in the arena.
#include <cstring>

#include "arithmetic.h"
#include "split_kernels/kernels.h"
#include "sums.h"
#include "target.h"

#if SPLIT_KERNELS_MVE
#include <arm_mve.h>
#endif

namespace split_kernels {
namespace {

constexpr int32_t kChunk = 32;  // channels

// Rows or columns of x under one window.
struct Span {
  Span(int32_t step, int32_t stride, int32_t pad, int32_t kernel, int32_t extent)
      : begin(step * stride - pad), end(least(begin + kernel, extent)) {
    if (begin < 0) begin = 0;
  }
  int32_t size() const { return end - begin; }
  int32_t begin, end;
};

// The values of x under one window, of some channels.
struct Under {
  const int8_t* x;
  int32_t rows, columns, row_stride, stride, channels;
  int32_t values() const { return rows * columns; }
};

// `use(first position, positions)` of runs of positions that lie one behind the other.
template <typename Use>
inline void each_run(const Under& u, Use use) {
  if (u.columns * u.stride == u.row_stride) return use(u.x, u.values());
  for (int32_t row = 0; row < u.rows; ++row) use(u.x + row * u.row_stride, u.columns);
}

// Halves away from zero, of the stored values.
void average(const Under& u, const PoolFinish& finish, int8_t* y) {
  int32_t sums[kChunk] = {};
  each_run(u, [&](const int8_t* x, int32_t positions) {
    add_positions(x, positions, u.stride, u.channels, sums);
  });
  const int32_t count = u.values(), half = count / 2;
  for (int32_t i = 0; i < u.channels; ++i) {
    const int32_t sum = sums[i];
    y[i] = clamp_to((sum > 0 ? sum + half : sum - half) / count, finish.activation_min,
                    finish.activation_max);
  }
}

#if SPLIT_KERNELS_MVE

// Of one position; `most` and x may be read for kChunk channels only where there are so many.
inline void raise(const int8_t* x, int32_t channels, int8_t* most) {
  for (int32_t i = 0; i < channels; i += 16) {
    const mve_pred16_t there = vctp8q(static_cast<uint32_t>(channels - i));
    const int8x16_t found = vmaxq_s8(vldrbq_z_s8(most + i, there), vldrbq_z_s8(x + i, there));
    vstrbq_p_s8(most + i, found, there);
  }
}

#else

inline void raise(const int8_t* x, int32_t channels, int8_t* most) {
  int32_t i = 0;
#if SPLIT_KERNELS_DSP
  for (; i + 4 <= channels; i += 4) {
    uint32_t a, b;
    std::memcpy(&a, x + i, sizeof a);
    std::memcpy(&b, most + i, sizeof b);
    // GE of each byte, and who has it.
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(b) : "r"(a), "r"(b) : "cc");
    std::memcpy(most + i, &b, sizeof b);
  }
#endif
  for (; i < channels; ++i) {
    if (x[i] > most[i]) most[i] = x[i];
  }
}

#endif

void maximum(const Under& u, const PoolFinish& finish, int8_t* y) {
  int8_t most[kChunk];
  std::memset(most, -128, sizeof most);
  each_run(u, [&](const int8_t* x, int32_t positions) {
    for (; positions > 0; --positions, x += u.stride) raise(x, u.channels, most);
  });
  for (int32_t i = 0; i < u.channels; ++i) {
    y[i] = clamp_to(most[i], finish.activation_min, finish.activation_max);
  }
}

}  // namespace

void mean(const MeanParams& params, const int8_t* x, int8_t* y) {
  const MeanParams p = params;  // a copy: a store to y might change the caller's
  const int32_t start = -p.sums.x_zero_point * p.sums.summed;
  for (int32_t outer = 0; outer < p.sums.outer; ++outer, x += p.sums.summed * p.sums.inner) {
    for (int32_t channel = 0; channel < p.sums.inner; channel += kChunk) {
      const int32_t channels = least(kChunk, p.sums.inner - channel);
      int32_t sums[kChunk];
      for (int32_t i = 0; i < channels; ++i) sums[i] = start;
      add_positions(x + channel, p.sums.summed, p.sums.inner, channels, sums);
      for (int32_t i = 0; i < channels; ++i) {
        const int32_t scaled = multiply_by_quantized_multiplier(sums[i], p.multiplier, p.shift);
        *y++ = clamp_to(wrapping_add(scaled, p.y_zero_point), -128, 127);
      }
    }
  }
}

void pool_2d(const WindowParams& window, const PoolFinish& finish, const int8_t* x, int8_t* y) {
  const WindowParams p = window;
  const int32_t row_stride = p.in_columns * p.in_channels;
  for (int32_t batch = 0; batch < p.batches; ++batch, x += p.in_rows * row_stride) {
    for (int32_t row = 0; row < p.out_rows; ++row) {
      const Span rows(row, p.stride_rows, p.pad_top, p.kernel_rows, p.in_rows);
      for (int32_t column = 0; column < p.out_columns; ++column) {
        const Span columns(column, p.stride_columns, p.pad_left, p.kernel_columns, p.in_columns);
        const int8_t* const from = x + rows.begin * row_stride + columns.begin * p.in_channels;
        for (int32_t channel = 0; channel < p.in_channels; channel += kChunk) {
          const int32_t channels = least(kChunk, p.in_channels - channel);
          const Under under = {from + channel, rows.size(),   columns.size(),
                               row_stride,     p.in_channels, channels};
          (finish.maximum ? maximum : average)(under, finish, y);
          y += channels;
        }
      }
    }
  }
}

}  // namespace split_kernels
