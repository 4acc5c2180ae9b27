// SPDX-License-Identifier: Apache-2.0
// A whole device (links, control, exchange, runner, and a graph that sends and receives) between real
// nodes on hostile wires: two ranks of its ring and the host. Afterwards wires and neighbours are
// honest again, and the device must be as good as new.
//
// Input: options, then at every step of time a byte that names an event (0: none), and at every frame
// to the device one that names an attack (hostile_wire.h), each with what it needs.
#include "hostile_wire.h"
#include "split_device/device_runner.h"

namespace {

using namespace split_core;
using namespace split_device;
using fuzz::HostileWire;
using fuzz::Input;
using fuzz::WireEnd;

constexpr uint8_t kRank = 1, kWorldSize = 3, kHost = 3, kNodes = 4;
constexpr uint8_t kNeighbours = 3;  // link of the device -> rank
constexpr uint8_t kRankOf[kNeighbours] = {0, 2, kHost};
constexpr uint32_t kStepUs = 500;
constexpr uint32_t kTimeoutUs = 60'000;
constexpr int kStepsOfInference = 400;

struct ManualClock final : Clock {
  uint32_t now_us() override { return time_us; }
  void idle() override {
    if (on_idle != nullptr) on_idle();
  }
  uint32_t time_us = 0;
  void (*on_idle)() = nullptr;
};

// ---- What is computed ----

// Sizes of the messages, by channel and who sends; the device's own inputs and outputs besides.
constexpr uint16_t kPiece = 1, kTerms = 2, kShard = 3, kWindow = 4, kTransit = 9;
constexpr size_t kInputBytes = 24, kMoreBytes = 40, kOutputBytes = 24;
constexpr size_t kPieceBytes = 16, kTermBytes = 32, kShardBytes = 24, kTransitBytes = 300;

uint8_t value_of(uint16_t channel, size_t index) {
  return static_cast<uint8_t>(channel * 29 + index * 7 + 1);
}

void fill(std::vector<uint8_t>* bytes, uint16_t channel) {
  for (size_t i = 0; i < bytes->size(); ++i) (*bytes)[i] = value_of(channel, i);
}

uint8_t output_at(size_t i, uint8_t input, uint8_t more, uint8_t piece, uint8_t term) {
  return static_cast<uint8_t>(input + 3 * more + 5 * piece + 7 * term + i);
}

uint8_t wanted_output_at(size_t i) {
  return output_at(i, value_of(kInputChannel, i), value_of(kInputChannel + 1, i),
                   value_of(kPiece, i % kPieceBytes), value_of(kTerms, i));
}

// ---- Neighbours: real nodes ----

class Neighbour final : public DatagramHandler {
 public:
  Neighbour(uint8_t rank, const NodeConfig& shared, HostileWire* wire, Clock* clock)
      : rank_(rank), clock_(clock), end_(wire, false), config_(shared) {
    link_.peer_rank = kRank;
    link_.destinations = ((1u << kNodes) - 1u) & ~(1u << rank);
    config_.rank = rank;
    config_.link_count = 1;
    config_.links = &link_;
    reset();
  }

  // As after a reset of the board.
  void reset() {
    ++config_.boot_nonce;
    const size_t bytes = Node::required_bytes(config_);
    memory_.assign(bytes / 8, 0);
    ByteStream* const streams[] = {&end_};
    node_ = Node::create(memory_.data(), bytes, config_, streams, *clock_, this);
    REQUIRE(node_ != nullptr);
  }

  void begin(uint16_t epoch) {
    report = Report();
    report_epoch = static_cast<uint16_t>(epoch - 1);
    node_->communicator().begin_epoch(epoch);
    if (rank_ == kHost) {
      send(kInputChannel, 1u << kRank, kInputBytes, 0);
      send(kInputChannel + 1, 1u << kRank, kMoreBytes, 1);
      receive(kOutputChannel, kRank, kOutputBytes, 0);
    } else if (rank_ == 0) {
      send(kPiece, 1u << kRank, kPieceBytes, 0);
      send(kTransit, 1u << kRank | 1u << 2, kTransitBytes, 1);
      receive(kShard, kRank, kShardBytes, 0);
      receive(kWindow, kRank, kPieceBytes, 1);
    } else {
      send(kTerms, 1u << kRank, kTermBytes, 0);
      receive(kShard, kRank, kShardBytes, 0);
      receive(kTransit, 0, kTransitBytes, 1);
    }
  }

  void poll() {
    if (busy_steps > 0) {
      --busy_steps;
    } else {
      node_->poll();
    }
  }

  void tell(const uint8_t* message, size_t bytes) {
    node_->communicator().send_datagram(1u << kRank, kControlChannel, ConstBytes(message, bytes));
  }

