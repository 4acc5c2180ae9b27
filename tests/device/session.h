// SPDX-License-Identifier: Apache-2.0
// A device and its host, as a test sees them: rank 0 is the device, rank 1 the host.
#ifndef TESTS_DEVICE_SESSION_H_
#define TESTS_DEVICE_SESSION_H_

#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "sim.h"
#include "split_core/endian.h"
#include "split_device/device_runner.h"

namespace device_session {

using namespace sim;
using namespace split_device;

inline constexpr size_t kBytes = 16;

inline std::string g_printed;
inline Cluster* g_cluster = nullptr;
inline uint64_t ticks_of_clock() { return g_cluster->clock().elapsed_us(); }
inline uint32_t lost_bytes(uint8_t link) { return 40u + link; }

// Adds one to every byte; or fails, with or without saying why.
struct FakeGraph final : Graph {
  explicit FakeGraph(Exchange& to) : exchange(to) {}
  size_t input_count() const override { return 1; }
  size_t output_count() const override { return 1; }
  MutableBytes input(size_t) override { return MutableBytes(in, kBytes); }
  MutableBytes output(size_t) override { return MutableBytes(out, kBytes); }
  bool invoke() override {
    ++invoked;
    if (on_invoke != nullptr) on_invoke(context);
    if (refuses) exchange.refuse("TFLSPLIT_CONV_2D", "pads", "is missing");
    for (size_t i = 0; i < kBytes; ++i) out[i] = static_cast<uint8_t>(in[i] + 1);
    return !fails && !refuses;
  }
  Exchange& exchange;
  uint8_t in[kBytes] = {}, out[kBytes] = {};
  int invoked = 0;
  void (*on_invoke)(void*) = nullptr;
  void* context = nullptr;
  bool fails = false, refuses = false;
};

struct Session {
  Session() : cluster(Options()) {
    g_cluster = &cluster;
    g_printed.clear();
    for (const uint8_t rank : {uint8_t{0}, uint8_t{1}}) {
      cluster.config(rank).world_size = 1;
      cluster.reset(rank);
    }
    cluster.clock().on_idle = [](void* context) { static_cast<Session*>(context)->pass(); };
    cluster.clock().context = this;
    control.info.board = "pretended";
    exchange = std::make_unique<Exchange>(cluster.node(0), cluster.clock(), ticks_of_clock, posted, 8);
    const Board board = {&cluster.clock(), ticks_of_clock, 1'000'000,
                         [](const char* text) { g_printed += text; }, lost_bytes};
    runner = std::make_unique<DeviceRunner>(board, cluster.node(0), *exchange, control, 60'000);
    graph = std::make_unique<FakeGraph>(*exchange);
    control.info.inputs = control.info.outputs = 1;
  }

  // One step of time; datagrams reach their handler outside of the node's own poll.
  void pass() {
    if (on_step != nullptr) on_step(*this);
    cluster.step();
    for (const Datagram& message : cluster.datagrams(0)) {
      const ConstBytes payload(message.payload.data(), message.payload.size());
      control.on_datagram(message.source, message.channel, payload);
    }
    cluster.datagrams(0).clear();
  }

  void turns(int count) {
    while (count-- > 0) {
      if (control.has_start()) {
        runner->serve(*graph, 1);
      } else if (control.has_queued()) {
        runner->serve_once(*graph);
      } else {
        runner->turn();
      }
    }
  }
  void connect() {
    const auto is_up = [this] {
      return cluster.node(0).link_error().ok() && cluster.node(1).link_error().ok();
    };
    for (int left = 10'000; left > 0 && !is_up(); --left) turns(1);
    turns(1);
    EXPECT(is_up());
  }

  Communicator& host() { return cluster.node(1).communicator(); }
  template <typename Message>
  void tell(const Message& message, uint16_t channel = kControlChannel) {
    uint8_t bytes[kMaxControlBytes];
    const size_t size = pack(message, bytes);
    EXPECT(host().send_datagram(rank_bit(0), channel, ConstBytes(bytes, size)));
  }
  void start(uint16_t epoch, uint32_t timeout_ms = 0, uint8_t flags = 0) {
    Start message;
    message.epoch = epoch;
    message.timeout_ms = timeout_ms;
    message.flags = flags;
    tell(message);
  }
  void ask(uint16_t what) {
    Query message;
    message.what = what;
    message.token = 0xABCD;
    tell(message);
  }
  // Host's side of an inference, input included.
  void begin(uint16_t epoch) {
    host().begin_epoch(epoch);
    EXPECT(host().post_send(kInputChannel, rank_bit(0), StridedBox::flat(sent, kBytes)).ok());
    EXPECT(host().begin_recv(kOutputChannel, 0, StridedBox::flat(got, kBytes)).ok());
  }

  // The last message of a type that the host got; empty if none came.
  std::vector<uint8_t> last(MessageType type) {
    std::vector<uint8_t> found;
    for (const Datagram& message : cluster.datagrams(1)) {
      if (message.payload.at(1) == static_cast<uint8_t>(type)) found = message.payload;
    }
    return found;
  }
  size_t count(MessageType type) {
    size_t found = 0;
    for (const Datagram& message : cluster.datagrams(1)) {
      found += message.payload.at(1) == static_cast<uint8_t>(type) ? 1 : 0;
    }
    return found;
  }
  // Of the last REPORT, which there must be.
  ReportStatus status() {
    const std::vector<uint8_t> report = last(MessageType::kReport);
    EXPECT_EQ(report.size(), Report::kBytes);
    return static_cast<ReportStatus>(report.empty() ? 255 : report[2]);
  }
  uint16_t epoch() {
    const std::vector<uint8_t> report = last(MessageType::kReport);
    return report.empty() ? uint16_t{0} : load_le<uint16_t>(report.data() + 8);
  }
  std::string words() {
    const std::vector<uint8_t> text = last(MessageType::kText);
    return text.empty() ? "" : std::string(text.begin() + 8, text.begin() + 8 + text[2]);
  }
  bool printed(const char* words) const { return g_printed.find(words) != std::string::npos; }

  Cluster cluster;
  Control control;
  PostedSend posted[8];
  std::unique_ptr<Exchange> exchange;
  std::unique_ptr<DeviceRunner> runner;
  std::unique_ptr<FakeGraph> graph;
  void (*on_step)(Session&) = nullptr;
  uint8_t sent[kBytes] = {1, 2, 3, 4}, got[kBytes] = {};
};

}  // namespace device_session

#endif  // TESTS_DEVICE_SESSION_H_
