// SPDX-License-Identifier: Apache-2.0
// An application in the host's place, on a board of its own: rank 0 of 1, and no wire.
#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "sim.h"
#include "split_device/application_host.h"

namespace {

using namespace split_device;
using split_core::LinkConfig;
using split_core::MutableBytes;
using split_core::Node;
using split_core::NodeConfig;

constexpr uint32_t kPictureRows = 6;
constexpr uint32_t kPictureRowBytes = 10;
constexpr ModelTensor kPicture[] = {{{kPictureRows, 5, 2, 1}, 1}};
constexpr ModelTensor kAnswer[] = {{{kPictureRows, 5, 2, 1}, 1}};
// Two parts of one picture, as if two graph inputs of this device read them.
constexpr ModelPart kPictureParts[] = {
    {1, kInputChannel, 0, {0, 0, 0, 0}, {4, 5, 2, 1}},
    {1, kInputChannel + 1, 0, {2, 1, 0, 0}, {6, 4, 1, 1}},  // columns 1 to 3 of channel 0
};
constexpr ModelPart kAnswerParts[] = {{1, kOutputChannel, 0, {0, 0, 0, 0}, {6, 5, 2, 1}}};
constexpr LinkConfig kToHost[] = {{1, split_core::kNoLink, 2}};
constexpr LinkConfig kToDevice[] = {{0, split_core::kNoLink, 1}};

NodeConfig config_of(uint8_t rank) {
  NodeConfig config;
  config.rank = rank;
  config.world_size = 1;
  config.node_count = 2;
  config.link_count = 1;
  config.mtu_bytes = 256;
  config.boot_nonce = 7u + rank;
  config.links = rank == 0 ? kToHost : kToDevice;
  return config;
}

uint8_t pixel(uint32_t at) { return static_cast<uint8_t>(at * 37 + 11); }

// The answer is both inputs, one behind the other.
struct Joined final : Graph {
  size_t input_count() const override { return 2; }
  size_t output_count() const override { return 1; }
  MutableBytes input(size_t index) override {
    return index == 0 ? MutableBytes(first, sizeof first) : MutableBytes(second, sizeof second);
  }
  MutableBytes output(size_t) override { return MutableBytes(out, sizeof out); }
  bool invoke() override {
    std::memcpy(out, first, sizeof first);
    std::memcpy(out + sizeof first, second, sizeof second);
    return !fails;
  }
  uint8_t first[40] = {}, second[12] = {}, out[60] = {};
  bool fails = false;
};

struct Board1 {
  Board1() {
    clock.on_idle = [](void* board) { static_cast<Board1*>(board)->clock.advance(50); };
    clock.context = this;
    about.node = config_of(1);
    memory.resize(Node::required_bytes(about.node) + 8);
    about.node_memory = aligned(memory);
    about.node_memory_bytes = memory.size() - 8;
    about.inputs = kPicture;
    about.input_count = 1;
    about.input_parts = kPictureParts;
    about.sources = sources;
    about.input_part_count = 2;
    about.outputs = kAnswer;
    about.output_count = 1;
    about.output_parts = kAnswerParts;
    about.output_part_count = 1;
    about.timeout_us = 20'000'000;
    host = std::make_unique<ApplicationHost>(about);
    split_core::ByteStream* const streams[] = {host->set_up(clock, 99)};
    device_memory.resize(Node::required_bytes(config_of(0)) + 8);
    node = Node::create(aligned(device_memory), device_memory.size() - 8, config_of(0), streams,
                        clock, &control);
    exchange = std::make_unique<Exchange>(*node, clock, [] { return uint64_t{0}; }, posted, 8);
    const Board board = {&clock, [] { return uint64_t{0}; }, 1'000'000, [](const char*) {}, nullptr};
    runner = std::make_unique<DeviceRunner>(board, *node, *exchange, control, 60'000);
    runner->set_companion(host.get());
  }
  static void* aligned(std::vector<uint8_t>& bytes) {
    return bytes.data() + (8 - reinterpret_cast<uintptr_t>(bytes.data()) % 8) % 8;
  }
  static bool read_rows(void* context, uint8_t, uint32_t first, uint32_t count, uint8_t* to) {
    auto* const board = static_cast<Board1*>(context);
    EXPECT_EQ(first, board->next_row);
    if (board->stops_at <= first) return false;
    board->next_row = first + count;
    for (uint32_t i = 0; i < count * kPictureRowBytes; ++i) {
      to[i] = pixel(first * kPictureRowBytes + i);
    }
    return true;
  }
  bool infer(uint32_t rows_at_once) {
    next_row = 0;
    std::memset(got, 0, sizeof got);
    host->begin(read_rows, this, rows, rows_at_once * kPictureRowBytes, got);
    for (int turns = 0; turns < 1'000'000 && !host->is_over(); ++turns) runner->serve_once(graph);
    return host->is_done();
  }
  bool is_right() const {
    for (uint32_t i = 0; i < 40; ++i) {
      if (got[i] != pixel(i)) return false;
    }
    for (uint32_t i = 0; i < 12; ++i) {
      if (got[40 + i] != pixel((2 + i / 3) * kPictureRowBytes + 2 * (1 + i % 3))) return false;
    }
    return true;
  }

  sim::SimClock clock{0xFFFFF000u};
  std::vector<uint8_t> memory, device_memory;
  ApplicationDescription about{};
  RowSource sources[2];
  Control control;
  PostedSend posted[8];
  Node* node = nullptr;
  std::unique_ptr<ApplicationHost> host;
  std::unique_ptr<Exchange> exchange;
  std::unique_ptr<DeviceRunner> runner;
  Joined graph;
  uint8_t rows[60] = {}, got[60] = {};
  uint32_t next_row = 0, stops_at = kPictureRows;
};

}  // namespace

TEST(an_applications_rows_reach_who_reads_them) {
  for (const uint32_t rows_at_once : {1u, 2u, 3u, 4u, 6u}) {
    Board1 board;
    for (int inference = 0; inference < 3; ++inference) {
      EXPECT(board.infer(rows_at_once));
      EXPECT_EQ(board.next_row, kPictureRows);
      EXPECT(board.is_right());
    }
  }
}

TEST(an_application_that_has_no_rows_is_told_and_the_next_picture_is_right) {
  Board1 board;
  board.stops_at = 3;
  EXPECT(!board.infer(3));
  EXPECT_TEXT(board.host->text().text(), "the application gave no rows");
  board.stops_at = kPictureRows;
  EXPECT(board.infer(3));
  EXPECT(board.is_right());
}

TEST(an_operators_failure_reaches_the_application) {
  Board1 board;
  board.graph.fails = true;
  EXPECT(!board.infer(6));
  EXPECT(std::string(board.host->text().text()).find("rank 0") != std::string::npos);
  board.graph.fails = false;
  EXPECT(board.infer(6));
  EXPECT(board.is_right());
}

TEST(memory_for_less_than_a_row_is_refused) {
  Board1 board;
  board.host->begin(Board1::read_rows, &board, board.rows, kPictureRowBytes - 1, board.got);
  EXPECT(board.host->is_over() && !board.host->is_done());
}

TEST(a_device_that_does_not_answer_is_named) {
  Board1 board;
  board.host->begin(Board1::read_rows, &board, board.rows, 60, board.got);
  while (!board.host->is_over()) {  // nobody speaks for the device
    board.host->step();
    board.clock.advance(1000);
  }
  EXPECT_TEXT(board.host->text().text(), "rank 0 is not there, or not ready");
}
