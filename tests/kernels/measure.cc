// SPDX-License-Identifier: Apache-2.0
// Instructions that the kernels take on a Cortex-M7 in QEMU, to answers.bin (cortex_m.cc), one line
// each: name, instructions, multiply-accumulates (values, for requantize), scratch bytes.
// QEMU's -icount shift=0 makes an instruction a nanosecond, so a tick of SysTick is 40 of them.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "split_kernels/kernels.h"

namespace {

using namespace split_kernels;

constexpr uint32_t kInstructionsPerTick = 40;  // at AN500's 25 MHz
constexpr uint32_t kReload = 0xFFFFFF;

volatile uint32_t* const kSysTick = reinterpret_cast<uint32_t*>(0xE000E010);

void start_counting() {
  kSysTick[1] = kReload;
  kSysTick[2] = 0;
  kSysTick[0] = 5;  // on, processor clock, no interrupt
}

uint32_t instructions() { return (kReload - kSysTick[2]) * kInstructionsPerTick; }

template <typename T>
T* make(int32_t count, int32_t base, int32_t step) {
  T* const array = static_cast<T*>(std::malloc(static_cast<size_t>(count) * sizeof(T)));
  if (array == nullptr) std::_Exit(122);
  for (int32_t i = 0; i < count; ++i) array[i] = static_cast<T>(base + i * step);
  return array;
}

enum class Kind { kConv, kDepthwise, kPartial, kRequantize };

struct Layer {
  const char* name;
  Kind kind;
  int32_t extent, in_channels, out_channels, kernel, stride;
};

constexpr Layer kLayers[] = {
    {"conv 1x1, 96 to 24 channels, 14x14", Kind::kConv, 14, 96, 24, 1, 1},
    {"conv 3x3 stride 2, 3 to 16 channels, 48x48", Kind::kConv, 48, 3, 16, 3, 2},
    {"conv 3x3, 16 to 16 channels, 16x16", Kind::kConv, 16, 16, 16, 3, 1},
    {"depthwise 3x3, 96 channels, 14x14", Kind::kDepthwise, 14, 96, 96, 3, 1},
    {"depthwise 3x3 stride 2, 48 channels, 28x28", Kind::kDepthwise, 28, 48, 48, 3, 2},
    {"partial conv 1x1, 96 to 24 channels, 14x14", Kind::kPartial, 14, 96, 24, 1, 1},
    {"partial conv 3x3, 16 to 16 channels, 16x16", Kind::kPartial, 16, 16, 16, 3, 1},
    {"requantize, per value", Kind::kRequantize, 14, 1, 24, 1, 1},
};

WindowParams window_of(const Layer& layer) {
  WindowParams p;
  p.in_rows = p.in_columns = layer.extent;
  p.in_channels = p.kernel_channels = layer.in_channels;
  p.kernel_rows = p.kernel_columns = layer.kernel;
  p.stride_rows = p.stride_columns = layer.stride;
  p.pad_top = p.pad_bottom = p.pad_left = p.pad_right = layer.kernel / 2;
  p.out_channels = layer.out_channels;
  p.out_rows = p.out_columns = (layer.extent + 2 * p.pad_top - layer.kernel) / layer.stride + 1;
  p.x_zero_point = -7;
  return p;
}

void measure(const Layer& layer) {
  const WindowParams p = window_of(layer);
  const bool depthwise = layer.kind == Kind::kDepthwise;
  const int32_t positions = p.out_rows * p.out_columns;
  const int32_t depth = p.kernel_rows * p.kernel_columns * (depthwise ? 1 : p.in_channels);
  const int8_t* const x = make<int8_t>(p.in_rows * p.in_columns * p.in_channels, 3, 7);
  const int8_t* const weights = make<int8_t>(depth * p.out_channels, -5, 11);
  const int32_t* const sums = make<int32_t>(positions * p.out_channels, -9999, 13);
  Requantization q;
  q.bias = make<int32_t>(p.out_channels, -500, 40);
  q.multiplier = make<int32_t>(p.out_channels, 1500000000, 1000);
  q.shift = make<int32_t>(p.out_channels, -9, 0);
  void* const y = make<int32_t>(positions * p.out_channels, 0, 0);
  const size_t scratch_bytes = layer.kind == Kind::kConv ? conv_2d_get_scratch_bytes(p, true)
                               : depthwise ? depthwise_conv_2d_get_scratch_bytes(p, true)
                               : layer.kind == Kind::kPartial
                                   ? partial_conv_2d_get_scratch_bytes(p)
                                   : 0;
  void* const scratch = std::malloc(scratch_bytes + 1);
  start_counting();
  switch (layer.kind) {
    case Kind::kConv:
      conv_2d(p, q, x, weights, scratch, static_cast<int8_t*>(y));
      break;
    case Kind::kDepthwise:
      depthwise_conv_2d(p, q, x, weights, scratch, static_cast<int8_t*>(y));
      break;
    case Kind::kPartial:
      partial_conv_2d(p, x, weights, scratch, static_cast<int32_t*>(y));
      break;
    case Kind::kRequantize:
      requantize(q, positions, p.out_channels, sums, static_cast<int8_t*>(y));
  }
  const uint32_t taken = instructions();
  std::printf("%s;%u;%u;%u\n", layer.name, static_cast<unsigned>(taken),
              static_cast<unsigned>(positions * p.out_channels * depth),
              static_cast<unsigned>(scratch_bytes));
}

}  // namespace

int main() {
  for (const Layer& layer : kLayers) measure(layer);  // nothing is freed: it runs once
  return 0;
}
