// SPDX-License-Identifier: Apache-2.0
// The SPI link (split_port/spi_stream.h) on a simulated bus, alone and below split_core.
#include <cstdio>
#include <initializer_list>

#include "bus.h"
#include "check.h"
#include "split_core/node.h"

namespace {

using spi_bus::Bus;
using spi_bus::Dice;
using spi_bus::Wire;
using split_core::ByteStream;
using split_core::ConstBytes;
using split_core::MutableBytes;
using split_port::kSpiBlockBytes;
using split_port::kSpiPayloadBytes;
using split_port::SpiBlock;

constexpr uint64_t kPollNs = 20'000;  // between two looks of a program at its streams
constexpr uint64_t kMostNs = 2'000'000'000;

uint8_t nth(uint32_t index, uint32_t stream) {
  return static_cast<uint8_t>((index * 2654435761u + stream * 40503u) >> 13);
}

// Sends a known sequence, and checks another; no more than `most` bytes at a time.
class Endpoint {
 public:
  Endpoint(uint32_t sends, uint32_t receives, uint32_t total)
      : sends_(sends), receives_(receives), total_(total) {}

  void poll(ByteStream& stream, size_t most_in, size_t most_out) {
    uint8_t bytes[1024];
    size_t count = total_ - sent_ < most_out ? total_ - sent_ : most_out;
    for (size_t i = 0; i < count; ++i) bytes[i] = nth(sent_ + static_cast<uint32_t>(i), sends_);
    sent_ += static_cast<uint32_t>(stream.write(ConstBytes(bytes, count)));
    count = stream.read(MutableBytes(bytes, most_in));
    for (size_t i = 0; i < count; ++i) {
      if (bytes[i] != nth(received_++, receives_)) is_right_ = false;
    }
  }
  bool is_done() const { return sent_ == total_ && received_ >= total_; }
  bool is_right() const { return is_right_ && received_ == total_; }
  uint32_t received() const { return received_; }

