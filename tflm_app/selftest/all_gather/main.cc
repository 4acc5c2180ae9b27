// SPDX-License-Identifier: Apache-2.0
// Link self-test through split_core: every rank sends its part of a block to all others, round
// the ring by the shorter way, or over Ethernet, and compares the whole block. Bytes that the wires
// lose, change or repeat must not show.
//
// Arguments: rank, world_size (2 to 8), bytes of the whole block (default 102400, a multiple of
// world_size), rounds (default 1), timeout_ms per wait (default 60000).
#include <cstdio>

#include "split_core/node.h"
#include "split_port/ethernet_frame.h"
#include "split_port/port.h"

// Boards without start-up arguments get these from build_flags.
#ifndef SELFTEST_RANK
#define SELFTEST_RANK 0
#endif
#ifndef SELFTEST_WORLD_SIZE
#define SELFTEST_WORLD_SIZE 2
#endif
#ifndef SELFTEST_BYTES
#define SELFTEST_BYTES 102400
#endif

namespace {

using split_core::Error;
using split_core::LinkConfig;
using split_core::Node;
using split_core::NodeConfig;
using split_core::rank_bit;

#if defined(SPLIT_PORT_ETHERNET)
constexpr uint32_t kMaxWorldSize = SPLIT_PORT_PEERS + 1;
constexpr uint8_t kMostLinks = SPLIT_PORT_PEERS;
#else
constexpr uint32_t kMaxWorldSize = 8;
constexpr uint8_t kMostLinks = 2;
#endif

constexpr NodeConfig largest_config() {
  NodeConfig config;
  config.link_count = kMostLinks;
  return config;
}

alignas(8) uint8_t g_node_memory[Node::required_bytes(largest_config())];
alignas(4) uint8_t g_block[SELFTEST_BYTES];

struct Job {
  uint32_t rank;
  uint32_t world_size;
  uint32_t total_bytes;
  uint32_t timeout_us;
  uint32_t part_bytes() const { return total_bytes / world_size; }
  uint8_t* part(uint32_t of_rank) const { return g_block + of_rank * part_bytes(); }
};

// xorshift32 (Marsaglia 2003), seeded by rank and round: every rank can draw everyone's bytes.
class Pattern {
 public:
  Pattern(uint32_t rank, uint32_t round) : state_(0x9E3779B9u ^ (rank << 8) ^ (round << 20)) {}
  uint8_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return static_cast<uint8_t>(state_ >> 24);
  }

 private:
  uint32_t state_;
};

template <typename... Values>
void print(const char* format, Values... values) {
  char line[160];
  std::snprintf(line, sizeof line, format, static_cast<unsigned long>(values)...);
  split_port::console_write(line);
}

[[noreturn]] void fail(const char* what) {
  split_port::console_write("FAIL all_gather: ");
  split_port::console_write(what);
  split_port::console_write("\n");
  split_port::stop(1);
}

void check(const Error& error) {
  if (error.ok()) return;
  char text[96];
  split_core::format_error(error, text, sizeof text);
  fail(text);
}

