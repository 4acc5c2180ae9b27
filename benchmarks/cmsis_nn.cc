// SPDX-License-Identifier: Apache-2.0
// Runs CMSIS-NN's functions on cases from stdin, in the terms of tests/kernels/driver.cc: what TFLM calls
// for CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED and ADD of int8. Instructions are counted as there.
//
//   convolutions: 19 integers of the window, y zero point, activation min, max; x, weights, bias,
//                 multiplier, shift
//   ADD:          offset, multiplier, shift of both operands and of y, activation min, max; both
#include <cstdint>
#include <cstdlib>

#include "arm_nnfunctions.h"
#include "counted_cases.h"

namespace {

using counted::Case;

enum Op : int32_t { kConv, kDepthwise, kFullyConnected, kAdd };

struct Shapes {
  cmsis_nn_dims x, weights, bias, y;
};

Shapes shapes_of(const int32_t* n) {
  return {{n[0], n[1], n[2], n[3]}, {n[9], n[4], n[5], n[6]}, {1, 1, 1, n[9]}, {n[0], n[7], n[8], n[9]}};
}

int32_t bytes_of(const cmsis_nn_dims& d) { return d.n * d.h * d.w * d.c; }

bool done(arm_cmsis_nn_status status) { return status == ARM_CMSIS_NN_SUCCESS; }

// Prepare's part (buffers) comes before the count, as TFLM does it once. Returns the buffer's bytes.
int32_t run(const Case& c, int8_t* y, bool* ok) {
  const int32_t* const n = c.n;
  Shapes s = shapes_of(n);
  const cmsis_nn_activation clamp = {n[20], n[21]};
  cmsis_nn_per_channel_quant_params scales = {c.words(3), c.words(4)};
  cmsis_nn_context context = {nullptr, 0};
  const auto count = [] { counted::Ticks::begin(); };
  const auto buffer = [&context](int32_t bytes) {
    context.size = bytes;
    context.buf = bytes > 0 ? std::malloc(static_cast<size_t>(bytes)) : nullptr;
  };
  switch (c.op) {
    case kConv: {
      const cmsis_nn_conv_params p = {-n[18], n[19], {n[11], n[10]}, {n[16], n[14]}, {n[13], n[12]}, clamp};
      buffer(arm_convolve_wrapper_s8_get_buffer_size(&p, &s.x, &s.weights, &s.y));
      count();
      *ok = done(arm_convolve_wrapper_s8(&context, &p, &scales, &s.x, c.bytes(0), &s.weights, c.bytes(1),
                                         &s.bias, c.words(2), &s.y, y));
      break;
    }
    case kDepthwise: {
      s.weights = {1, n[4], n[5], n[9]};
      const cmsis_nn_dw_conv_params p = {-n[18],         n[19], n[9] / n[3], {n[11], n[10]}, {n[16], n[14]},
                                         {n[13], n[12]}, clamp};
      buffer(arm_depthwise_conv_wrapper_s8_get_buffer_size(&p, &s.x, &s.weights, &s.y));
      count();
      *ok = done(arm_depthwise_conv_wrapper_s8(&context, &p, &scales, &s.x, c.bytes(0), &s.weights,
                                               c.bytes(1), &s.bias, c.words(2), &s.y, y));
      break;
    }
    case kFullyConnected: {
      s.weights = {n[3], 1, 1, n[9]};
      const cmsis_nn_fc_params p = {-n[18], 0, n[19], clamp};
      const cmsis_nn_per_tensor_quant_params scale = {c.words(3)[0], c.words(4)[0]};
      buffer(arm_fully_connected_s8_get_buffer_size(&s.weights));
      if (context.size > 0) {
        arm_vector_sum_s8(static_cast<int32_t*>(context.buf), n[3], n[9], c.bytes(1), p.input_offset, 0,
                          c.words(2));
      }
      count();
      *ok = done(arm_fully_connected_s8(&context, &p, &scale, &s.x, c.bytes(0), &s.weights, c.bytes(1),
                                        &s.bias, c.words(2), &s.y, y));
      break;
    }
    default:
      count();
      *ok = done(arm_elementwise_add_s8(c.bytes(0), c.bytes(1), n[0], n[1], n[2], n[3], n[4], n[5], 20, y,
                                        n[6], n[7], n[8], n[9], n[10], c.sizes[0]));
  }
  return context.size;
}

}  // namespace

int main() {
  const counted::Ticks ticks;
  Case c;
  while (counted::read_case(&c)) {
    const int32_t size = c.op == kAdd ? c.sizes[0] : bytes_of(shapes_of(c.n).y);
    int8_t* const y = static_cast<int8_t*>(counted::memory_of(size));
    bool ok = false;
    const int32_t scratch = run(c, y, &ok);
    counted::answer(ok ? scratch : -1, ticks.instructions(), y, size);
    std::free(y);
    counted::free_case(c);
  }
  return 0;
}