 private:
  uint32_t sends_, receives_, total_;
  uint32_t sent_ = 0, received_ = 0;
  bool is_right_ = true;
};

struct Result {
  bool is_right;
  uint64_t time_ns;
};

// Both ways at once, `total` bytes each.
Result exchange(Bus& bus, uint32_t total, size_t master_reads = 1024, size_t slave_reads = 1024) {
  Endpoint master(1, 2, total), slave(2, 1, total);
  const uint64_t begin_ns = bus.now_ns();
  while (!(master.is_done() && slave.is_done()) && bus.now_ns() - begin_ns < kMostNs) {
    master.poll(bus.master(), master_reads, 1024);
    slave.poll(bus.slave(), slave_reads, 1024);
    bus.advance(kPollNs);
  }
  return {master.is_right() && slave.is_right(), bus.now_ns() - begin_ns};
}

struct Bytes {
  const uint8_t* next;
  size_t left;
  size_t pop(MutableBytes to) {
    const size_t count = left < to.size() ? left : to.size();
    for (size_t i = 0; i < count; ++i) to[i] = *next++;
    left -= count;
    return count;
  }
};

void blocks_hold_every_count_and_no_damaged_header_passes() {
  uint8_t bytes[kSpiPayloadBytes + 1];
  for (size_t i = 0; i < sizeof bytes; ++i) bytes[i] = nth(static_cast<uint32_t>(i), 3);
  for (size_t count = 0; count <= sizeof bytes; ++count) {
    SpiBlock block;
    Bytes source{bytes, count};
    const size_t taken = split_port::fill_block(&source, &block);
    CHECK(taken == (count < kSpiPayloadBytes ? count : kSpiPayloadBytes));
    ConstBytes payload;
    CHECK(split_port::read_block(block, &payload) && payload.size() == taken);
    CHECK(std::memcmp(payload.data(), bytes, taken) == 0);
    for (size_t bit = 0; bit < split_port::kSpiHeaderBytes * 8; ++bit) {
      SpiBlock damaged = block;
      damaged.bytes[bit / 8] = static_cast<uint8_t>(damaged.bytes[bit / 8] ^ (1u << (bit % 8)));
      CHECK(!split_port::read_block(damaged, &payload));
    }
  }
}

void silence_and_shifted_blocks_are_no_blocks() {
  SpiBlock block;
  ConstBytes payload;
  for (int value : {0x00, 0xFF}) {
    std::memset(block.bytes, value, sizeof block.bytes);
    CHECK(!split_port::read_block(block, &payload));
  }
  block.bytes[0] = split_port::kSpiMark;
  block.bytes[1] = kSpiPayloadBytes + 1;
  block.bytes[2] = static_cast<uint8_t>(split_port::kSpiMark ^ ~block.bytes[1]);
  CHECK(!split_port::read_block(block, &payload));  // more than there is room for
  uint8_t bytes[kSpiPayloadBytes];
  for (size_t i = 0; i < sizeof bytes; ++i) bytes[i] = nth(static_cast<uint32_t>(i), 4);
  Bytes source{bytes, sizeof bytes};
  split_port::fill_block(&source, &block);
  for (int bit = 1; bit < 8; ++bit) {
    SpiBlock shifted;
    for (size_t i = 0; i + 1 < kSpiBlockBytes; ++i) {
      shifted.bytes[i] =
          static_cast<uint8_t>(block.bytes[i] << bit | block.bytes[i + 1] >> (8 - bit));
    }
    CHECK(!split_port::read_block(shifted, &payload));
  }
}

void both_sides_send_at_once() {
  Bus bus{Wire()};
  CHECK(exchange(bus, 20'000).is_right);
  CHECK(bus.unready_starts() == 0);
  CHECK(bus.master().counters().bad_blocks == 0 && bus.slave().counters().bad_blocks == 0);
  CHECK(bus.master().counters().sent_bytes == 20'000);
  CHECK(bus.slave().counters().received_bytes == 20'000);
}

void a_slave_asks_when_it_alone_has_bytes() {
  Bus bus{Wire()};
  bus.advance(1'000'000);
  CHECK(bus.blocks() == 0);  // and nobody clocks for nothing
  const uint8_t bytes[] = {7, 8, 9};
  CHECK(bus.slave().write(ConstBytes(bytes, sizeof bytes)) == sizeof bytes);
  bus.advance(200'000);  // the block that was armed before, and the one with the bytes
  uint8_t got[8];
  CHECK(bus.master().read(MutableBytes(got, sizeof got)) == 3);
  CHECK(got[0] == 7 && got[2] == 9);
  const uint32_t blocks = bus.blocks();
  CHECK(blocks <= 2);
  bus.advance(1'000'000);
  CHECK(bus.blocks() == blocks);
}

// The other side does not read: its ring fills, no block is armed or clocked, nothing is lost.
void a_full_receiver_stops_the_other_side(bool is_slave_full) {
  Bus bus{Wire()};
  ByteStream& sender = is_slave_full ? static_cast<ByteStream&>(bus.master()) : bus.slave();
  ByteStream& receiver = is_slave_full ? static_cast<ByteStream&>(bus.slave()) : bus.master();
  uint8_t byte, bytes[512];
  uint32_t sent = 0, received = 0;
  for (int turn = 0; turn < 100; ++turn) {
    for (size_t i = 0; i < sizeof bytes; ++i) bytes[i] = nth(sent + static_cast<uint32_t>(i), 1);
    sent += static_cast<uint32_t>(sender.write(ConstBytes(bytes, sizeof bytes)));
    sender.read(MutableBytes(&byte, 0));
    bus.advance(kPollNs);
  }
  CHECK(sent >= 2 * spi_bus::kRingBytes - kSpiPayloadBytes);
  CHECK(sent <= 2 * spi_bus::kRingBytes + 2 * kSpiPayloadBytes);
  if (is_slave_full) CHECK(!bus.is_ready_high());
  const uint32_t blocks = bus.blocks();
  bus.advance(5'000'000);
  CHECK(bus.blocks() == blocks);
  for (int turn = 0; turn < 200; ++turn) {
    const size_t count = receiver.read(MutableBytes(bytes, 100));
    for (size_t i = 0; i < count; ++i) CHECK(bytes[i] == nth(received++, 1));
    bus.advance(kPollNs);
  }
  CHECK(received == sent);
  CHECK(bus.unready_starts() == 0);
}

void a_slave_that_does_not_read_stops_the_master() { a_full_receiver_stops_the_other_side(true); }
void a_master_that_does_not_read_stops_the_slave() { a_full_receiver_stops_the_other_side(false); }

void slow_readers_lose_nothing() {
  for (uint32_t seed = 1; seed <= 4; ++seed) {
    Bus bus{Wire()};
    Dice dice(seed);
    CHECK(exchange(bus, 5'000, 1 + dice.below(60), 1 + dice.below(60)).is_right);
    CHECK(bus.unready_starts() == 0);
  }
}

void lost_edges_cost_time_and_nothing_else() {
  const uint64_t clean_ns = [] {
    Bus bus{Wire()};
    return exchange(bus, 10'000).time_ns;
  }();
  for (uint32_t percent : {30u, 100u}) {
    Wire wire;
    wire.lost_edges_percent = percent;
    Bus bus(wire);
    const Result result = exchange(bus, 10'000);
    CHECK(result.is_right && bus.unready_starts() == 0);
    CHECK(result.time_ns > clean_ns && result.time_ns < 6 * clean_ns);
  }
}

// Interrupts that come late and in other orders.
void any_latency_works() {
  for (uint32_t seed = 1; seed <= 40; ++seed) {
    Dice dice(seed);
    Wire wire;
    wire.interrupt_ns = dice.below(seed % 2 == 0 ? 1'000 : 40'000);
    wire.edge_ns = dice.below(40'000);
    wire.slave_work_ns = dice.below(60'000);
    wire.master_work_ns = dice.below(20'000);
    wire.clock_hz = 1'000'000 + dice.below(50'000'000);
    wire.lost_edges_percent = dice.below(50);
    Bus bus(wire);
    CHECK(exchange(bus, 3'000).is_right);
    CHECK(bus.unready_starts() == 0);
  }
}

// Bytes that come in after a disturbance are those that went in after it.
void check_that_it_goes_on(Bus& bus) {
  uint8_t bytes[1024];
  for (int turn = 0; turn < 50; ++turn) {  // what is left of the time before
    bus.master().read(MutableBytes(bytes, sizeof bytes));
    bus.slave().read(MutableBytes(bytes, sizeof bytes));
    bus.advance(kPollNs);
  }
  CHECK(exchange(bus, 3'000).is_right);
  CHECK(bus.unready_starts() == 0);
}

void pump_until_inside_a_block(Bus& bus, uint64_t more_ns) {
  const uint8_t bytes[400] = {};
  bus.master().write(ConstBytes(bytes, sizeof bytes));
  bus.slave().write(ConstBytes(bytes, sizeof bytes));
  while (!bus.is_transferring()) bus.advance(100);
  bus.advance(more_ns);
}

void a_slave_may_be_reset_at_any_moment() {
  for (uint64_t when_ns = 0; when_ns < 90'000; when_ns += 3'700) {
    Bus bus{Wire()};
    pump_until_inside_a_block(bus, when_ns);
    bus.reset_slave();
    check_that_it_goes_on(bus);
  }
}

void a_master_may_be_reset_at_any_moment() {
  for (uint64_t when_ns = 0; when_ns < 90'000; when_ns += 3'700) {
    Bus bus{Wire()};
    pump_until_inside_a_block(bus, when_ns);
    bus.reset_master();
    check_that_it_goes_on(bus);
  }
}

// The master is reset within the first block with bytes: the slave offers them again, once.
void a_block_that_was_cut_short_is_offered_again() {
  Bus bus{Wire()};
  bus.advance(100'000);
  const uint8_t bytes[] = {1, 2, 3, 4};
  bus.slave().write(ConstBytes(bytes, sizeof bytes));
  while (bus.slave().counters().sent_bytes == 0) bus.advance(1'000);
  while (!bus.is_transferring()) bus.advance(1'000);
  bus.advance(10'000);
  bus.reset_master();
  bus.advance(1'000'000);
  uint8_t got[8];
  bus.master().read(MutableBytes(got, 0));  // lost the edge together with everything else
  bus.advance(1'000'000);
  CHECK(bus.master().read(MutableBytes(got, sizeof got)) == sizeof bytes);
  CHECK(std::memcmp(got, bytes, sizeof bytes) == 0);
  CHECK(bus.slave().counters().bad_blocks == 1);
}

void damaged_headers_lose_their_block_only() {
  Wire wire;
  wire.damaged_blocks_percent = 10;
  Bus bus(wire);
  Endpoint master(1, 2, 20'000), slave(2, 1, 20'000);
  for (int turn = 0; turn < 800; ++turn) {
    master.poll(bus.master(), 1024, 1024);
    slave.poll(bus.slave(), 1024, 1024);
    bus.advance(kPollNs);
  }
  CHECK(bus.master().counters().bad_blocks > 5 && bus.slave().counters().bad_blocks > 5);
  const uint32_t lost = bus.master().counters().bad_blocks * kSpiPayloadBytes;
  CHECK(master.received() + lost >= 20'000 && master.received() < 20'000);
  CHECK(bus.unready_starts() == 0);
}

// Per mille of the 3.75 MB/s that 30 MHz are.
uint32_t per_mille(uint64_t bytes, uint64_t time_ns) {
  return static_cast<uint32_t>(bytes * 8 * 1'000'000'000 / 30'000'000 * 1000 / time_ns);
}

void print_rate(const char* what, uint32_t rate) {
  char line[96];
  std::snprintf(line, sizeof line, "RATE %s: %lu.%lu %% of 30 MHz\n", what,
                static_cast<unsigned long>(rate / 10), static_cast<unsigned long>(rate % 10));
  split_port::console_write(line);
}

void full_blocks_reach_most_of_the_clock_rate() {
  Bus bus{Wire()};
  const Result result = exchange(bus, 100'000);
  const uint32_t rate = per_mille(100'000, result.time_ns);
  print_rate("stream, both ways at once", rate);
  // 125 of 128 bytes, and 4.5 us between blocks of 34.1 us.
  CHECK(result.is_right && rate > 840 && rate < 880);
}

// ---- below split_core ----

constexpr uint32_t kBoxBytes = 20'000;  // four of them fit a Pico
constexpr uint64_t kNodePollNs = 5'000;
uint8_t g_sent[2][kBoxBytes];
uint8_t g_received[2][kBoxBytes];

struct Peer {
  alignas(8) uint8_t memory[24 * 1024];
  split_core::LinkConfig link;
  ByteStream* stream = nullptr;
  split_core::Node* node = nullptr;

  void create(uint8_t rank, uint32_t boot_nonce, ByteStream& wire, split_core::Clock& clock) {
    link.peer_rank = static_cast<uint8_t>(1 - rank);
    link.destinations = uint64_t{1} << link.peer_rank;
    split_core::NodeConfig config;
    config.rank = rank;
    config.world_size = config.node_count = 2;
    config.link_count = 1;
    config.boot_nonce = boot_nonce;
    config.links = &link;
    config.timing.poll_interval_us = 2'000;
    config.timing.hello_interval_us = 2'000;
    stream = &wire;
    node = split_core::Node::create(memory, sizeof memory, config, &stream, clock, nullptr);
  }
};
Peer g_peers[2];

void poll(Bus& bus) {
  for (Peer& peer : g_peers) peer.node->poll();
  bus.advance(kNodePollNs);
}

bool connect(Bus& bus) {
  g_peers[0].create(0, 11, bus.master(), bus);
  g_peers[1].create(1, 22, bus.slave(), bus);
  for (int turn = 0; turn < 20'000; ++turn) {
    if (g_peers[0].node->link_error().ok() && g_peers[1].node->link_error().ok()) return true;
    poll(bus);
  }
  return false;
}

// One box from each rank in `senders` (bits) to the other; the time it took, 0 if it did not.
uint64_t transfer(Bus& bus, uint32_t senders, uint16_t epoch, uint32_t box_bytes = kBoxBytes) {
  std::memset(g_received, 0, sizeof g_received);
  for (uint8_t rank = 0; rank < 2; ++rank) {
    g_peers[rank].node->communicator().begin_epoch(epoch);
    for (uint32_t i = 0; i < kBoxBytes; ++i) g_sent[rank][i] = nth(i, rank + epoch * 2u);
  }
  for (uint8_t rank = 0; rank < 2; ++rank) {
    if ((senders >> rank & 1u) == 0) continue;
    const auto other = static_cast<uint8_t>(1 - rank);
    using split_core::StridedBox;
    g_peers[rank].node->communicator().post_send(rank, uint64_t{1} << other,
                                                 StridedBox::flat(g_sent[rank], box_bytes));
    g_peers[other].node->communicator().begin_recv(rank, rank,
                                                   StridedBox::flat(g_received[rank], box_bytes));
  }
  const uint64_t begin_ns = bus.now_ns();
  const auto is_done = [](Peer& peer) { return peer.node->communicator().recvs_complete(); };
  while (!is_done(g_peers[0]) || !is_done(g_peers[1])) {
    if (bus.now_ns() - begin_ns > kMostNs) return 0;
    poll(bus);
  }
  for (uint8_t rank = 0; rank < 2; ++rank) {
    const bool is_sender = (senders >> rank & 1u) != 0;
    if (is_sender && std::memcmp(g_sent[rank], g_received[rank], box_bytes) != 0) return 0;
  }
  return bus.now_ns() - begin_ns;
}

void check_rate(uint32_t senders, const char* what, uint32_t least) {
  Bus bus{Wire()};
  CHECK(connect(bus));
  const uint64_t time_ns = transfer(bus, senders, 1);
  CHECK(time_ns > 0);
  if (time_ns == 0) return;
  const uint32_t rate = per_mille(kBoxBytes, time_ns);
  print_rate(what, rate);
  CHECK(rate > least);
  for (Peer& peer : g_peers) CHECK(peer.node->link(0).counters().frames_resent == 0);
}

void boxes_from_the_master() { check_rate(1, "box from master to slave, MTU 512", 700); }
void boxes_from_the_slave() { check_rate(2, "box from slave to master, MTU 512", 700); }
void boxes_both_ways() { check_rate(3, "boxes both ways, MTU 512", 700); }

// The mean time of a box in an idle moment, over many phases of polls and blocks.
uint64_t lone_box_ns(uint32_t senders, uint32_t box_bytes) {
  constexpr uint32_t kPhases = 20;
  uint64_t sum_ns = 0;
  for (uint32_t phase = 0; phase < kPhases; ++phase) {
    Bus bus{Wire()};
    CHECK(connect(bus));
    for (uint32_t turn = 0; turn < 200; ++turn) poll(bus);
    bus.advance(phase * kNodePollNs * 7 / kPhases);
    const uint64_t time_ns = transfer(bus, senders, 1, box_bytes);
    CHECK(time_ns > 0);
    sum_ns += time_ns;
  }
  return sum_ns / kPhases;
}

// What rewriter/tflsplit/cluster/links.py says of SPI: so long beside the bytes, so long for each.
void a_lone_box_costs_what_the_planner_expects() {
  constexpr uint32_t kShort = 484, kLong = 4840;  // whole frames
  constexpr uint64_t kWirePerPayload = 1064;  // per mille: header, CRC, COBS
  for (uint32_t senders = 1; senders <= 2; ++senders) {
    const uint64_t short_ns = lone_box_ns(senders, kShort), long_ns = lone_box_ns(senders, kLong);
    const uint64_t ps_per_byte = (long_ns - short_ns) * 1'000'000 / kWirePerPayload /
                                 (kLong - kShort);
    CHECK(ps_per_byte > 300'000 && ps_per_byte < 320'000);  // (517 * 8.192 / 30 + 18.6) / 517
    const uint64_t beside_ns = long_ns - ps_per_byte * kLong * kWirePerPayload / 1'000'000;
    CHECK(beside_ns > 110'000 && beside_ns < 130'000);
  }
}

void the_link_repairs_what_the_bus_loses() {
  Wire wire;
  wire.damaged_blocks_percent = 5;
  wire.lost_edges_percent = 20;
  Bus bus(wire);
  CHECK(connect(bus));
  CHECK(transfer(bus, 3, 1) > 0);
  uint32_t resent = 0;
  for (Peer& peer : g_peers) resent += peer.node->link(0).counters().frames_resent;
  CHECK(resent > 0);
  CHECK(bus.unready_starts() == 0);
}

void the_link_comes_up_again_after_a_slave_was_reset() {
  Bus bus{Wire()};
  CHECK(connect(bus));
  g_peers[0].node->communicator().begin_epoch(1);
  g_peers[0].node->communicator().post_send(
      0, 2, split_core::StridedBox::flat(g_sent[0], kBoxBytes));
  g_peers[1].node->communicator().begin_epoch(1);
  g_peers[1].node->communicator().begin_recv(
      0, 0, split_core::StridedBox::flat(g_received[0], kBoxBytes));
  for (int turn = 0; turn < 500; ++turn) poll(bus);
  while (!bus.is_transferring()) bus.advance(1'000);
  bus.reset_slave();
  g_peers[1].create(1, 33, bus.slave(), bus);
  for (int turn = 0; turn < 20'000; ++turn) poll(bus);
  CHECK(g_peers[0].node->link_error().ok() && g_peers[1].node->link_error().ok());
  CHECK(transfer(bus, 3, 2) > 0);
}

}  // namespace

int split_app_main() {
  return check::run_all({
      {"blocks_hold_every_count_and_no_damaged_header_passes",
       blocks_hold_every_count_and_no_damaged_header_passes},
      {"silence_and_shifted_blocks_are_no_blocks", silence_and_shifted_blocks_are_no_blocks},
      {"both_sides_send_at_once", both_sides_send_at_once},
      {"a_slave_asks_when_it_alone_has_bytes", a_slave_asks_when_it_alone_has_bytes},
      {"a_slave_that_does_not_read_stops_the_master", a_slave_that_does_not_read_stops_the_master},
      {"a_master_that_does_not_read_stops_the_slave", a_master_that_does_not_read_stops_the_slave},
      {"slow_readers_lose_nothing", slow_readers_lose_nothing},
      {"lost_edges_cost_time_and_nothing_else", lost_edges_cost_time_and_nothing_else},
      {"any_latency_works", any_latency_works},
      {"a_slave_may_be_reset_at_any_moment", a_slave_may_be_reset_at_any_moment},
      {"a_master_may_be_reset_at_any_moment", a_master_may_be_reset_at_any_moment},
      {"a_block_that_was_cut_short_is_offered_again", a_block_that_was_cut_short_is_offered_again},
      {"damaged_headers_lose_their_block_only", damaged_headers_lose_their_block_only},
      {"full_blocks_reach_most_of_the_clock_rate", full_blocks_reach_most_of_the_clock_rate},
      {"boxes_from_the_master", boxes_from_the_master},
      {"boxes_from_the_slave", boxes_from_the_slave},
      {"boxes_both_ways", boxes_both_ways},
      {"a_lone_box_costs_what_the_planner_expects", a_lone_box_costs_what_the_planner_expects},
      {"the_link_repairs_what_the_bus_loses", the_link_repairs_what_the_bus_loses},
      {"the_link_comes_up_again_after_a_slave_was_reset",
       the_link_comes_up_again_after_a_slave_was_reset},
  });
}
