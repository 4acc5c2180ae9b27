// SPDX-License-Identifier: Apache-2.0
// Composition: the board's streams become links, links a node, node and interpreter a device.
#include "split_tflm/run_device.h"

#include <cstring>
#include <new>
#include <utility>

#include "bank_planner.h"
#include "running.h"
#include "split_port/ethernet_frame.h"
#include "split_port/port.h"
#include "survey_mode.h"
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

template <typename T>
alignas(T) uint8_t g_memory_of[sizeof(T)];

// An object that is made anew when the device takes up a plan, its first or a later one. It owns
// nothing outside of itself, so its forerunner is not destroyed. One of each type.
template <typename T, typename... Arguments>
T* anew(Arguments&&... arguments) {
  return new (g_memory_of<T>) T{std::forward<Arguments>(arguments)...};
}

enum class Begun : uint8_t { kNo, kYes, kNever };

const DeviceDescription* g_device = nullptr;
Node* g_node = nullptr;
Watchdog g_watchdog;
Begun g_ticks = Begun::kNo;
Begun g_board_watchdog = Begun::kNo;

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

// Before the first stream: where all of them share an Ethernet, they are told apart by it.
void join_segment(const DeviceDescription& device) {
  const NodeConfig& node = device.node;
  split_port::SegmentPlace place;
  place.rank = node.rank;
  place.world_size = node.world_size;
  std::memcpy(place.plan, node.fingerprint, sizeof place.plan);
  place.mtu_bytes = node.mtu_bytes;
  for (uint8_t i = 0; i < node.link_count; ++i) {
    place.has_host = place.has_host || device.ports[i] == kHostPort;
  }
  split_port::join_segment(place);
}

Node* make_node(const DeviceDescription& device, Control* control,
                split_core::ByteStream* host_stream) {
  join_segment(device);
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
  if (period_us == 0) return {};
  if (g_ticks == Begun::kNo) {
    g_ticks = split_port::start_ticks(poll, period_us) ? Begun::kYes : Begun::kNever;
  }
  if (g_ticks == Begun::kNever) return {};
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
  const uint32_t board_ms = has_ticks && limit_ms > kWatchdogMs ? kWatchdogMs : limit_ms;
  if (g_board_watchdog == Begun::kNo) {
    g_board_watchdog = split_port::start_watchdog(board_ms) ? Begun::kYes : Begun::kNever;
  }
  if (g_board_watchdog == Begun::kNever) return;
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
  // Registered once: a resolver refuses an operator that it has.
  static const api::MicroOpResolver* resolver = nullptr;
  if (!check_model(device, why)) return nullptr;
  if (resolver == nullptr && device.resolve(&resolver) != kTfLiteOk) {
    why->add("the operators cannot be registered");
    return nullptr;
  }
  BankPlanner* planner = nullptr;
  api::MicroInterpreter* interpreter;
  const api::Model* const model = api::GetModel(device.model);
  if (device.bank_count == 0) {
    interpreter = anew<api::MicroInterpreter>(model, *resolver, device.arena, device.arena_bytes);
  } else {
    if (!find_banks(device, why)) return nullptr;
    planner = anew<BankPlanner>(device);
    api::MicroAllocator* const allocator =
        api::MicroAllocator::Create(device.arena, device.arena_bytes, planner);
    interpreter = anew<api::MicroInterpreter>(model, *resolver, allocator);
  }
  interpreter->SetMicroExternalContext(&exchange);
  if (allocate(device, *interpreter, exchange, why)) return interpreter;
  if (planner != nullptr && planner->problem() != nullptr) {
    why->clear();
    why->add(planner->problem());
  }
  return nullptr;
}

}  // namespace

void show_life() { g_watchdog.alive(); }

Running* set_up(const DeviceDescription& device, split_core::ByteStream* host_stream,
                TextLine* why) {
  g_device = &device;
  Control& control = *anew<Control>();
  Node* const node = make_node(device, &control, host_stream);
  if (node == nullptr) {
    why->add("this board has not the links that the plan wants");
    return nullptr;
  }
  g_node = node;
  describe(device, *node, &control);
  for (uint8_t i = 0; i < device.node.send_slots; ++i) device.posted[i] = {};
  Exchange& exchange = *anew<Exchange>(*node, split_port::clock(), split_port::ticks, device.posted,
                                       device.node.send_slots);
  const split_device::Ticker ticker = start_ticker(device.background_poll_us);
  exchange.set_ticker(ticker);
  // An application does as it likes between two inferences.
  if (host_stream == nullptr) start_watchdog(device, ticker.exists(), &exchange);
  Running& running = *anew<Running>(
      anew<DeviceRunner>(board(), *node, exchange, control, device.timeout_us), nullptr);
  api::MicroInterpreter* const interpreter = make_interpreter(device, exchange, why);
  if (interpreter == nullptr) return &running;
  control.info.arena_used_bytes = static_cast<uint32_t>(interpreter->arena_used_bytes());
  print_boot(device, control);
  running.runner->set_next_input(
      split_core::MutableBytes(device.next_input, device.next_input_bytes));
  running.graph = anew<TflmGraph>(*interpreter, split_port::argument_or("hang_at", 0));
  return &running;
}

namespace {

// Until somebody surveys, or after so many inferences; 0: no limit. Returns how many there were.
uint32_t serve(Running& running, const TextLine& why, uint32_t inferences) {
  if (running.graph != nullptr) return running.runner->serve(*running.graph, inferences);
  // The links of a device that cannot run its graph: others need them, and the host asks.
  running.runner->set_broken(why);
  while (!running.runner->is_surveyed()) running.runner->turn();
  return 0;
}

}  // namespace

int run_device(const DeviceDescription& device) {
  auto left = static_cast<uint32_t>(split_port::argument_or("inferences", 0));
  const bool is_limited = left > 0;
  while (true) {
    TextLine why;
    Running* const running = set_up(device, nullptr, &why);
    if (running == nullptr) {
      print("BROKEN: ");
      print(why.text());
      print("\n");
      return kConfigStatus;
    }
    const uint32_t served = serve(*running, why, left);
    if (is_limited && (left -= served) == 0) return 0;
    serve_survey(device, g_node->config().boot_nonce, show_life);
  }
}

}  // namespace split_tflm
