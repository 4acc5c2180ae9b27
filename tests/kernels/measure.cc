// SPDX-License-Identifier: Apache-2.0
// Instructions that the kernels take on a Cortex-M7 in QEMU, to answers.bin (cortex_m.cc), one line
// each: name, instructions, multiply-accumulates (values, for requantize), scratch bytes.
// QEMU's -icount shift=0 makes an instruction a nanosecond, so a tick of SysTick is 40 of them.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

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

// Products that one value of the result needs.
int32_t depth_of(const Layer& layer) {
  return layer.kernel * layer.kernel * (layer.kind == Kind::kDepthwise ? 1 : layer.in_channels);
}

int32_t values_of(const WindowParams& p, bool x) {
  return x ? p.in_rows * p.in_columns * p.in_channels
           : p.out_rows * p.out_columns * p.out_channels;
}

Requantization requantization_of(int32_t channels) {
  Requantization q;
  q.bias = make<int32_t>(channels, -500, 40);
  q.multiplier = make<int32_t>(channels, 1500000000, 1000);
  q.shift = make<int32_t>(channels, -9, 0);
  q.y_zero_point = -7;
  return q;
}

void print(const char* name, const char* variant, uint32_t taken, uint32_t macs,
           uint32_t scratch_bytes) {
  std::printf("%s%s;%u;%u;%u\n", name, variant, static_cast<unsigned>(taken),
              static_cast<unsigned>(macs), static_cast<unsigned>(scratch_bytes));
}

void measure(const Layer& layer) {
  const WindowParams p = window_of(layer);
  const bool depthwise = layer.kind == Kind::kDepthwise;
  const int32_t positions = p.out_rows * p.out_columns;
  const int32_t depth = depth_of(layer);
  const int8_t* const x = make<int8_t>(p.in_rows * p.in_columns * p.in_channels, 3, 7);
  const int8_t* const weights = make<int8_t>(depth * p.out_channels, -5, 11);
  const int32_t* const sums = make<int32_t>(positions * p.out_channels, -9999, 13);
  const Requantization q = requantization_of(p.out_channels);
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
  print(layer.name, "", taken, static_cast<uint32_t>(positions * p.out_channels * depth),
        static_cast<uint32_t>(scratch_bytes));
}

// An inverted residual block: expansion (1x1, or the stem's window), depthwise 3x3, projection.
struct Blueprint {
  const char* name;
  Layer expand, depthwise, project;
};

constexpr Blueprint kBlocks[] = {
    {"block 16 to 96 to 24 channels, 20x20", {"", Kind::kConv, 20, 16, 96, 1, 1},
     {"", Kind::kDepthwise, 20, 96, 96, 3, 1}, {"", Kind::kConv, 20, 96, 24, 1, 1}},
    {"block 16 to 96 to 24 channels, stride 2, 28x28", {"", Kind::kConv, 28, 16, 96, 1, 1},
     {"", Kind::kDepthwise, 28, 96, 96, 3, 2}, {"", Kind::kConv, 14, 96, 24, 1, 1}},
    {"block 24 to 144 to 24 channels, 7x7", {"", Kind::kConv, 7, 24, 144, 1, 1},
     {"", Kind::kDepthwise, 7, 144, 144, 3, 1}, {"", Kind::kConv, 7, 144, 24, 1, 1}},
    {"block of a 3x3 stem, stride 2, 3 to 16 to 8 channels, 48x48",
     {"", Kind::kConv, 48, 3, 16, 3, 2}, {"", Kind::kDepthwise, 24, 16, 16, 3, 1},
     {"", Kind::kConv, 24, 16, 8, 1, 1}},
};

FusedStage stage_of(const Layer& layer) {
  FusedStage stage;
  stage.window = window_of(layer);
  const int32_t depth = depth_of(layer);
  stage.weights = make<int8_t>(depth * layer.out_channels, -5, 11);
  stage.requantization = requantization_of(layer.out_channels);
  return stage;
}

// One line for the operators one after the other, one for the block, one for it in two tiles.
void measure(const Blueprint& blueprint) {
  FusedBlockParams block;
  block.expand = stage_of(blueprint.expand);
  block.depthwise = stage_of(blueprint.depthwise);
  block.project = stage_of(blueprint.project);
  const FusedStage* const stages[] = {&block.expand, &block.depthwise, &block.project};
  const Layer* const layers[] = {&blueprint.expand, &blueprint.depthwise, &blueprint.project};
  const int8_t* const x = make<int8_t>(values_of(block.expand.window, true), 3, 7);
  uint32_t macs = 0, scratch_bytes = 0, taken = 0;
  const int8_t* in = x;
  for (int i = 0; i < 3; ++i) {
    const WindowParams& p = stages[i]->window;
    const bool depthwise = i == 1;
    const size_t wanted = depthwise ? depthwise_conv_2d_get_scratch_bytes(p, true)
                                    : conv_2d_get_scratch_bytes(p, true);
    void* const scratch = std::malloc(wanted + 1);
    int8_t* const out = make<int8_t>(values_of(p, false), 0, 0);
    start_counting();
    (depthwise ? depthwise_conv_2d : conv_2d)(p, stages[i]->requantization, in,
                                              stages[i]->weights, scratch, out);
    taken += instructions();
    macs += static_cast<uint32_t>(values_of(p, false) * depth_of(*layers[i]));
    scratch_bytes = wanted > scratch_bytes ? static_cast<uint32_t>(wanted) : scratch_bytes;
    in = out;
  }
  print(blueprint.name, ", not fused", taken, macs, scratch_bytes);
  int8_t* const y = make<int8_t>(values_of(block.project.window, false), 0, 0);
  for (const int32_t tiles : {1, 2}) {
    block.tile_columns = tiles == 1 ? 0 : (block.project.window.out_columns + 1) / 2;
    if (check_fused_block(block) != nullptr) std::_Exit(123);
    const size_t wanted = fused_block_get_scratch_bytes(block);
    void* const scratch = std::malloc(wanted);
    start_counting();
    fused_block(block, x, scratch, y);
    taken = instructions();
    if (std::memcmp(y, in, static_cast<size_t>(values_of(block.project.window, false))) != 0) {
      std::_Exit(124);
    }
    print(blueprint.name, tiles == 1 ? ", fused" : ", fused, two tiles", taken, macs,
          static_cast<uint32_t>(wanted));
  }
}

}  // namespace

int main() {
  for (const Layer& layer : kLayers) measure(layer);  // nothing is freed: it runs once
  for (const Blueprint& blueprint : kBlocks) measure(blueprint);
  return 0;
}