  void on_datagram(uint8_t source, uint16_t channel, ConstBytes payload) override {
    MessageType type;
    if (source != kRank || channel != kControlChannel || !message_type(payload, &type)) return;
    if (type == MessageType::kInfo) REQUIRE(payload.size() == Info::kBytes);
    if (type == MessageType::kReport) {
      REQUIRE(payload.size() == Report::kBytes);
      report.status = static_cast<ReportStatus>(payload[2]);
      report_epoch = load_le<uint16_t>(payload.data() + 8);
    }
    has_info |= type == MessageType::kInfo;
  }

  Node& node() { return *node_; }
  const std::vector<uint8_t>& received(size_t index) const { return in_[index]; }

  Report report;
  uint16_t report_epoch = 0;
  bool has_info = false;
  int busy_steps = 0;

 private:
  void send(uint16_t channel, uint64_t ranks, size_t bytes, size_t index) {
    out_[index].assign(bytes, 0);
    fill(&out_[index], channel);
    node_->communicator().post_send(
        channel, ranks, StridedBox::flat(out_[index].data(), static_cast<uint32_t>(bytes)));
  }
  void receive(uint16_t channel, uint8_t from, size_t bytes, size_t index) {
    in_[index].assign(bytes, 0);
    node_->communicator().begin_recv(
        channel, from, StridedBox::flat(in_[index].data(), static_cast<uint32_t>(bytes)));
  }

  uint8_t rank_;
  Clock* clock_;
  WireEnd end_;
  LinkConfig link_;
  NodeConfig config_;
  std::vector<uint64_t> memory_;
  Node* node_ = nullptr;
  std::vector<uint8_t> out_[2], in_[2];
};

// ---- The device's graph ----

// Tensors in memory of their own; what lies around the boxes that arrive must stay as it was.
class FakeGraph final : public Graph {
 public:
  explicit FakeGraph(Exchange* exchange) : exchange_(*exchange) {}

  size_t input_count() const override { return 2; }
  size_t output_count() const override { return 1; }
  MutableBytes input(size_t index) override { return index == 0 ? of(in_, kInputBytes) : of(more_, kMoreBytes); }
  MutableBytes output(size_t) override { return of(out_, kOutputBytes); }

  bool invoke() override {
    for (size_t i = 0; i < kMapBytes; ++i) x_[i] = static_cast<uint8_t>(i), y_[i] = kAround;
    std::memset(sum_.get(), 0, kTermBytes);
    if (!exchange_transfers()) return false;
    for (size_t i = 0; i < kMapBytes; ++i) REQUIRE(x_[i] == i);
    for (size_t i = 0; i < kMapBytes; ++i) REQUIRE(is_inside(i) || y_[i] == kAround);
    for (size_t i = 0; i < kOutputBytes; ++i) {
      const size_t piece = i % kPieceBytes;  // the box is rows 1 and 2, columns 1 and 2 of 4x4x4
      const size_t at = ((1 + piece / 8) * 4 + 1 + piece / 4 % 2) * 4 + piece % 4;
      out_[i] = output_at(i, in_[i], more_[i], y_[at], sum_[i]);
    }
    return true;
  }

  // What a kernel is to the links: time, in which a ticker may poll them.
  void (*on_kernel)() = nullptr;

 private:
  static constexpr size_t kMapBytes = 64;
  static constexpr uint8_t kAround = 0xA5;

  static MutableBytes of(const std::unique_ptr<uint8_t[]>& bytes, size_t size) {
    return MutableBytes(bytes.get(), size);
  }
  static bool is_inside(size_t i) {
    const size_t row = i / 16, column = i / 4 % 4;
    return row >= 1 && row <= 2 && column >= 1 && column <= 2;
  }
  static StridedBox window_of(uint8_t* map) {
    constexpr uint32_t kShape[] = {1, 4, 4, 4}, kStart[] = {0, 1, 1, 0}, kStop[] = {1, 3, 3, 4};
    StridedBox box;
    REQUIRE(StridedBox::make(map, kShape, kStart, kStop, 1, &box));
    return box;
  }

  bool exchange_transfers() {
    {
      const Exchange::Transfer transfer(exchange_, "TFLSPLIT_SEND", Text{"x", 1});
      if (!exchange_.post(x_.get(), kShard, 0b101, StridedBox::flat(x_.get(), kShardBytes)) ||
          !exchange_.post(x_.get(), kWindow, 0b001, window_of(x_.get()))) {
        return false;
      }
    }
    on_kernel();
    {
      const Exchange::Transfer transfer(exchange_, "TFLSPLIT_RECV", Text{"y", 1});
      StridedBox terms = StridedBox::flat(sum_.get(), kTermBytes);
      terms.adds = true;
      const bool well = exchange_.receive(kPiece, 0, window_of(y_.get())) &&
                        exchange_.receive(kTerms, 2, terms) &&
                        exchange_.receive(kTransit, 0, StridedBox::flat(big_.get(), kTransitBytes));
      const void* const pending[] = {x_.get()};
      if (!well || !exchange_.wait(pending, 1)) return false;
    }
    on_kernel();
    return true;
  }