Job read_job() {
  const auto number = [](const char* key, int32_t otherwise) {
    return static_cast<uint32_t>(split_port::argument_or(key, otherwise));
  };
  Job job;
  job.rank = number("rank", SELFTEST_RANK);
  job.world_size = number("world_size", SELFTEST_WORLD_SIZE);
  job.total_bytes = number("bytes", SELFTEST_BYTES);
  job.timeout_us = number("timeout_ms", 60'000) * 1000;
  if (job.world_size < 2 || job.world_size > kMaxWorldSize || job.rank >= job.world_size) {
    fail("world_size must be 2 to 8 and rank below it");
  }
  if (job.total_bytes > sizeof g_block || job.total_bytes % job.world_size != 0) {
    fail("bytes must be a multiple of world_size and fit the block");
  }
  return job;
}

// Keeps the ranks together. That a node's own links are up says nothing about those further on,
// and a frame for a link that is not up yet is dropped; and who leaves no longer forwards.
//   READY from all: every rank reaches this one.  ALL from all: every rank reaches every other.
//   DONE from all: nobody needs this rank any more.
class Barrier final : public split_core::DatagramHandler {
 public:
  void on_datagram(uint8_t source, uint16_t channel, split_core::ConstBytes) override {
    ready_ |= rank_bit(source);
    if (channel >= kAll) all_ |= rank_bit(source);
    if (channel >= kDone) done_ |= rank_bit(source);
  }

  // Starts nobody before every rank can reach every other one.
  void enter(const Job& job, Node& node) {
    const uint64_t others = other_ranks(job);
    const uint32_t begin_us = split_port::clock().now_us();
    while (all_ != others) {
      if (split_port::clock().now_us() - begin_us > job.timeout_us) fail("a rank is missing");
      announce(job, node, ready_ == others ? kAll : kReady);
    }
    announce(job, node, kAll);  // whoever missed the last one gets it now: every way is open
  }

  // Stays until the others are done too. The result is known already, so a lost goodbye is no
  // failure: after a while everybody leaves.
  void leave(const Job& job, Node& node) {
    const uint32_t begin_us = split_port::clock().now_us();
    while (done_ != other_ranks(job) && split_port::clock().now_us() - begin_us < job.timeout_us) {
      announce(job, node, kDone);
    }
    for (int again = 0; again < kGoodbyes; ++again) announce(job, node, kDone);
  }

 private:
  static constexpr uint16_t kReady = 1;
  static constexpr uint16_t kAll = 2;
  static constexpr uint16_t kDone = 3;
  static constexpr int kGoodbyes = 10;
  static constexpr uint32_t kRestUs = 20'000;

  static uint64_t other_ranks(const Job& job) {
    return ((uint64_t{1} << job.world_size) - 1) & ~rank_bit(static_cast<uint8_t>(job.rank));
  }

  // One datagram to all others, if there is room for one, and a rest in which bytes move.
  void announce(const Job& job, Node& node, uint16_t channel) {
    node.communicator().send_datagram(other_ranks(job), channel, split_core::ConstBytes());
    const uint32_t begin_us = split_port::clock().now_us();
    while (split_port::clock().now_us() - begin_us < kRestUs) {
      node.poll();
      split_port::clock().idle();
    }
  }

  uint64_t ready_ = 0;
  uint64_t all_ = 0;
  uint64_t done_ = 0;
};

Barrier g_barrier;

Node* make_node(const Job& job, const LinkConfig* links, uint8_t link_count,
                split_core::ByteStream* const* streams) {
  NodeConfig config = largest_config();
  config.rank = static_cast<uint8_t>(job.rank);
  config.world_size = config.node_count = static_cast<uint8_t>(job.world_size);
  config.link_count = link_count;
  config.boot_nonce = split_port::boot_nonce();
  config.links = links;
  return Node::create(g_node_memory, sizeof g_node_memory, config, streams, split_port::clock(),
                      &g_barrier);
}

#if defined(SPLIT_PORT_ETHERNET)
Node* make_any_node(const Job& job) {
  split_port::SegmentPlace place;
  place.rank = static_cast<uint8_t>(job.rank);
  place.world_size = static_cast<uint8_t>(job.world_size);
  split_port::join_segment(place);
  LinkConfig links[kMostLinks];
  static split_core::ByteStream* streams[kMostLinks];
  uint8_t count = 0;
  for (uint8_t rank = 0; rank < job.world_size; ++rank) {
    if (rank == job.rank) continue;
    streams[count] = &split_port::link(count);
    links[count].peer_rank = rank;
    links[count++].destinations = rank_bit(rank);
  }
  return make_node(job, links, count, streams);
}
#else
// The link on the shorter way to `to`; half way round, the next one.
size_t direction(const Job& job, uint32_t to) {
  const uint32_t ahead = (to + job.world_size - job.rank) % job.world_size;
  return ahead * 2 <= job.world_size ? split_port::kNextLink : split_port::kPreviousLink;
}

// Two devices have one wire between them: rank 0's next link, rank 1's previous link.
Node* make_any_node(const Job& job) {
  LinkConfig links[2];
  const size_t first = job.world_size == 2 && job.rank == 0 ? split_port::kNextLink
                                                            : split_port::kPreviousLink;
  const bool ring = job.world_size > 2;
  for (uint32_t rank = 0; rank < job.world_size; ++rank) {
    if (rank == job.rank) continue;
    links[ring ? direction(job, rank) : 0].destinations |= rank_bit(static_cast<uint8_t>(rank));
  }
  links[0].peer_rank = static_cast<uint8_t>((job.rank + job.world_size - 1) % job.world_size);
  links[1].peer_rank = static_cast<uint8_t>((job.rank + 1) % job.world_size);
  if (ring) {
    links[0].ring_next = 1;
    links[1].ring_next = 0;
  }
  static split_core::ByteStream* streams[2];
  streams[0] = &split_port::link(first);
  streams[1] = &split_port::link(split_port::kNextLink);
  return make_node(job, links, ring ? 2 : 1, streams);
}
#endif

void gather(const Job& job, Node& node, uint32_t round) {
  Pattern own(job.rank, round);
  for (uint32_t index = 0; index < job.total_bytes; ++index) g_block[index] = 0;
  for (uint32_t index = 0; index < job.part_bytes(); ++index) job.part(job.rank)[index] = own.next();

  split_core::Communicator& communicator = node.communicator();
  communicator.begin_epoch(static_cast<uint16_t>(round + 1));
  const uint64_t everyone = (uint64_t{1} << job.world_size) - 1;
  const auto box = [&job](uint32_t rank) {
    return split_core::StridedBox::flat(job.part(rank), job.part_bytes());
  };
  const auto self = static_cast<uint8_t>(job.rank);
  check(communicator.post_send(self, everyone & ~rank_bit(self), box(job.rank)));
  for (uint8_t rank = 0; rank < job.world_size; ++rank) {
    if (rank != self) check(communicator.begin_recv(rank, rank, box(rank)));
  }
  check(node.run_until_complete(job.timeout_us));
  check(node.run_until_idle(job.timeout_us));
}

void compare(const Job& job, uint32_t round) {
  for (uint32_t rank = 0; rank < job.world_size; ++rank) {
    Pattern expected(rank, round);
    for (uint32_t index = 0; index < job.part_bytes(); ++index) {
      if (job.part(rank)[index] == expected.next()) continue;
      print("FAIL all_gather: round %lu, byte %lu from rank %lu differs\n", round, index, rank);
      split_port::stop(1);
    }
  }
}

void print_counters(const Job& job, Node& node) {
  for (uint8_t index = 0; index < node.config().link_count; ++index) {
    const split_core::LinkCounters& c = node.link(index).counters();
    print("LINK rank=%lu link=%lu frames_sent=%lu frames_resent=%lu gaps=%lu bytes_sent=%lu\n",
          job.rank, index, c.frames_sent, c.frames_resent, c.gaps, c.bytes_sent);
  }
}

}  // namespace

int split_app_main() {
  const Job job = read_job();
  const auto rounds = static_cast<uint32_t>(split_port::argument_or("rounds", 1));
  Node* const node = make_any_node(job);
  if (node == nullptr) fail("split_core refuses this configuration");
  check(node->run_until_ready(job.timeout_us));
  g_barrier.enter(job, *node);
  print("READY all_gather: rank %lu\n", job.rank);
  const uint64_t begin_ticks = split_port::ticks();
  for (uint32_t round = 0; round < rounds; ++round) {
    gather(job, *node, round);
    compare(job, round);
  }
  const uint64_t elapsed = split_port::ticks() - begin_ticks;
  print_counters(job, *node);
  print("PASS all_gather: rank %lu of %lu, %lu bytes, %lu rounds in %lu ms\n", job.rank,
        job.world_size, job.total_bytes, rounds,
        elapsed * 1000 / split_port::ticks_per_second());
  g_barrier.leave(job, *node);
  return 0;
}
