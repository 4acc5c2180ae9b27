// SPDX-License-Identifier: Apache-2.0
// Runs TinyEngine's integer kernels on cases from stdin, in the terms of cmsis_nn.cc; those that its code
// generator would call. Scratch is -1 where there is none for a case.
//
//   convolutions: 19 integers of the window, y zero point, activation min, max; x, weights, bias,
//                 multiplier, shift; of depthwise ones weights by channels, and the bias with x's zero point in it
//   ADD:          as there
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "counted_cases.h"

extern "C" {
#include "tinyengine_function.h"

typedef tinyengine_status Pointwise(const q7_t*, uint16_t, uint16_t, uint16_t, const q7_t*, const int32_t*,
                                    const int32_t*, const int32_t*, int32_t, int32_t, int32_t, int32_t, q7_t*,
                                    uint16_t, uint16_t, uint16_t, q15_t*);
Pointwise convolve_1x1_s8_oddch;
tinyengine_status convolve_s8_kernel3_stride1_pad1(const q7_t*, uint16_t, uint16_t, uint16_t, const q7_t*,
                                                   const int32_t*, const int32_t*, const int32_t*, int32_t,
                                                   int32_t, int32_t, int32_t, q7_t*, uint16_t, uint16_t,
                                                   uint16_t, q15_t*, q7_t);
// As its code generator writes them: the result is written over x.
typedef tinyengine_status Depthwise(q7_t*, uint16_t, uint16_t, uint16_t, const q7_t*, const int32_t*,
                                    const int32_t*, const int32_t*, const int32_t*, int32_t, int32_t, int32_t,
                                    int32_t, q7_t*, uint16_t, uint16_t, uint16_t, q15_t*, q7_t);
Depthwise depthwise_kernel3x3_stride1_inplace_CHW, depthwise_kernel3x3_stride2_inplace_CHW;
}

namespace {

using counted::Case;

enum Op : int32_t { kConv, kDepthwise, kFullyConnected, kAdd };

uint16_t u16(int32_t value) { return static_cast<uint16_t>(value); }

Pointwise* pointwise_of(int32_t depth, int32_t channels) {
  if (channels % 2 != 0) return convolve_1x1_s8_oddch;
  switch (depth) {
    case 8: return convolve_1x1_s8_ch8;
    case 16: return convolve_1x1_s8_ch16;
    case 24: return convolve_1x1_s8_ch24;
    case 48: return convolve_1x1_s8_ch48;
    default: return convolve_1x1_s8;
  }
}

// Bytes of scratch, or -1. Memory comes before the count, as TinyEngine's is static.
int32_t convolve(const Case& c, int8_t* y) {
  const int32_t* const n = c.n;
  const int32_t rows = n[1], columns = n[2], depth = n[3], kernel = n[4], channels = n[9], stride = n[10];
  const int32_t pad = -n[18], low = n[20], high = n[21], offset = n[19];
  const int32_t columns_bytes = 4 * kernel * kernel * depth, weights_bytes = 2 * kernel * kernel * depth * channels;
  const int32_t planes_bytes = (rows + 2) * (columns + 2);
  const int32_t scratch = c.op == kDepthwise ? planes_bytes : columns_bytes + (stride == 2 ? weights_bytes : 0);
  int16_t* const buffer = static_cast<int16_t*>(counted::memory_of(scratch));
  int16_t* const weights = buffer + columns_bytes / 2;
  const int32_t* const shift = c.words(4);
  const int32_t* const multiplier = c.words(3);
  const int8_t zero = static_cast<int8_t>(n[18]);
  const int32_t no_bias[] = {0};
  tinyengine_status status = PARAM_NO_SUPPORT;
  counted::Ticks::begin();
  if (c.op == kDepthwise) {
    const Depthwise* const run =
        stride == 1 ? depthwise_kernel3x3_stride1_inplace_CHW : depthwise_kernel3x3_stride2_inplace_CHW;
    int32_t* const nothing = static_cast<int32_t*>(std::calloc(static_cast<size_t>(channels), sizeof *no_bias));
    counted::Ticks::begin();
    run(c.bytes(0), u16(columns), u16(rows), u16(depth), c.bytes(1), c.words(2), nothing, shift, multiplier,
        offset, pad, low, high, y, u16(n[8]), u16(n[7]), u16(channels), buffer, zero);
    status = STATE_SUCCESS;  // these return nothing
    std::free(nothing);
  } else if (kernel == 1) {
    status = pointwise_of(depth, channels)(c.bytes(0), u16(columns), u16(rows), u16(depth), c.bytes(1), c.words(2),
                                           shift, multiplier, offset, pad, low, high, y, u16(n[8]), u16(n[7]),
                                           u16(channels), buffer);
  } else if (stride == 2) {
    status = convolve_s8_kernel3_inputch3_stride2_pad1(
        c.bytes(0), u16(columns), u16(rows), u16(depth), c.bytes(1), c.words(2), shift, multiplier, offset, pad, low,
        high, y, u16(n[8]), u16(n[7]), u16(channels), buffer, weights, zero);
  } else {
    status = convolve_s8_kernel3_stride1_pad1(c.bytes(0), u16(columns), u16(rows), u16(depth), c.bytes(1),
                                              c.words(2), shift, multiplier, offset, pad, low, high, y, u16(n[8]),
                                              u16(n[7]), u16(channels), buffer, zero);
  }
  std::free(buffer);
  return status == STATE_SUCCESS ? scratch : -1;
}

int32_t add_values(const Case& c, int8_t* y) {
  const int32_t* const n = c.n;
  ADD_params p = {};
  p.left_shift = 20;
  p.input1_offset = n[0], p.input1_multiplier = n[1], p.input1_shift = n[2];
  p.input2_offset = n[3], p.input2_multiplier = n[4], p.input2_shift = n[5];
  p.output_offset = n[6], p.output_multiplier = n[7], p.output_shift = n[8];
  p.quantized_activation_min = n[9], p.quantized_activation_max = n[10];
  counted::Ticks::begin();
  add(c.sizes[0], &p, c.bytes(0), c.bytes(1), y);
  return 0;
}

}  // namespace

int main() {
  const counted::Ticks ticks;
  Case c;
  while (counted::read_case(&c)) {
    const int32_t size = c.op == kAdd ? c.sizes[0] : c.n[7] * c.n[8] * c.n[9];
    int8_t* const y = static_cast<int8_t*>(counted::memory_of(size));
    const int32_t scratch = c.op == kAdd ? add_values(c, y) : convolve(c, y);
    const int32_t instructions = ticks.instructions();
    counted::answer(scratch, instructions, c.op == kDepthwise ? c.bytes(0) : y, size);
    std::free(y);
    counted::free_case(c);
  }
  return 0;
}