  Exchange& exchange_;
  std::unique_ptr<uint8_t[]> in_ = fuzz::exactly<uint8_t>(kInputBytes);
  std::unique_ptr<uint8_t[]> more_ = fuzz::exactly<uint8_t>(kMoreBytes);
  std::unique_ptr<uint8_t[]> x_ = fuzz::exactly<uint8_t>(kMapBytes);
  std::unique_ptr<uint8_t[]> y_ = fuzz::exactly<uint8_t>(kMapBytes);
  std::unique_ptr<uint8_t[]> sum_ = fuzz::exactly<uint8_t>(kTermBytes);
  std::unique_ptr<uint8_t[]> big_ = fuzz::exactly<uint8_t>(kTransitBytes);
  std::unique_ptr<uint8_t[]> out_ = fuzz::exactly<uint8_t>(kOutputBytes);
};

// ---- All of it ----

struct World;
World* g_world = nullptr;

uint64_t world_ticks();
uint32_t lost_bytes(uint8_t) { return 7; }
void print(const char* text) { REQUIRE(std::strlen(text) < 1000); }

NodeConfig config_of(uint8_t options) {
  NodeConfig config;
  config.rank = kRank;
  config.world_size = kWorldSize;
  config.node_count = kNodes;
  config.mtu_bytes = (options & 1) != 0 ? 256 : 512;
  config.rx_slots = (options & 2) != 0 ? 2 : 4;
  config.tx_slots = (options & 4) != 0 ? 1 : 4;
  config.send_slots = config.recv_slots = 3;
  config.grant_slots = 6;
  config.boot_nonce = 1000;
  config.timing.hello_interval_us = 4'000;
  config.timing.poll_interval_us = 3'000;
  config.timing.poll_interval_max_us = 12'000;
  config.timing.peer_timeout_us = 40'000;
  config.timing.multicast_hold_us = 5'000;
  return config;
}

struct World {
  World(Input* in, uint8_t options, uint16_t first_epoch)
      : input(in), epoch(first_epoch), config(config_of(options)) {
    g_world = this;
    clock.time_us = 0xFFFF'0000u;  // wraps soon
    for (uint8_t i = 0; i < kNeighbours; ++i) {
      wires[i] = std::make_unique<HostileWire>(in, &epoch, config.mtu_bytes);
      ends[i] = std::make_unique<WireEnd>(wires[i].get(), true);
      streams[i] = ends[i].get();
      neighbours[i] = std::make_unique<Neighbour>(kRankOf[i], config, wires[i].get(), &clock);
      links[i].peer_rank = kRankOf[i];
      links[i].destinations = 1u << kRankOf[i];
    }
    links[0].ring_next = 1;
    links[1].ring_next = 0;
    config.link_count = kNeighbours;
    config.links = links;
    const size_t bytes = Node::required_bytes(config);
    memory = fuzz::exactly<uint64_t>(bytes / 8);
    node = Node::create(memory.get(), bytes, config, streams, clock, &control);
    REQUIRE(node != nullptr);
    exchange = std::make_unique<Exchange>(*node, clock, world_ticks, posted, config.send_slots);
    if ((options & 8) != 0) {
      exchange->set_ticker({[] { g_world->ticking = false; }, [] { g_world->ticking = true; }});
    }
    control.info.board = "fuzz";
    const Board board = {&clock, world_ticks, 1'000'000, print, lost_bytes};
    runner = std::make_unique<DeviceRunner>(board, *node, *exchange, control, kTimeoutUs);
    graph = std::make_unique<FakeGraph>(exchange.get());
    graph->on_kernel = [] { g_world->kernel(); };
    clock.on_idle = [] { g_world->step(); };
  }

  Neighbour& host() { return *neighbours[2]; }

  void kernel() {
    for (int turn = 0; turn < 4; ++turn) {
      step();
      if (ticking) node->poll();
    }
  }

  void step() {
    clock.time_us += kStepUs;
    for (const auto& neighbour : neighbours) neighbour->poll();
    if (!honest && !input->empty()) happen(input->u8());
    if (++age % 20 == 0) start();
  }

