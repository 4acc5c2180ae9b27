// SPDX-License-Identifier: Apache-2.0
// The core through its C interface, as other languages use it: two nodes, the test carries the bytes.
#include <string>
#include <vector>

#include "check.h"
#include "split_core/error.h"
#include "split_core/split_core_c.h"

namespace c_api_test {

struct Got {
  uint8_t source = 255;
  uint16_t channel = 0;
  std::vector<uint8_t> payload;
};

void keep(void* context, uint8_t source, uint16_t channel, const uint8_t* payload, size_t bytes) {
  *static_cast<Got*>(context) = {source, channel, {payload, payload + bytes}};
}

split_core_config config_of(uint8_t rank, const split_core_link_config* link) {
  split_core_config config = {};
  config.links = link;
  config.link_count = 1;
  config.rank = rank;
  config.world_size = config.node_count = 2;
  config.boot_nonce = 1000u + rank;
  config.mtu_bytes = 256;
  config.peer_timeout_us = 50'000;
  config.hello_interval_us = config.poll_interval_us = 5'000;
  return config;
}

struct Side {
  explicit Side(uint8_t rank, uint8_t fingerprint = 7) {
    link.destinations = uint64_t{1} << (1 - rank);
    link.peer_rank = static_cast<uint8_t>(1 - rank);
    link.ring_next = 255;
    split_core_config config = config_of(rank, &link);
    config.fingerprint[2] = fingerprint;
    memory.resize(split_core_required_bytes(&config) / 8 + 1);
    node = split_core_create(memory.data(), memory.size() * 8, &config, keep, &got);
  }
  split_core_link_config link = {};
  std::vector<uint64_t> memory;
  Got got;
  split_core_node* node;
};

struct Pair {
  explicit Pair(uint8_t other_fingerprint = 7) : b(1, other_fingerprint) {}

  void carry(const Side& from, const Side& to) {
    uint8_t bytes[64];
    const size_t count = split_core_drain(from.node, 0, bytes, sizeof bytes);
    EXPECT_EQ(split_core_feed(to.node, 0, bytes, count), count);
  }
  void run(int steps) {
    for (; steps > 0; --steps, now_us += 100) {
      split_core_poll(a.node, now_us);
      split_core_poll(b.node, now_us);
      if (connected) carry(a, b), carry(b, a);
    }
  }
  Side a{0}, b;
  uint32_t now_us = 0xFFFF'FF00u;
  bool connected = true;
};

split_core_box flat(uint8_t (&bytes)[600]) {
  split_core_box box = {};
  box.base = bytes;
  box.element_bytes = 1;
  box.extent[0] = box.extent[1] = box.extent[2] = 1;
  box.extent[3] = 600;
  box.stride_bytes[0] = box.stride_bytes[1] = box.stride_bytes[2] = 600;
  box.stride_bytes[3] = 1;
  return box;
}

}  // namespace c_api_test

using namespace c_api_test;

TEST(c_a_message_crosses_and_is_counted) {
  Pair pair;
  EXPECT_EQ(split_core_ready(pair.a.node), 0);
  pair.run(200);
  EXPECT_EQ(split_core_ready(pair.a.node), 1);
  EXPECT_EQ(split_core_ready(pair.b.node), 1);
  uint8_t sent[600], received[600] = {};
  for (int i = 0; i < 600; ++i) sent[i] = static_cast<uint8_t>(i);
  const split_core_box from = flat(sent), to = flat(received);
  split_core_begin_epoch(pair.a.node, 3);
  split_core_begin_epoch(pair.b.node, 3);
  EXPECT_EQ(split_core_post_send(pair.a.node, 5, 2, &from), 0);
  EXPECT_EQ(split_core_begin_recv(pair.b.node, 5, 0, &to), 0);
  EXPECT_EQ(split_core_recvs_complete(pair.b.node), 0);
  EXPECT_EQ(split_core_send_released(pair.a.node, 5), 0);
  EXPECT_EQ(split_core_idle(pair.a.node), 0);
  pair.run(200);
  EXPECT_EQ(split_core_recvs_complete(pair.b.node), 1);
  EXPECT_EQ(split_core_send_released(pair.a.node, 5), 1);
  EXPECT_EQ(split_core_idle(pair.a.node), 1);
  EXPECT(std::memcmp(sent, received, 600) == 0);
  split_core_counters counters = {};
  split_core_get_counters(pair.b.node, 0, &counters);
  EXPECT_EQ(counters.frames_received, 3u);  // 600 bytes in frames of at most 228
  EXPECT_EQ(counters.sessions, 1u);
  EXPECT(counters.bytes_received > 600 && counters.crc_errors == 0);
  EXPECT_EQ(split_core_error(pair.a.node, nullptr, 0), 0);
}

