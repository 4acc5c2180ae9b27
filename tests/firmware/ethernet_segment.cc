// SPDX-License-Identifier: Apache-2.0
// Links over an Ethernet segment (split_port/ethernet_segment.h): the vectors of docs/ethernet.md, and
// split_core on a simulated switch that loses frames and passes them on late.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "ethernet_vectors.h"
#include "split_core/node.h"
#include "split_port/ethernet_segment.h"

namespace {

using split_core::ByteStream;
using split_core::ConstBytes;
using split_core::FrameDecoder;
using split_core::FrameEncoder;
using split_core::MutableBytes;
using split_core::Node;
using split_core::NodeConfig;
using split_core::StridedBox;
using split_port::EthernetDriver;
using split_port::SegmentPlace;
using split_port::SegmentSender;
using Bytes = std::vector<uint8_t>;

int g_failures = 0;

#define CHECK(condition)                                            \
  do {                                                              \
    if (!(condition)) {                                             \
      std::printf("FAIL %d: not true: %s\n", __LINE__, #condition); \
      ++g_failures;                                                 \
    }                                                               \
  } while (false)

Bytes of_hex(const std::string& text) {
  Bytes bytes;
  for (size_t at = 0; at + 1 < text.size(); at += 2) {
    bytes.push_back(static_cast<uint8_t>(std::strtoul(text.substr(at, 2).c_str(), nullptr, 16)));
  }
  return bytes;
}

std::vector<std::string> words_of(const char* text) {
  std::vector<std::string> words;
  std::string word;
  for (const char* at = text;; ++at) {
    if (*at != ' ' && *at != '\0') {
      word += *at;
      continue;
    }
    if (!word.empty()) words.push_back(word);
    word.clear();
    if (*at == '\0') return words;
  }
}

class Recorder final : public EthernetDriver {
 public:
  bool send(ConstBytes frame) override {
    if (room == 0) return false;
    --room;
    frames.emplace_back(frame.begin(), frame.end());
    return true;
  }
  size_t room = SIZE_MAX;
  std::vector<Bytes> frames;
};

class Sink final : public ByteStream {
 public:
  size_t read(MutableBytes) override { return 0; }
  size_t write(ConstBytes from) override {
    bytes.insert(bytes.end(), from.begin(), from.end());
    return from.size();
  }
  Bytes bytes;
};

// As a link writes it.
Bytes encoded(const Bytes& raw) {
  split_core::FrameHeader header;
  const size_t body = raw.size() - split_core::kCrcBytes;
  CHECK(split_core::load_header(raw.data(), body, &header) == split_core::HeaderError::kNone);
  FrameEncoder encoder;
  encoder.start(header, ConstBytes(raw.data() + split_core::kHeaderBytes, header.length));
  Sink sink;
  encoder.write_to(sink);
  return sink.bytes;
}

SegmentPlace place_of(const EthernetVector& vector, uint8_t rank, bool has_host) {
  SegmentPlace place;
  place.rank = rank;
  place.world_size = static_cast<uint8_t>(vector.world_size);
  std::memcpy(place.plan, of_hex(vector.plan).data(), sizeof place.plan);
  place.has_host = has_host;
  return place;
}

using Segment = split_port::EthernetSegment<15, 2048, split_port::segment_tx_bytes(1024, 4)>;

void check_written(const EthernetVector& vector, const std::vector<std::string>& expected) {
  Recorder driver;
  uint8_t memory[split_port::segment_tx_bytes(512, 4)];
  SegmentSender sender(driver, MutableBytes(memory, sizeof memory));
  sender.begin(place_of(vector, static_cast<uint8_t>(vector.rank), false));
  for (const std::string& word : words_of(vector.written)) {
    const size_t colon = word.find(':');
    const Bytes bytes = encoded(of_hex(word.substr(colon + 1)));
    const auto to = static_cast<uint8_t>(std::atoi(word.c_str()));
    CHECK(sender.write(to, ConstBytes(bytes.data(), bytes.size())) == bytes.size());
  }
  CHECK(driver.frames.empty());
  // One at a time: what finds no room leaves later, as if it had.
  for (driver.room = 1; !sender.empty(); driver.room = 1) sender.flush();
  CHECK(driver.frames.size() == expected.size());
  for (size_t i = 0; i < driver.frames.size() && i < expected.size(); ++i) {
    CHECK(driver.frames[i] == of_hex(expected[i]));
  }
}

void check_opened(const EthernetVector& vector, const std::vector<std::string>& frames) {
  for (const std::string& word : words_of(vector.opened)) {
    const size_t colon = word.find(':');
    const auto rank = static_cast<uint8_t>(std::atoi(word.c_str()));
    const Bytes raw = of_hex(word.substr(colon + 2));
    Recorder driver;
    static Segment* segment;
    delete segment;
    segment = new Segment(driver);
    CHECK(segment->begin(place_of(vector, rank, word[colon + 1] == '1')));
    for (const std::string& frame : frames) {
      Bytes bytes = of_hex(frame);
      segment->take(MutableBytes(bytes.data(), bytes.size()));
    }
    const size_t index = static_cast<size_t>(vector.rank < rank ? vector.rank : vector.rank - 1);
    Bytes came(2048);
    came.resize(rank == vector.rank ? 0 : segment->stream(index).read(MutableBytes(came.data(), came.size())));
    CHECK(came == (raw.empty() ? Bytes() : encoded(raw)));
  }
}

void vectors() {
  for (const EthernetVector& vector : kEthernetVectors) {
    const int before = g_failures;
    const std::vector<std::string> frames = words_of(vector.ethernet);
    if (*vector.written != '\0') check_written(vector, frames);
    check_opened(vector, frames);
    if (g_failures > before) std::printf("FAIL in: %s\n", vector.name);
  }
}

// What is full takes nothing, at the beginning of a frame; what it has begun it takes to its end.
void a_frame_is_taken_whole_or_not_at_all() {
  Recorder driver;
  driver.room = 0;
  uint8_t memory[split_port::segment_tx_bytes(256, 1)];
  SegmentSender sender(driver, MutableBytes(memory, sizeof memory));
  SegmentPlace place;
  place.world_size = 3;
  place.mtu_bytes = 256;
  sender.begin(place);
  Bytes raw(28 + 200, 7);
  split_core::FrameHeader header;
  header.type = split_core::FrameType::kData;
  header.length = 200;
  split_core::store_header(header, raw.data());
  const Bytes bytes = encoded(raw);
  for (const uint8_t byte : bytes) CHECK(sender.write(1, ConstBytes(&byte, 1)) == 1);
  CHECK(sender.write(2, ConstBytes(bytes.data(), bytes.size())) == 0);
  sender.flush();
  CHECK(sender.write(2, ConstBytes(bytes.data(), bytes.size())) == 0);
  driver.room = 1;
  CHECK(sender.write(2, ConstBytes(bytes.data(), bytes.size())) == bytes.size());
  // A link that gives a frame up in the middle costs that frame.
  driver.room = 9;
  CHECK(sender.write(1, ConstBytes(bytes.data(), 20)) == 20);
  CHECK(sender.write(2, ConstBytes(bytes.data(), bytes.size())) == bytes.size());
  sender.flush();
  CHECK(sender.empty() && driver.frames.size() == 3);
  // Also where what has come ends with a COBS block, and would do as a shorter frame.
  raw[split_core::kHeaderBytes + 100] = 0;
  Bytes torn = encoded(raw);
  size_t at = 1;
  while (at < 100) at += torn[at];
  torn.resize(at);
  torn.push_back(0);
  CHECK(sender.write(1, ConstBytes(torn.data(), torn.size())) == torn.size());
  CHECK(sender.empty());
}

void what_finds_no_room_is_dropped_whole_and_counted() {
  Recorder driver;
  static split_port::EthernetSegment<1, 300, 2048> segment(driver);
  static EthernetVector vector = kEthernetVectors[2];  // 512 bytes
  CHECK(segment.begin(place_of(vector, 1, false)));
  Bytes bytes = of_hex(vector.ethernet);
  segment.take(MutableBytes(bytes.data(), bytes.size()));
  CHECK(!segment.has_received() && segment.counters(0).lost_bytes == 512);
  CHECK(!segment.begin(place_of(kEthernetVectors[3], 1, false)));  // four devices, rings for two
}

// ---- split_core on a switch ----

constexpr uint8_t kWorld = 5;
constexpr uint32_t kBytes = 6000;

uint32_t g_now_us = 0;
uint32_t g_seed = 1;
uint32_t g_lost_of_1000 = 0;

uint32_t dice() { return (g_seed = g_seed * 1664525u + 1013904223u) >> 10; }

class Clock final : public split_core::Clock {
 public:
  uint32_t now_us() override { return g_now_us; }
};
Clock g_clock;

struct Device final : EthernetDriver {
  Device() : segment(*this) {}
  bool send(ConstBytes frame) override;
  void poll() override {
    while (!cable.empty()) {
      Bytes frame = cable.front();
      cable.pop_front();
      segment.take(MutableBytes(frame.data(), frame.size()));
    }
  }

  split_port::EthernetSegment<kWorld - 1, 4096, split_port::segment_tx_bytes(512, 4)> segment;
  std::deque<Bytes> cable;
  uint8_t address[6] = {};
  Node* node = nullptr;
  alignas(8) uint8_t memory[64 * 1024];
  Bytes own = Bytes(kBytes), all = Bytes(kBytes * kWorld);
};

Device* g_devices[kWorld];

bool Device::send(ConstBytes frame) {
  for (Device* other : g_devices) {
    const bool is_for = (frame[0] & 1) != 0 || std::memcmp(frame.data(), other->address, 6) == 0;
    if (other == this || !is_for || dice() % 1000 < g_lost_of_1000) continue;
    other->cable.emplace_back(frame.begin(), frame.end());
    if (g_lost_of_1000 > 0 && dice() % 50 == 0) other->cable.push_back(other->cable.back());
  }
  return true;
}

void start(uint8_t rank) {
  delete g_devices[rank];
  Device& device = *(g_devices[rank] = new Device);
  SegmentPlace place;
  place.rank = rank;
  place.world_size = kWorld;
  store_address(place, rank, device.address);
  CHECK(device.segment.begin(place));
  static split_core::LinkConfig links[kWorld][kWorld - 1];
  static ByteStream* streams[kWorld][kWorld - 1];
  NodeConfig config;
  config.rank = rank;
  config.world_size = config.node_count = kWorld;
  config.link_count = kWorld - 1;
  config.boot_nonce = dice();
  config.tx_slots = 8;
  config.timing.multicast_hold_us = 1'000'000;
  for (uint8_t i = 0; i < kWorld - 1; ++i) {
    const auto peer = static_cast<uint8_t>(i < rank ? i : i + 1);
    links[rank][i].peer_rank = peer;
    links[rank][i].destinations = split_core::rank_bit(peer);
    streams[rank][i] = &device.segment.stream(i);
  }
  config.links = links[rank];
  device.node = Node::create(device.memory, sizeof device.memory, config, streams[rank], g_clock, nullptr);
  CHECK(device.node != nullptr);
}

template <typename Condition>
bool run_until(Condition condition) {
  for (uint32_t turn = 0; turn < 400'000; ++turn) {
    g_now_us += 50;
    bool all = true;
    for (Device* device : g_devices) {
      device->node->poll();
      all = condition(*device) && all;
    }
    if (all) return true;
  }
  return false;
}

uint64_t frames_on_ethernet(bool spared) {
  uint64_t sum = 0;
  for (const Device* device : g_devices) {
    sum += spared ? device->segment.counters().spared : device->segment.counters().frames;
  }
  return sum;
}

// Every rank's box to all others: each must hold all of them.
void all_gather(uint16_t epoch) {
  for (uint8_t rank = 0; rank < kWorld; ++rank) {
    Device& device = *g_devices[rank];
    for (uint8_t& byte : device.own) byte = static_cast<uint8_t>(dice());
    split_core::Communicator& messages = device.node->communicator();
    messages.begin_epoch(epoch);
    const uint64_t others = ((uint64_t{1} << kWorld) - 1) & ~split_core::rank_bit(rank);
    CHECK(messages.post_send(rank, others, StridedBox::flat(device.own.data(), kBytes)).ok());
    for (uint8_t from = 0; from < kWorld; ++from) {
      const StridedBox box = StridedBox::flat(device.all.data() + from * kBytes, kBytes);
      if (from != rank) CHECK(messages.begin_recv(from, from, box).ok());
    }
  }
  CHECK(run_until([](Device& device) {
    return device.node->communicator().recvs_complete() && device.node->is_idle();
  }));
  for (uint8_t rank = 0; rank < kWorld; ++rank) {
    for (uint8_t from = 0; from < kWorld; ++from) {
      const uint8_t* const there = g_devices[rank]->all.data() + from * kBytes;
      CHECK(rank == from || std::memcmp(there, g_devices[from]->own.data(), kBytes) == 0);
    }
  }
}

void a_box_for_all_leaves_once() {
  for (uint8_t rank = 0; rank < kWorld; ++rank) start(rank);
  CHECK(run_until([](Device& device) { return device.node->link_error().ok(); }));
  const uint64_t before = frames_on_ethernet(false), before_spared = frames_on_ethernet(true);
  all_gather(1);
  const uint64_t frames = frames_on_ethernet(false) - before;
  const uint64_t spared = frames_on_ethernet(true) - before_spared;
  std::printf("COUNT clean: %d frames, %d spared\n", static_cast<int>(frames), static_cast<int>(spared));
  // 13 frames of each box, for 4 receivers: 3 of 4 are spared, and nothing is sent again.
  CHECK(spared == kWorld * 13 * 3);
  for (Device* device : g_devices) {
    for (uint8_t i = 0; i < kWorld - 1; ++i) CHECK(device->node->link(i).counters().frames_resent == 0);
  }
}

void what_a_switch_loses_and_repeats_is_made_good() {
  g_lost_of_1000 = 30;
  for (uint16_t epoch = 2; epoch < 12; ++epoch) all_gather(epoch);
  uint32_t resent = 0;
  for (Device* device : g_devices) {
    for (uint8_t i = 0; i < kWorld - 1; ++i) resent += device->node->link(i).counters().frames_resent;
  }
  CHECK(resent > 50);
  g_lost_of_1000 = 0;
}

void a_device_that_is_reset_joins_again() {
  start(2);
  CHECK(run_until([](Device& device) { return device.node->link_error().ok(); }));
  all_gather(20);
}

}  // namespace

int main() {
  vectors();
  a_frame_is_taken_whole_or_not_at_all();
  what_finds_no_room_is_dropped_whole_and_counted();
  a_box_for_all_leaves_once();
  what_a_switch_loses_and_repeats_is_made_good();
  a_device_that_is_reset_joins_again();
  std::printf(g_failures == 0 ? "DONE\n" : "FAILED\n");
  for (Device* device : g_devices) delete device;
  return g_failures == 0 ? 0 : 1;
}
