// SPDX-License-Identifier: Apache-2.0
// Surveys over simulated wires: boards in any wiring, and a host that knows nothing of it.
#include <memory>
#include <vector>

#include "check.h"
#include "sim.h"
#include "split_core/endian.h"
#include "split_deploy/survey_desk.h"

namespace {

using namespace sim;
using namespace split_deploy;

using Bytes = std::vector<uint8_t>;
constexpr uint8_t kPorts = 2;

void nothing() {}

// A board with two ports and a host link, each of which may be joined to another's.
struct TestBoard {
  Identity identity;
  Refusal why;
  std::unique_ptr<SurveyDesk> desk;
  std::vector<std::unique_ptr<PipeStream>> streams;
  std::vector<uint64_t> memory;
  Survey* survey = nullptr;
};

class Bench {
 public:
  explicit Bench(size_t boards) : clock_(0xFFFFF000u), nowhere_(clock_, 1, 64, 64, 1) {
    nowhere_.cut = true;
    for (size_t i = 0; i < boards; ++i) {
      auto board = std::make_unique<TestBoard>();
      board->identity.id[0] = static_cast<uint8_t>(i + 1);
      board->identity.ports = kPorts;
      board->identity.board = "pretended";
      board->identity.work_bytes = 64 * 1024;
      boards_.push_back(std::move(board));
      for (size_t port = 0; port <= kPorts; ++port) out_.push_back(nullptr);
    }
  }

  // Port kPorts stands for the host link.
  void join(size_t a, size_t port_a, size_t b, size_t port_b) {
    wire(a, port_a) = pipe();
    wire(b, port_b) = pipe();
    peer_.push_back({a * (kPorts + 1) + port_a, b * (kPorts + 1) + port_b});
  }

  void begin() {
    join_host();
    for (size_t i = 0; i < boards_.size(); ++i) {
      TestBoard& board = *boards_[i];
      board.why.code = RefusalCode::kTooLittleMemory;
      board.why.number = 640;
      board.why.text = "the arena is too small";
      board.desk = std::make_unique<SurveyDesk>(board.identity, board.why);
      SurveyPort ports[kPorts + 1];
      for (uint8_t port = 0; port <= kPorts; ++port) {
        const size_t end = i * (kPorts + 1) + port;
        board.streams.push_back(std::make_unique<PipeStream>(in(end), out(end)));
        ports[port] = {board.streams.back().get(), port == kPorts ? kHostPort : port};
      }
      const size_t bytes = Survey::required_bytes(kPorts + 1, queued_frames);
      board.memory.resize((bytes + 7) / 8);
      const size_t least = Survey::required_bytes(kPorts + 1);
      EXPECT(Survey::create(board.memory.data(), least - 1, ports, kPorts + 1, *board.desk) ==
             nullptr);
      board.survey = Survey::create(board.memory.data(), bytes, ports, kPorts + 1, *board.desk);
      EXPECT(board.survey != nullptr);
    }
  }

  void step() {
    for (auto& board : boards_) board->survey->poll(clock_.now_us());
    clock_.advance(20);
    encoder_.write_to(*host_);
    uint8_t bytes[64];
    const size_t count = host_->read(MutableBytes(bytes, sizeof bytes));
    for (size_t taken = 0; taken < count;) {
      FrameDecoder::Event event;
      taken += decoder_.push(ConstBytes(bytes + taken, count - taken), &event);
      if (event != FrameDecoder::Event::kFrame) continue;
      FrameHeader header;
      EXPECT(load_header(landing_, decoder_.frame_bytes(), &header) == HeaderError::kNone);
      EXPECT(header.type == FrameType::kSurvey && header.source == 0xFF);
      got.emplace_back(landing_ + kHeaderBytes, landing_ + decoder_.frame_bytes());
    }
  }

  void send(const Bytes& payload) {
    sent_ = payload;
    FrameHeader header;
    header.type = FrameType::kSurvey;
    header.source = 0xFF;
    encoder_.start(header, ConstBytes(sent_.data(), sent_.size()));
    while (!encoder_.done()) step();
  }

