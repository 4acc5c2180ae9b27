// SPDX-License-Identifier: Apache-2.0
#include "dense.h"

#include "arithmetic.h"
#include "cmsis.h"

namespace split_kernels {
namespace {

// sums[2 * i + k] = sum of x[i * depth + j] * weights[k * depth + j] over j: two pixels by two
// filters, so that each load serves two products, and all of it fits a Cortex-M's registers.
SPLIT_KERNELS_INNER_LOOP void multiply_2x2(const int8_t* x, const int8_t* weights, int32_t depth,
                                           int32_t sums[4]) {
  const int8_t* x1 = x + depth;
  const int8_t* w1 = weights + depth;
  const int8_t* const end = x1;
  Sum s00, s01, s10, s11;
  while (x != end) {
    const int32_t a = *x++, b = *x1++, c = *weights++, d = *w1++;
    s00.add(a * c);
    s01.add(a * d);
    s10.add(b * c);
    s11.add(b * d);
  }
  sums[0] = s00.value(), sums[1] = s01.value(), sums[2] = s10.value(), sums[3] = s11.value();
}

SPLIT_KERNELS_INNER_LOOP int32_t sum_of(const int8_t* values, int32_t count) {
  Sum sum;
  for (; count >= 4; count -= 4, values += 4) {
    sum.add(values[0] + values[1] + values[2] + values[3]);
  }
  for (; count > 0; --count) sum.add(*values++);
  return sum.value();
}

// Two filters over an even number of pixels. Sum of (x - zero point) * w = sum of x * w - zero point
// * sum of w: the second once per filter instead of a subtraction per load of x.
template <typename Sink>
void two_filters(const DenseParams& p, int32_t positions, const int8_t* x, const int8_t* weights,
                 int32_t channel, Sink& sink) {
  const int32_t first = wrapping_multiply(-p.x_zero_point, sum_of(weights, p.depth));
  const int32_t second = wrapping_multiply(-p.x_zero_point, sum_of(weights + p.depth, p.depth));
  int32_t sums[4];
  for (int32_t position = 0; position < positions; position += 2, x += 2 * p.depth) {
    multiply_2x2(x, weights, p.depth, sums);
    sink(position, channel, wrapping_add(sums[0], first));
    sink(position, channel + 1, wrapping_add(sums[1], second));
    sink(position + 1, channel, wrapping_add(sums[2], first));
    sink(position + 1, channel + 1, wrapping_add(sums[3], second));
  }
}

// All filters over one pixel, four filters to a load of x.
template <typename Sink>
void one_pixel(const DenseParams& p, int32_t position, const int8_t* x, const int8_t* weights,
               Sink& sink) {
  int32_t channel = 0;
  for (; channel + 4 <= p.channels; channel += 4, weights += 4 * p.depth) {
    int32_t sums[4] = {0, 0, 0, 0};
    accumulate_4(x, weights, p.depth, -p.x_zero_point, p.depth, sums);
    for (int32_t k = 0; k < 4; ++k) sink(position, channel + k, sums[k]);
  }
  for (; channel < p.channels; ++channel, weights += p.depth) {
    int32_t sum = 0;
    accumulate_1(x, weights, -p.x_zero_point, p.depth, &sum);
    sink(position, channel, sum);
  }
}

// Sink: void operator()(int32_t position, int32_t channel, int32_t sum).
template <typename Sink>
void multiply(const DenseParams& p, const int8_t* x, const int8_t* weights, Sink sink) {
  const int32_t even = p.positions & ~1;
  int32_t channel = 0;
  for (; channel + 2 <= p.channels; channel += 2) {
    two_filters(p, even, x, weights + channel * p.depth, channel, sink);
  }
  if (channel < p.channels) {
    for (int32_t position = 0; position < even; ++position) {
      int32_t sum = 0;
      accumulate_1(x + position * p.depth, weights + channel * p.depth, -p.x_zero_point, p.depth,
                   &sum);
      sink(position, channel, sum);
    }
  }
  if (even < p.positions) one_pixel(p, even, x + even * p.depth, weights, sink);
}

}  // namespace

void dense(const DenseParams& p, const Requantization& requantization, const int8_t* x,
           const int8_t* weights, int8_t* y) {
  if (cmsis::takes_dense(p)) {
    cmsis::dense(p, requantization, x, weights, y);
    return;
  }
  const int32_t channels = p.channels;
  multiply(p, x, weights,
           [requantization, channels, y](int32_t position, int32_t channel, int32_t sum) {
             y[position * channels + channel] = requantize_one(requantization, sum, channel);
           });
}

void dense_sums(const DenseParams& p, const int8_t* x, const int8_t* weights, int32_t* y) {
  if (cmsis::takes_dense(p)) {
    cmsis::dense_sums(p, x, weights, y);
    return;
  }
  const int32_t channels = p.channels;
  multiply(p, x, weights, [channels, y](int32_t position, int32_t channel, int32_t sum) {
    y[position * channels + channel] = sum;
  });
}

}  // namespace split_kernels
