// SPDX-License-Identifier: Apache-2.0
// A ring with a cut wire or a dead board is a line: DATAGRAMs go round the other way.
#include "check.h"
#include "workload.h"

namespace {

using namespace sim;

Options ring_of(uint8_t nodes) {
  Options options;
  options.topology = Topology::kRing;
  options.nodes = nodes;
  options.timing.peer_timeout_us = 60'000;
  return options;
}

uint64_t all_but(Cluster& cluster, uint8_t rank) {
  return (rank_bit(cluster.size()) - 1) & ~rank_bit(rank);
}

void set_cut(Cluster& cluster, uint8_t a, uint8_t b, bool cut) {
  cluster.wire_from(a, cluster.link_between(a, b)).cut = cut;
  cluster.wire_from(b, cluster.link_between(b, a)).cut = cut;
}

bool send(Cluster& cluster, uint8_t from, uint64_t to, uint8_t number) {
  return cluster.node(from).communicator().send_datagram(to, 1, ConstBytes(&number, 1));
}

// Every living rank sends to its neighbours until those that hear nothing have given them up.
void notice(Cluster& cluster) {
  for (uint8_t rank = 0; rank < cluster.size(); ++rank) {
    const auto next = static_cast<uint8_t>((rank + 1) % cluster.size());
    send(cluster, rank, rank_bit(next), 0);
    send(cluster, next, rank_bit(rank), 0);
  }
  cluster.run_for(600'000);
  for (uint8_t rank = 0; rank < cluster.size(); ++rank) cluster.datagrams(rank).clear();
}

// Each of `ranks` sends one datagram to all others of them, and each gets each of them once.
void check_all_reach_all(Cluster& cluster, uint64_t ranks) {
  for (uint8_t rank = 0; rank < cluster.size(); ++rank) cluster.datagrams(rank).clear();
  for (uint8_t from = 0; from < cluster.size(); ++from) {
    if ((ranks & rank_bit(from)) != 0) EXPECT(send(cluster, from, ranks & ~rank_bit(from), from));
  }
  cluster.run_for(50'000);
  for (uint8_t to = 0; to < cluster.size(); ++to) {
    uint64_t heard = 0;
    for (const Datagram& datagram : cluster.datagrams(to)) {
      EXPECT_EQ(heard & rank_bit(datagram.source), 0u);
      EXPECT_EQ(datagram.payload[0], datagram.source);
      heard |= rank_bit(datagram.source);
    }
    EXPECT_EQ(heard, (ranks & rank_bit(to)) != 0 ? ranks & ~rank_bit(to) : 0);
  }
}

uint64_t everybody(Cluster& cluster) { return rank_bit(cluster.size()) - 1; }

bool all_acknowledged(Cluster& cluster) {
  for (uint8_t rank = 0; rank < cluster.size(); ++rank) {
    for (uint8_t link = 0; link < 2; ++link) {
      Link& each = cluster.node(rank).link(link);
      if (each.state() == LinkState::kOpen && !each.all_acknowledged()) return false;
    }
  }
  return true;
}

uint64_t frames_sent(Cluster& cluster) { return cluster.total_counters().frames_sent; }

}  // namespace

TEST(cut_ring_is_a_line_for_datagrams_wherever_it_is_cut) {
  for (uint8_t nodes = 3; nodes <= 7; nodes = static_cast<uint8_t>(nodes + 2)) {
    Cluster cluster(ring_of(nodes));
    EXPECT(cluster.run_until_ready(500'000));
    check_all_reach_all(cluster, everybody(cluster));
    for (uint8_t rank = 0; rank < nodes; ++rank) {
      const auto next = static_cast<uint8_t>((rank + 1) % nodes);
      set_cut(cluster, rank, next, true);
      notice(cluster);
      EXPECT(cluster.node(rank).link(cluster.link_between(rank, next)).state() == LinkState::kLost);
      check_all_reach_all(cluster, everybody(cluster));
      set_cut(cluster, rank, next, false);
      EXPECT(cluster.run_until_ready(500'000));
      // Whole again: each frame by its table, on no wire twice.
      const uint64_t before = frames_sent(cluster);
      check_all_reach_all(cluster, everybody(cluster));
      EXPECT_EQ(frames_sent(cluster) - before, nodes * (nodes - 1u));
    }
  }
}

TEST(ring_with_a_dead_board_is_a_line_for_datagrams) {
  for (uint8_t dead = 0; dead < 6; dead += 2) {
    Cluster cluster(ring_of(6));
    EXPECT(cluster.run_until_ready(500'000));
    cluster.set_busy(dead, true);
    notice(cluster);
    check_all_reach_all(cluster, all_but(cluster, dead));
  }
}

// Two cuts: what is on the other side is out of reach, and no frame looks for it for ever.
TEST(ring_that_is_cut_twice_carries_no_frame_to_and_fro) {
  Cluster cluster(ring_of(6));
  EXPECT(cluster.run_until_ready(500'000));
  set_cut(cluster, 0, 1, true);
  set_cut(cluster, 3, 4, true);
  notice(cluster);
  check_all_reach_all(cluster, 0b001110);
  check_all_reach_all(cluster, 0b110001);
  const uint64_t before = frames_sent(cluster);
  for (uint8_t rank = 0; rank < 6; ++rank) {
    cluster.datagrams(rank).clear();
    EXPECT(send(cluster, rank, all_but(cluster, rank), rank));
  }
  EXPECT(cluster.run_until([&] { return all_acknowledged(cluster); }, 100'000));
  EXPECT(frames_sent(cluster) - before <= 6u * 4u);
  for (uint8_t rank = 0; rank < 6; ++rank) EXPECT_EQ(cluster.datagrams(rank).size(), 2u);
}

// With the least buffers all flood those behind a cut, while some do not poll: both directions and the
// two ends where frames turn back are one ring, which locks up without a hole in it.
TEST(datagrams_that_turn_back_lock_nothing_up) {
  Options options = ring_of(7);
  options.rx_slots = 2;
  options.tx_slots = 12;
  Cluster cluster(options);
  Random random(1);
  EXPECT(cluster.run_until_ready(500'000));
  set_cut(cluster, 1, 2, true);
  notice(cluster);
  constexpr uint8_t near[] = {6, 0, 1}, far[] = {4, 3, 2};
  uint32_t sent = 0;
  for (uint32_t step = 0; step < 5'000; ++step) {
    for (const uint8_t rank : near) sent += send(cluster, rank, rank_bit(2), 7);
    for (const uint8_t rank : far) sent += send(cluster, rank, rank_bit(1), 7);
    if (random.below(20) == 0) cluster.busy_for(static_cast<uint8_t>(random.below(7)), 500);
    cluster.step();
  }
  EXPECT(sent > 100);
  EXPECT(cluster.run_until([&] { return all_acknowledged(cluster); }, 1'000'000));
  check_all_reach_all(cluster, everybody(cluster));
  // What is bound to the plan's routes finds its slots free, too.
  Workload workload(cluster);
  const uint32_t extent[4] = {1, 1, 1, 6000};
  for (uint8_t from = 2; from < 6; ++from) {
    const auto to = static_cast<uint8_t>(from + 1);
    const size_t message = workload.add_message(from, rank_bit(to), extent, 1, random, true);
    workload.send(message);
    workload.recv(to, {message});
  }
  EXPECT(workload.run(1, 2'000'000));
  EXPECT(workload.exact());
}

// As rank 0 would send them to rank 1, `hops` round the other way.
FrameHeader from_rank_0(Cluster& cluster, uint8_t to, uint32_t hops) {
  FrameHeader header;
  header.type = FrameType::kDatagram;
  header.source = 0;
  header.destinations = rank_bit(to);
  header.credit = 2;
  header.offset = hops;
  const uint8_t link = cluster.link_between(1, 0);
  header.sequence = static_cast<uint8_t>(cluster.node(1).link(link).counters().frames_received);
  return header;
}

// Data keeps to the plan's routes, where the proof against lock-up holds for it: nothing is granted.
TEST(data_does_not_go_round) {
  Cluster cluster(ring_of(4));
  EXPECT(cluster.run_until_ready(500'000));
  set_cut(cluster, 0, 1, true);
  notice(cluster);
  cluster.begin_epoch(1);
  uint8_t bytes[8] = {1}, got[8] = {};
  EXPECT(cluster.node(1).communicator().begin_recv(1, 0, StridedBox::flat(got, 8)).ok());
  EXPECT(cluster.node(0).communicator().post_send(1, rank_bit(1), StridedBox::flat(bytes, 8)).ok());
  cluster.run_for(50'000);
  EXPECT(!cluster.node(1).communicator().recvs_complete());
  EXPECT_EQ(got[0], 0);
  for (uint8_t rank = 0; rank < 4; ++rank) EXPECT(cluster.node(rank).communicator().error().ok());
}

// A frame that has gone round a whole ring, or says so, is dropped.
TEST(datagram_that_went_too_far_is_dropped) {
  Cluster cluster(ring_of(4));
  EXPECT(cluster.run_until_ready(500'000));
  cluster.set_busy(0, true);
  const auto arrive = [&](uint32_t hops) {
    const uint8_t wire = cluster.link_between(0, 1);
    inject(cluster, 0, wire, from_rank_0(cluster, 3, hops), ConstBytes());
    cluster.run_for(10'000);
    return cluster.datagrams(3).size();
  };
  EXPECT_EQ(arrive(0), 0u);  // rank 3 lies behind rank 0, whose table would have known
  EXPECT_EQ(arrive(1), 1u);
  EXPECT_EQ(arrive(4), 1u);
  EXPECT_EQ(arrive(0xFFFFFFFFu), 1u);
  EXPECT_EQ(cluster.node(1).link(cluster.link_between(1, 0)).counters().dropped, 3u);
}