  Bytes encoded(const Bytes& payload) {
    Pipe whole(clock_, 1e6, 4096, 4096, 1);
    PipeStream stream(whole, whole);
    FrameHeader header;
    header.type = FrameType::kSurvey;
    header.source = 0xFF;
    FrameEncoder encoder;
    encoder.start(header, ConstBytes(payload.data(), payload.size()));
    encoder.write_to(stream);
    clock_.advance(1);
    Bytes bytes(1024);
    bytes.resize(stream.read(MutableBytes(bytes.data(), bytes.size())));
    return bytes;
  }
  // All of it is there for the gateway at once.
  void push(const Bytes& bytes) {
    size_t taken = 0;
    while (taken < bytes.size()) {
      taken += host_->write(ConstBytes(bytes.data() + taken, bytes.size() - taken));
      clock_.advance(1'000);
    }
  }

  // The answer's payload; empty if none comes.
  Bytes ask(SurveyKind kind, const Bytes& out, const Bytes& body = {}) {
    got.clear();
    send(request(kind, out, body));
    for (int left = 6'000; left > 0 && got.empty(); --left) step();
    return got.empty() ? Bytes{} : got[0];
  }

  static Bytes request(SurveyKind kind, const Bytes& out, const Bytes& body = {}) {
    Bytes payload = {1, static_cast<uint8_t>(kind), static_cast<uint8_t>(out.size()), 0, 7, 0, 0, 9};
    payload.insert(payload.end(), out.begin(), out.end());
    payload.insert(payload.end(), out.size(), 0);
    payload.insert(payload.end(), body.begin(), body.end());
    return payload;
  }

  TestBoard& board(size_t index) { return *boards_[index]; }
  SimClock& clock() { return clock_; }
  std::vector<Bytes> got;
  uint8_t queued_frames = Survey::kLeastQueuedFrames;

 private:
  Pipe* pipe() {
    pipes_.push_back(std::make_unique<Pipe>(clock_, 0.6, 64, 2048, 1));
    return pipes_.back().get();
  }
  Pipe*& wire(size_t board, size_t port) { return out_[board * (kPorts + 1) + port]; }
  Pipe& out(size_t end) { return out_[end] == nullptr ? nowhere_ : *out_[end]; }
  Pipe& in(size_t end) {
    if (end == kPorts) return *to_gateway_;
    for (const auto& [a, b] : peer_) {
      if (a == end) return out(b);
      if (b == end) return out(a);
    }
    return nowhere_;
  }
  void join_host() {
    to_gateway_ = pipe();
    wire(0, kPorts) = pipe();
    host_ = std::make_unique<PipeStream>(*wire(0, kPorts), *to_gateway_);
  }

  SimClock clock_;
  Pipe nowhere_;
  std::vector<std::unique_ptr<Pipe>> pipes_;
  std::vector<Pipe*> out_;
  std::vector<std::pair<size_t, size_t>> peer_;
  std::vector<std::unique_ptr<TestBoard>> boards_;
  Pipe* to_gateway_ = nullptr;
  std::unique_ptr<PipeStream> host_;
  uint8_t landing_[kMinMtuBytes];
  FrameDecoder decoder_{MutableBytes(landing_, sizeof landing_)};
  FrameEncoder encoder_;
  Bytes sent_;
};

// A line: port 1 of each to port 0 of the next.
std::unique_ptr<Bench> line(size_t boards) {
  auto bench = std::make_unique<Bench>(boards);
  for (size_t i = 0; i + 1 < boards; ++i) bench->join(i, 1, i + 1, 0);
  bench->begin();
  return bench;
}

SurveyKind kind_of(const Bytes& payload) {
  return payload.size() < 2 ? SurveyKind{0} : static_cast<SurveyKind>(payload[1]);
}
uint8_t code_of(const Bytes& payload) {
  const size_t at = payload.size() < 3 ? 0 : 8u + 2u * payload[2];
  return payload.size() > at ? payload[at] : uint8_t{0xEE};
}

Bytes adoption(uint8_t port = kHostPort, uint8_t rank = 0) {
  Bytes body(Adoption::kHeadBytes + Adoption::kLinkBytes, 0);
  body[16] = rank;
  body[17] = 1;
  body[18] = 2;
  body[19] = 1;
  store_le<uint16_t>(body.data() + 20, 256);
  body[22] = body[23] = 4;
  store_le<uint32_t>(body.data() + 24, 20'000);
  store_le<uint32_t>(body.data() + 28, 2'000'000);
  body[32] = port;
  body[33] = 1;
  body[34] = kNoLink;
  body[35] = 2;
  return body;
}

}  // namespace

TEST(a_request_finds_its_way_and_its_answer_comes_back) {
  auto bench = line(3);
  const Bytes near = bench->ask(SurveyKind::kIdentify, {});
  EXPECT_EQ(near.size(), 8 + Identity::kBytes);
  EXPECT_EQ(near[8], 1);
  EXPECT_EQ(near[8 + 36], kHostPort);
  const Bytes far = bench->ask(SurveyKind::kIdentify, {1, 1});
  EXPECT_EQ(far.size(), 12 + Identity::kBytes);
  EXPECT(kind_of(far) == SurveyKind::kIdentity);
  EXPECT(Bytes(far.begin() + 2, far.begin() + 12) == Bytes({2, 2, 7, 0, 0, 9, 0, 0, 1, 1}));
  const uint8_t* const identity = far.data() + 12;
  EXPECT_EQ(identity[0], 3);
  EXPECT(std::memcmp(identity + 16, "pretended\0\0\0\0\0\0", 16) == 0);
  EXPECT_EQ(identity[36], 0);  // came by port 0
  EXPECT_EQ(identity[37], kPorts);
  EXPECT_EQ(load_le<uint32_t>(identity + 44), 64u * 1024);
  EXPECT_EQ(identity[56], kDeployVersion);
  EXPECT_EQ(identity[90], kNoRank);
  EXPECT_EQ(bench->got.size(), 1u);
}

TEST(a_port_that_leads_nowhere_or_does_not_exist_gives_silence) {
  auto bench = line(2);
  EXPECT(bench->ask(SurveyKind::kIdentify, {0}).empty());
  EXPECT(bench->ask(SurveyKind::kIdentify, {9}).empty());
  EXPECT(bench->ask(SurveyKind::kIdentify, {1, 1}).empty());
  EXPECT(bench->ask(SurveyKind::kIdentify, {kHostPort}).empty());
  EXPECT(!bench->ask(SurveyKind::kIdentify, {1}).empty());
}

TEST(a_ring_is_seen_from_both_sides_and_a_way_may_turn_back) {
  auto bench = std::make_unique<Bench>(3);
  bench->join(0, 1, 1, 0);
  bench->join(1, 1, 2, 1);  // crossed
  bench->join(2, 0, 0, 0);
  bench->begin();
  EXPECT_EQ(bench->ask(SurveyKind::kIdentify, {1, 1})[12], 3);
  EXPECT_EQ(bench->ask(SurveyKind::kIdentify, {0})[10], 3);
  EXPECT_EQ(bench->ask(SurveyKind::kIdentify, {1, 1, 0})[14], 1);
  EXPECT_EQ(bench->ask(SurveyKind::kIdentify, {1, 0, 1})[14], 2);
  EXPECT(bench->ask(SurveyKind::kIdentify, Bytes(kMaxHops, 1)).size() > 0);
}

TEST(frames_that_make_no_sense_are_dropped) {
  auto bench = line(2);
  const Bytes sound = Bench::request(SurveyKind::kIdentify, {1});
  const auto with = [&sound](size_t at, uint8_t value) {
    Bytes changed = sound;
    changed[at] = value;
    return changed;
  };
  for (const Bytes& payload : {with(0, 2), with(2, 64), with(2, 2), with(3, 2), with(3, 1), Bytes{1, 1},
                               Bench::request(SurveyKind::kIdentify, {1}, Bytes(97, 0)),
                               with(1, 129)}) {
    bench->got.clear();
    bench->send(payload);
    for (int i = 0; i < 500; ++i) bench->step();
    EXPECT(bench->got.empty());
  }
  EXPECT(!bench->ask(SurveyKind::kIdentify, {1}).empty());
}

TEST(what_a_device_does_not_know_is_refused) {
  auto bench = line(1);
  EXPECT_EQ(code_of(bench->ask(static_cast<SurveyKind>(9), {})), 6);
  EXPECT_EQ(code_of(bench->ask(SurveyKind::kIdentify, {}, {1})), 1);
  EXPECT_EQ(code_of(bench->ask(SurveyKind::kRun, {})), 1);
  EXPECT_EQ(code_of(bench->ask(SurveyKind::kRun, {}, {0})), 4);
  EXPECT(kind_of(bench->ask(SurveyKind::kEcho, {})) == SurveyKind::kEchoed);
  bench->board(0).identity.state = DeployState::kBroken;
  const Bytes broken = bench->ask(SurveyKind::kRun, {}, {0});
  EXPECT_EQ(code_of(broken), 3);
  EXPECT_EQ(load_le<uint32_t>(broken.data() + 12), 640u);
  EXPECT(std::memcmp(broken.data() + 16, "the arena is too small", 22) == 0);
  bench->board(0).identity.state = DeployState::kFixed;
  EXPECT_EQ(code_of(bench->ask(SurveyKind::kAdopt, {}, adoption())), 5);
}

TEST(an_adoption_is_checked) {
  auto bench = line(2);
  const auto code = [&bench](size_t at, uint8_t value) {
    Bytes body = adoption();
    body[at] = value;
    return code_of(bench->ask(SurveyKind::kAdopt, {}, body));
  };
  for (const auto& [at, value] : std::vector<std::pair<size_t, uint8_t>>{
           {16, 1}, {17, 0}, {18, 3}, {20, 1}, {22, 1}, {23, 0}, {32, kPorts}, {33, 9}, {35, 1}}) {
    EXPECT_EQ(code(at, value), 2);
  }
  EXPECT_EQ(code(19, 2), 1);
  EXPECT_EQ(code(27, 0x80), 2);
  EXPECT_EQ(code(31, 0x80), 2);
  EXPECT_EQ(code_of(bench->ask(SurveyKind::kAdopt, {}, Bytes(31, 0))), 1);
  Bytes twice = adoption();
  twice[19] = 2;
  twice.insert(twice.end(), twice.begin() + 32, twice.begin() + 43);
  EXPECT_EQ(code_of(bench->ask(SurveyKind::kAdopt, {}, twice)), 2);
  bench->board(0).identity.rx_ring_bytes = 4 * 260 + 255;  // a byte less than four frames want
  EXPECT_EQ(code(0, 1), 2);
  bench->board(0).identity.rx_ring_bytes = 4 * 260 + 256;
  bench->board(0).identity.work_bytes = 1000;
  const Bytes small = bench->ask(SurveyKind::kAdopt, {}, adoption());
  EXPECT_EQ(code_of(small), 3);
  const NodeConfig& config = bench->board(0).desk->adoption().config;
  EXPECT_EQ(load_le<uint32_t>(small.data() + 12), session_bytes(config) - 1000);
  EXPECT(kind_of(bench->ask(SurveyKind::kAdopt, {1}, adoption(0))) == SurveyKind::kAdopted);
}

namespace {

// The last board's desk serves; the bench's other parts move when it sleeps.
Mode serve(Bench& bench, size_t index) {
  static Bench* moved;
  moved = &bench;
  bench.clock().on_idle = [](void*) { moved->step(); };
  return bench.board(index).desk->serve(*bench.board(index).survey, bench.clock(), nothing);
}

}  // namespace

TEST(a_queue_takes_as_many_frames_as_memory_allows) {
  for (const uint8_t frames : {Survey::kLeastQueuedFrames, Survey::kQueuedFrames}) {
    Bench bench(1);
    bench.queued_frames = frames;
    bench.begin();
    // More than leave at once: all that come in one poll, and the port takes 64 bytes.
    Bytes all;
    for (int i = 0; i < 7; ++i) {
      const Bytes frame = bench.encoded(Bench::request(SurveyKind::kIdentify, {}));
      all.insert(all.end(), frame.begin(), frame.end());
    }
    bench.push(all);
    for (int i = 0; i < 5'000; ++i) bench.step();
    EXPECT_EQ(bench.got.size(), frames);
  }
}

TEST(a_device_that_is_adopted_or_sent_away_answers_before_it_goes) {
  for (const bool adopts : {true, false}) {
    auto bench = line(1);
    bench->board(0).identity.slices = 3;
    bench->board(0).identity.slice = 2;
    bench->got.clear();
    bench->send(adopts ? Bench::request(SurveyKind::kAdopt, {}, adoption())
                       : Bench::request(SurveyKind::kRun, {}, {0xFF}));
    EXPECT(serve(*bench, 0) == (adopts ? Mode::kSession : Mode::kPlan));
    EXPECT_EQ(bench->got.size(), 1u);
    EXPECT(bench->board(0).survey->all_sent());
    if (!adopts) EXPECT_EQ(bench->board(0).desk->slice(), 2);
  }
}

TEST(a_device_with_a_plan_goes_back_to_it_when_nobody_surveys_any_more) {
  auto bench = line(1);
  bench->board(0).identity.slices = 1;
  bench->board(0).identity.state = DeployState::kFixed;
  const uint64_t begun_us = bench->clock().elapsed_us();
  EXPECT(!bench->ask(SurveyKind::kEcho, {}).empty());
  EXPECT(serve(*bench, 0) == Mode::kPlan);
  EXPECT_EQ(bench->board(0).desk->slice(), 0);
  EXPECT(bench->clock().elapsed_us() - begun_us >= 5'000'000);
}

TEST(a_survey_fits_the_memory_of_the_smallest_node) {
  for (uint8_t links = 1; links <= 4; ++links) {
    std::vector<LinkConfig> tables(links);
    for (uint8_t i = 0; i < links; ++i) tables[i] = {static_cast<uint8_t>(i + 1), kNoLink, rank_bit(i + 1)};
    NodeConfig config;
    config.world_size = config.node_count = static_cast<uint8_t>(links + 1);
    config.link_count = links;
    config.mtu_bytes = 256;
    config.rx_slots = 2;
    config.tx_slots = config.send_slots = config.recv_slots = config.grant_slots = 1;
    config.links = tables.data();
    EXPECT(Node::check(config) == ErrorCode::kOk);
    EXPECT(Survey::required_bytes(links) <= Node::required_bytes(config));
  }
}

TEST(a_node_notes_a_survey_frame_and_nothing_else_of_it) {
  Options options;
  Cluster cluster(options);
  EXPECT(cluster.run_until_ready(1'000'000));
  const uint32_t begun_us = cluster.clock().now_us();
  EXPECT(!cluster.node(1).was_surveyed(begun_us, 0));
  FrameHeader header;
  header.type = FrameType::kSurvey;
  header.source = 0xFF;
  FrameEncoder encoder;
  const Bytes payload = Bench::request(SurveyKind::kIdentify, {});
  encoder.start(header, ConstBytes(payload.data(), payload.size()));
  Pipe& wire = cluster.wire_from(0, 0);
  PipeStream into(wire, wire);
  while (!encoder.done()) {
    encoder.write_to(into);
    cluster.step();
  }
  cluster.run_for(100'000);
  EXPECT(cluster.node(1).was_surveyed(begun_us, 0));
  EXPECT(!cluster.node(0).was_surveyed(begun_us, 0));
  EXPECT(!cluster.node(1).was_surveyed(begun_us));  // a repetition of the one that led here
  EXPECT(!cluster.node(1).was_surveyed(begun_us, 0));
  EXPECT(cluster.node(0).link_error().ok() && cluster.node(1).link_error().ok());
}