  void happen(uint8_t event) {
    const uint8_t who = static_cast<uint8_t>((event >> 4) % kNeighbours);
    switch (event & 15) {
      case 1: neighbours[who]->reset(); break;
      case 2: wires[who]->lose_replies(input->u8()); break;
      case 3: clock.time_us += uint32_t{input->u16()} * 16; break;
      case 4: wires[who]->invent(); break;
      case 5: ask(static_cast<uint16_t>(input->u8())); break;
      case 6: start(static_cast<uint16_t>(epoch + input->u8()), input->u8()); break;
      case 7: neighbours[who]->busy_steps = input->u8(); break;
      case 8: fail(who, input->u8()); break;
      case 9: begin(static_cast<uint16_t>(epoch + 1)); break;
      default: break;
    }
  }

  void fail(uint8_t who, uint8_t code) {
    neighbours[who]->node().communicator().fail(static_cast<ErrorCode>(code % 20), kRank, 0, 3);
  }

  void ask(uint16_t what) {
    uint8_t message[kMaxControlBytes];
    Query query;
    query.what = what;
    query.token = 77;
    host().tell(message, pack(query, message));
  }

  void start() { start(epoch, 0); }
  void start(uint16_t number, uint32_t timeout_ms) {
    uint8_t message[kMaxControlBytes];
    Start start;
    start.epoch = number;
    start.timeout_ms = timeout_ms;
    host().tell(message, pack(start, message));
  }

  void begin(uint16_t number) {
    epoch = number;
    age = 0;
    for (const auto& neighbour : neighbours) neighbour->begin(number);
  }

  void turn() {
    // A device that was surveyed answers, and takes its plan up again: nothing is forgotten by then.
    node->was_surveyed(clock.now_us());
    if (control.has_start()) {
      runner->serve(*graph, 1);
    } else {
      runner->turn();
    }
  }

  // The device's own view of what came of an inference, as the host has it.
  bool is_reported() { return host().report_epoch == epoch && host().report.status != ReportStatus::kNone; }

  void be_attacked() {
    begin(epoch);
    while (!input->empty()) {
      turn();
      if (is_reported() || age > kStepsOfInference) begin(static_cast<uint16_t>(epoch + 1));
    }
  }

  template <typename Condition>
  bool becomes(Condition condition) {
    for (int left = kStepsOfInference; left > 0; --left) {
      if (condition()) return true;
      turn();
    }
    return false;
  }

  void recover() {
    honest = true;
    bool may_be_stopped = false;
    for (uint8_t i = 0; i < kNeighbours; ++i) {
      may_be_stopped |= wires[i]->has_forged_grants();
      wires[i]->make_honest();
      neighbours[i]->busy_steps = 0;
      neighbours[i]->reset();
    }
    REQUIRE(becomes([this] { return node->link_error().ok() && host().node().link_error().ok(); }));
    host().has_info = false;
    REQUIRE(becomes([this] {
      if (age % 8 == 0) ask(kAskInfo | kAskReport | kAskLinks | kAskText);  // there may be no room
      return host().has_info;
    }));
    if (!may_be_stopped) REQUIRE(infers());
  }

  bool infers() {
    for (int attempt = 0; attempt < 3; ++attempt) {
      const bool has_begun = (control.info.flags & Info::kEpochValid) != 0;
      const bool behind = has_begun && is_later(control.info.epoch, epoch);
      begin(static_cast<uint16_t>((behind ? control.info.epoch : epoch) + 1));
      becomes([this] { return is_reported() && host().node().communicator().recvs_complete(); });
      if (is_reported() && host().report.status == ReportStatus::kBroken) return true;
      if (!is_reported() || host().report.status != ReportStatus::kDone) continue;
      for (size_t i = 0; i < kOutputBytes; ++i) REQUIRE(host().received(0)[i] == wanted_output_at(i));
      return true;
    }
    return false;
  }

  Input* input;
  uint16_t epoch;
  int age = 0;
  bool honest = false;
  bool ticking = false;
  ManualClock clock;
  NodeConfig config;
  LinkConfig links[kNeighbours];
  std::unique_ptr<HostileWire> wires[kNeighbours];
  std::unique_ptr<WireEnd> ends[kNeighbours];
  ByteStream* streams[kNeighbours] = {};
  std::unique_ptr<Neighbour> neighbours[kNeighbours];
  std::unique_ptr<uint64_t[]> memory;
  Control control;
  Node* node = nullptr;
  PostedSend posted[3];
  std::unique_ptr<Exchange> exchange;
  std::unique_ptr<DeviceRunner> runner;
  std::unique_ptr<FakeGraph> graph;
};

uint64_t world_ticks() { return g_world->clock.time_us; }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  const uint8_t options = input.u8();
  World world(&input, options, input.u16());
  if ((options & 128) != 0) world.runner->set_broken(TextLine().add("for a test"));
  world.be_attacked();
  world.recover();
  return 0;
}
