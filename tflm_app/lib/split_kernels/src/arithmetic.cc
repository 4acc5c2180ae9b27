// SPDX-License-Identifier: Apache-2.0
#include "arithmetic.h"

namespace split_kernels {

void accumulate_4(const int8_t* x, const int8_t* weights, int32_t filter_stride, int32_t offset,
                  int32_t count, int32_t sums[4]) {
  const int8_t* w0 = weights;
  const int8_t* w1 = w0 + filter_stride;
  const int8_t* w2 = w1 + filter_stride;
  const int8_t* w3 = w2 + filter_stride;
  Sum s0(sums[0]), s1(sums[1]), s2(sums[2]), s3(sums[3]);
  for (const int8_t* const end = x + count; x != end; ++x) {
    const int32_t value = *x + offset;
    s0.add(value * *w0++);
    s1.add(value * *w1++);
    s2.add(value * *w2++);
    s3.add(value * *w3++);
  }
  sums[0] = s0.value(), sums[1] = s1.value(), sums[2] = s2.value(), sums[3] = s3.value();
}

void accumulate_1(const int8_t* x, const int8_t* weights, int32_t offset, int32_t count,
                  int32_t* sum) {
  Sum s(*sum);
  for (const int8_t* const end = x + count; x != end;) s.add((*x++ + offset) * *weights++);
  *sum = s.value();
}

}  // namespace split_kernels