TEST(c_datagrams_reach_the_callback) {
  Pair pair;
  pair.run(200);
  const uint8_t words[] = {9, 8, 7};
  EXPECT_EQ(split_core_send_datagram(pair.a.node, 2, 44, words, 3), 1);
  EXPECT_EQ(split_core_send_datagram(pair.a.node, 1, 44, words, 3), 0);  // to itself
  EXPECT_EQ(split_core_send_datagram(pair.a.node, 2, 44, words, 4000), 0);
  pair.run(50);
  EXPECT_EQ(pair.b.got.source, 0);
  EXPECT_EQ(pair.b.got.channel, 44);
  EXPECT(pair.b.got.payload == std::vector<uint8_t>({9, 8, 7}));
}

TEST(c_wrong_configurations_and_too_little_memory_give_no_node) {
  Side side(0);
  split_core_config config = config_of(0, &side.link);
  const size_t bytes = split_core_required_bytes(&config);
  EXPECT(bytes > 0 && bytes % 8 == 0);
  EXPECT(split_core_create(side.memory.data(), bytes - 1, &config, nullptr, nullptr) == nullptr);
  config.mtu_bytes = 255;
  EXPECT_EQ(split_core_required_bytes(&config), 0u);
  EXPECT(split_core_create(side.memory.data(), bytes, &config, nullptr, nullptr) == nullptr);
  config = config_of(0, &side.link);
  config.link_count = 200;
  EXPECT_EQ(split_core_required_bytes(&config), 0u);
  config = config_of(0, nullptr);
  EXPECT_EQ(split_core_required_bytes(&config), 0u);
}

TEST(c_errors_come_as_codes_as_words_and_in_fields) {
  Pair pair;
  pair.run(200);
  uint8_t bytes[600] = {};
  const split_core_box box = flat(bytes);
  split_core_begin_epoch(pair.a.node, 3);
  split_core_begin_epoch(pair.b.node, 3);
  EXPECT_EQ(split_core_begin_recv(pair.a.node, 5, 0, &box),  // from itself
            static_cast<int>(split_core::ErrorCode::kBadArgument));
  EXPECT_EQ(split_core_begin_recv(pair.a.node, 5, 1, &box), 0);
  split_core_fail_with_timeout(pair.a.node);
  pair.run(50);
  char words[96];
  EXPECT_EQ(split_core_error(pair.b.node, words, sizeof words),
            static_cast<int>(split_core::ErrorCode::kTimeout));
  EXPECT_TEXT(words, "rank 1 (link 0, channel 5) did not deliver in time [seen by rank 0]");
  split_core_error_info info = {};
  split_core_get_error(pair.b.node, &info);
  EXPECT_EQ(info.rank, 1);
  EXPECT_EQ(info.channel, 5);
  EXPECT_EQ(info.reporter, 0);
  split_core_begin_epoch(pair.a.node, 4);
  split_core_begin_epoch(pair.b.node, 4);
  split_core_fail(pair.b.node, static_cast<uint8_t>(split_core::ErrorCode::kOperatorFailed), 1);
  pair.run(50);
  split_core_error(pair.a.node, words, sizeof words);
  EXPECT_TEXT(words, "rank 1 (link 0) failed in an operator; its own report says why "
                     "[seen by rank 1]");
}

TEST(c_a_link_says_whether_it_is_up_down_or_refused) {
  uint8_t code = 0;
  Pair pair;
  EXPECT_EQ(split_core_link_state(pair.a.node, 0, &code), 0);
  pair.run(200);
  EXPECT_EQ(split_core_link_state(pair.a.node, 0, &code), 1);
  EXPECT_EQ(code, 0);
  Pair strangers(8);
  strangers.run(300);
  EXPECT_EQ(split_core_link_state(strangers.a.node, 0, &code), 2);
  EXPECT_EQ(code, static_cast<uint8_t>(split_core::ErrorCode::kFingerprintMismatch));
  char words[96];
  EXPECT_EQ(split_core_link_error(strangers.a.node, words, sizeof words), code);
  EXPECT_TEXT(words, "rank 1 (link 0) runs another plan; flash it from this one [seen by rank 0]");
  Pair alone;
  alone.connected = false;
  alone.run(1'000);
  EXPECT_EQ(split_core_link_state(alone.a.node, 0, &code), 0);
  EXPECT_EQ(code, static_cast<uint8_t>(split_core::ErrorCode::kPeerSilent));
}

TEST(c_a_full_port_takes_no_more) {
  Side side(0);
  const std::vector<uint8_t> garbage(10'000, 0x55);
  const size_t taken = split_core_feed(side.node, 0, garbage.data(), garbage.size());
  EXPECT(taken > 1'000 && taken < garbage.size());
  EXPECT_EQ(split_core_feed(side.node, 0, garbage.data(), garbage.size()), 0u);
  split_core_poll(side.node, 1);
  EXPECT(split_core_feed(side.node, 0, garbage.data(), garbage.size()) > 0);
}
