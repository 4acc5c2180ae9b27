// SPDX-License-Identifier: Apache-2.0
// Runs split_tflm's compute operators under TFLM: models from stdin, answers on stdout. Integers are
// int32, little endian.
//
//   case:    size of a .tflite file with one input and one output, its bytes; size of the input in
//            bytes, its bytes
//   answer:  bytes of arena used, 0, size of the output in bytes, its bytes;
//            or -1, 0, size of a message, the message (the graph was refused)
//
// Started with "alone", the interpreter has no Exchange, as in an application without other devices.
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "split_device/exchange.h"
#include "split_tflm/registrations.h"

extern "C" void DebugLog(const char*, va_list) {}
extern "C" int DebugVsnprintf(char* to, size_t size, const char* format, va_list arguments) {
  return std::vsnprintf(to, size, format, arguments);
}

namespace {

constexpr size_t kArenaBytes = 256 * 1024;
constexpr size_t kModelBytes = 256 * 1024;

alignas(16) uint8_t arena[kArenaBytes];
alignas(16) uint8_t model[kModelBytes];
alignas(16) uint8_t node_memory[64 * 1024];

struct Silence final : split_core::ByteStream {
  size_t read(split_core::MutableBytes) override { return 0; }
  size_t write(split_core::ConstBytes) override { return 0; }
};
struct NoTime final : split_core::Clock {
  uint32_t now_us() override { return 0; }
};

bool read_bytes(void* to, size_t size) { return std::fread(to, 1, size, stdin) == size; }
bool read_size(size_t* size) {
  int32_t stored = 0;
  if (!read_bytes(&stored, sizeof stored) || stored < 0) return false;
  *size = static_cast<size_t>(stored);
  return true;
}

void answer(int32_t number, const void* bytes, size_t size) {
  const int32_t head[] = {number, 0, static_cast<int32_t>(size)};
  std::fwrite(head, 1, sizeof head, stdout);
  std::fwrite(bytes, 1, size, stdout);
  std::fflush(stdout);
}

void refuse(const char* message) { answer(-1, message, std::strlen(message)); }

using Resolver = split_tflm::api::MicroMutableOpResolver<11>;

void add_operators(Resolver& resolver) {
  using namespace split_tflm;
  resolver.AddCustom(kConv2dName, conv_2d_registration());
  resolver.AddCustom(kDepthwiseConv2dName, depthwise_conv_2d_registration());
  resolver.AddCustom(kPartialConv2dName, partial_conv_2d_registration());
  resolver.AddCustom(kPartialFullyConnectedName, partial_fully_connected_registration());
  resolver.AddCustom(kPartialSumName, partial_sum_registration());
  resolver.AddCustom(kRequantizeName, requantize_registration());
  resolver.AddCustom(kFusedBlockName, fused_block_registration());
  resolver.AddCustom(kChainName, chain_registration());
  resolver.AddCustom(kAddName, add_registration());
  resolver.AddCustom(kMeanName, mean_registration());
  resolver.AddCustom(kPool2dName, pool_2d_registration());
}

// Reads the input, runs the model that has been read.
bool run(const Resolver& resolver, split_core::Node& node, split_core::Clock& clock, bool alone) {
  split_device::PostedSend posted[1];
  split_device::Exchange exchange(node, clock, nullptr, posted, 1);
  split_tflm::api::MicroInterpreter interpreter(split_tflm::api::GetModel(model), resolver, arena,
                                                kArenaBytes);
  if (!alone) interpreter.SetMicroExternalContext(&exchange);
  size_t size = 0;
  if (!read_size(&size)) return false;
  void* const x = std::malloc(size + 1);
  bool sound = x != nullptr && read_bytes(x, size);
  if (!sound) {
  } else if (interpreter.AllocateTensors() != kTfLiteOk) {
    refuse(exchange.refused() ? exchange.text().text() : "TFLM takes the graph not");
  } else {
    sound = interpreter.input(0)->bytes == size;
    std::memcpy(interpreter.input(0)->data.data, x, sound ? size : 0);
    if (interpreter.Invoke() != kTfLiteOk) {
      refuse("Invoke failed");
    } else {
      answer(static_cast<int32_t>(interpreter.arena_used_bytes()),
             interpreter.output(0)->data.data, interpreter.output(0)->bytes);
    }
  }
  std::free(x);
  return sound;
}

}  // namespace

int main(int count, char** arguments) {
  const bool alone = count > 1 && std::strcmp(arguments[1], "alone") == 0;
  Silence silence;
  NoTime clock;
  split_core::ByteStream* const streams[] = {&silence};
  split_core::LinkConfig link;
  link.peer_rank = 1;
  split_core::NodeConfig config;
  config.node_count = 2;
  config.link_count = 1;
  config.links = &link;
  auto* const node = split_core::Node::create(node_memory, sizeof node_memory, config, streams,
                                              clock, nullptr);
  if (node == nullptr) return 2;
  Resolver resolver;
  add_operators(resolver);
  size_t size = 0;
  while (read_size(&size)) {
    if (size > kModelBytes || !read_bytes(model, size)) return 3;
    if (!run(resolver, *node, clock, alone)) return 4;
  }
  return 0;
}
