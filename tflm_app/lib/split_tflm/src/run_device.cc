// SPDX-License-Identifier: Apache-2.0
// Composition: the board's streams become links, links a node, node and interpreter a device.
#include "split_tflm/run_device.h"

#include <new>

#include "running.h"
#include "split_port/port.h"
#include "tflm_graph.h"

namespace split_tflm {
namespace {

using split_core::ByteStream;
using split_core::Node;
using split_core::NodeConfig;
using split_device::Board;
using split_device::Control;
using split_device::DeviceRunner;
using split_device::Exchange;
using split_device::TextLine;
using split_device::Watchdog;

constexpr int kConfigStatus = 3;
// The board's own watchdog, held off by ticks. Some boards' count no further than 8 seconds.
constexpr uint32_t kWatchdogMs = 4'000;
// A device that is alone makes nobody wait, and may have nothing but TFLM's operators.
constexpr uint32_t kLimitAloneMs = 120'000;

const DeviceDescription* g_device = nullptr;
Node* g_node = nullptr;
Watchdog g_watchdog;

size_t port_of(uint8_t link) {
  const uint8_t port = g_device->ports[link];
  return port == kHostPort ? split_port::host_link() : port;
}

uint32_t lost_bytes(uint8_t link) { return split_port::link_counters(port_of(link)).lost_bytes; }
void print(const char* text) { split_port::console_write(text); }

uint32_t stack_used_bytes() { return split_port::stack_use().used_bytes; }

Board board() {
  return {&split_port::clock(), split_port::ticks, split_port::ticks_per_second(), print,
          lost_bytes, split_port::console_lost_bytes, stack_used_bytes};
}

// Start-up arguments, where the board has any, may lengthen what an emulator or a debugger slows
// down.
NodeConfig node_config(const DeviceDescription& device) {
  NodeConfig config = device.node;
  config.boot_nonce = split_port::boot_nonce();
  const int32_t silence_ms = split_port::argument_or("peer_timeout_ms", 0);
  if (silence_ms > 0) config.timing.peer_timeout_us = static_cast<uint32_t>(silence_ms) * 1000;
  return config;
}

Node* make_node(const DeviceDescription& device, Control* control,
                split_core::ByteStream* host_stream) {
  static ByteStream* streams[split_core::kMaxLinks];
  for (uint8_t i = 0; i < device.node.link_count; ++i) {
    if (host_stream != nullptr && device.ports[i] == kHostPort) {
      streams[i] = host_stream;
      continue;
    }
    if (port_of(i) >= split_port::link_count()) return nullptr;
    streams[i] = &split_port::link(port_of(i));
  }
  return Node::create(device.link_memory, device.link_memory_bytes, node_config(device), streams,
                      split_port::clock(), control);
}

// Links go on moving while kernels run, where the board has a timer for it.
split_device::Ticker start_ticker(uint32_t period_us) {
  const auto poll = [] {
    g_node->poll();
    g_watchdog.tick();
  };
  if (period_us == 0 || !split_port::start_ticks(poll, period_us)) return {};
  return {split_port::pause_ticks, split_port::resume_ticks};
}

// Nothing is said for as long as others would wait for this device's box: the program hangs. Without
// ticks nobody feeds the board's watchdog during a kernel, so it must wait that long by itself.
void start_watchdog(const DeviceDescription& device, bool has_ticks, Exchange* exchange) {
  const uint32_t timeout_ms = device.timeout_us / 1000;
  const bool is_alone = device.node.world_size <= 1 && timeout_ms < kLimitAloneMs;
  uint32_t limit_ms = is_alone ? kLimitAloneMs : timeout_ms;
  const int32_t given_ms = split_port::argument_or("watchdog_ms", 0);
  if (given_ms > 0) limit_ms = static_cast<uint32_t>(given_ms);
  if (!split_port::start_watchdog(has_ticks && limit_ms > kWatchdogMs ? kWatchdogMs : limit_ms)) return;
  const uint32_t tick_us = has_ticks ? device.background_poll_us : 1000;
  g_watchdog.begin(split_port::feed_watchdog, static_cast<uint32_t>(uint64_t{limit_ms} * 1000 / tick_us));
  exchange->set_watchdog(&g_watchdog);
}

void describe(const DeviceDescription& device, const Node& node, Control* control) {
  control->info.boot = node.config().boot_nonce;
  control->info.arena_bytes = static_cast<uint32_t>(device.arena_bytes);
  control->info.model_bytes = static_cast<uint32_t>(device.model_bytes);
  control->info.link_bytes = static_cast<uint32_t>(device.link_memory_bytes);
  control->info.ticks_per_second = split_port::ticks_per_second();
  control->info.board = device.board;
  control->info.stack_bytes = split_port::stack_use().bytes;
  control->info.reset_reason = static_cast<uint8_t>(split_port::reset_reason());
}

void print_boot(const DeviceDescription& device, const Control& control) {
  TextLine line;
  line.add("READY rank ").add(device.node.rank).add(" of ").add(device.node.world_size);
  line.add(" on ").add(device.board).add(": arena ").add(control.info.arena_used_bytes);
  line.add(" of ").add(control.info.arena_bytes).add(" bytes, model ");
  print(line.add(control.info.model_bytes).add(" bytes\n").text());
}

// The interpreter in its memory, with all tensors; null, and why, if something does not fit.
api::MicroInterpreter* make_interpreter(const DeviceDescription& device, Exchange& exchange,
                                        TextLine* why) {
  const api::MicroOpResolver* resolver = nullptr;
  if (!check_model(device, why)) return nullptr;
  if (device.resolve(&resolver) != kTfLiteOk) {
    why->add("the operators cannot be registered");
    return nullptr;
  }
  // In place, because it must not be constructed before the model has been checked.
  alignas(api::MicroInterpreter) static uint8_t memory[sizeof(api::MicroInterpreter)];
  auto* const interpreter = new (memory) api::MicroInterpreter(
      api::GetModel(device.model), *resolver, device.arena, device.arena_bytes);
  interpreter->SetMicroExternalContext(&exchange);
  return allocate(device, *interpreter, exchange, why) ? interpreter : nullptr;
}

}  // namespace

Running* set_up(const DeviceDescription& device, split_core::ByteStream* host_stream,
                TextLine* why) {
  g_device = &device;
  static Control control;
  Node* const node = make_node(device, &control, host_stream);
  if (node == nullptr) {
    why->add("this board has not the links that the plan wants");
    return nullptr;
  }
  g_node = node;
  describe(device, *node, &control);
  static Exchange exchange(*node, split_port::clock(), split_port::ticks, device.posted,
                           device.node.send_slots);
  const split_device::Ticker ticker = start_ticker(device.background_poll_us);
  exchange.set_ticker(ticker);
  // An application does as it likes between two inferences.
  if (host_stream == nullptr) start_watchdog(device, ticker.exists(), &exchange);
  static DeviceRunner runner(board(), *node, exchange, control, device.timeout_us);
  static Running running = {&runner, nullptr};
  api::MicroInterpreter* const interpreter = make_interpreter(device, exchange, why);
  if (interpreter == nullptr) return &running;
  control.info.arena_used_bytes = static_cast<uint32_t>(interpreter->arena_used_bytes());
  print_boot(device, control);
  static TflmGraph graph(*interpreter, split_port::argument_or("hang_at", 0));
  running.graph = &graph;
  return &running;
}

int run_device(const DeviceDescription& device) {
  TextLine why;
  Running* const running = set_up(device, nullptr, &why);
  if (running == nullptr) {
    print("BROKEN: ");
    print(why.text());
    print("\n");
    return kConfigStatus;
  }
  if (running->graph == nullptr) {
    // The links of a device that cannot run its graph: others need them, and the host asks.
    running->runner->set_broken(why);
    while (true) running->runner->turn();
  }
  running->runner->serve(*running->graph,
                         static_cast<uint32_t>(split_port::argument_or("inferences", 0)));
  return 0;
}

}  // namespace split_tflm
