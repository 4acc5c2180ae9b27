// SPDX-License-Identifier: Apache-2.0
// Whole clusters: random schedules over every topology, with and without faults, byte for byte.
#include "check.h"
#include "workload.h"

namespace {

using namespace sim;

Faults some_faults() {
  Faults faults;
  faults.flip = 2e-5;
  faults.drop = 2e-5;
  faults.duplicate = 5e-6;
  faults.garbage = 1e-5;
  faults.stall = 1e-5;
  return faults;
}

void run_random(Topology topology, uint8_t nodes, uint64_t seed, const Faults& faults,
                uint8_t rx_slots, uint8_t tx_slots) {
  Options options;
  options.topology = topology;
  options.nodes = nodes;
  options.seed = seed;
  options.faults = faults;
  options.rx_slots = rx_slots;
  options.tx_slots = tx_slots;
  Cluster cluster(options);
  Random random(seed);
  Workload workload(cluster);
  workload.add_random(6, 2500, 8000, random);
  const bool ready = cluster.run_until_ready(3'000'000);
  const bool ran = ready && workload.run(7, 60'000'000);
  const bool good = ran && workload.exact();
  if (!good) {
    std::printf("%s of %d, seed %llu: ready %d ran %d exact %d\n", name(topology), nodes,
                static_cast<unsigned long long>(seed), ready, ran, workload.exact());
    for (uint8_t rank = 0; rank < nodes; ++rank) {
      char text[120];
      format_error(cluster.node(rank).communicator().error(), text, sizeof(text));
      std::printf("  rank %d: %s\n", rank, text);
    }
  }
  EXPECT(good);
  EXPECT_EQ(cluster.total_counters().over_credit, 0u);
  EXPECT_EQ(cluster.total_counters().dropped, 0u);
}

}  // namespace

TEST(random_schedules_without_faults) {
  for (uint8_t nodes = 2; nodes <= 8; ++nodes) {
    run_random(Topology::kRing, nodes, nodes, Faults{}, 4, 4);
    run_random(Topology::kLine, nodes, nodes, Faults{}, 4, 4);
    run_random(Topology::kStar, nodes, nodes, Faults{}, 4, 4);
    run_random(Topology::kBus, nodes, nodes, Faults{}, 2, 4);
  }
}

TEST(random_schedules_with_faults) {
  for (uint8_t nodes = 2; nodes <= 8; ++nodes) {
    run_random(Topology::kRing, nodes, 10u + nodes, some_faults(), 4, 4);
    run_random(Topology::kLine, nodes, 20u + nodes, some_faults(), 4, 4);
    run_random(Topology::kStar, nodes, 30u + nodes, some_faults(), 3, 4);
    run_random(Topology::kBus, nodes, 80u + nodes, some_faults(), 2, 4);
  }
}

// The least that the routing proof allows: two transit slots a link, one slot for our own frames.
TEST(random_schedules_with_the_smallest_buffers) {
  for (uint8_t nodes = 3; nodes <= 8; ++nodes) {
    run_random(Topology::kRing, nodes, 40u + nodes, Faults{}, 2, 1);
    run_random(Topology::kRing, nodes, 50u + nodes, some_faults(), 2, 1);
    run_random(Topology::kLine, nodes, 60u + nodes, some_faults(), 2, 1);
    run_random(Topology::kStar, nodes, 70u + nodes, some_faults(), 2, 1);
  }
}

// Every rank floods the far side in the same direction: all transit slots of the ring fill up. This
// is the cyclic dependency that locks a ring up when frames may enter it without leaving a hole.
TEST(ring_does_not_lock_up_when_all_send_the_same_way) {
  for (uint8_t tx_slots = 1; tx_slots <= 4; ++tx_slots) {
    for (uint8_t distance = 2; distance <= 4; ++distance) {
      Options options;
      options.topology = Topology::kRing;
      options.nodes = 8;
      options.rx_slots = 2;
      options.tx_slots = tx_slots;
      Cluster cluster(options);
      Random random(distance);
      Workload workload(cluster);
      const uint32_t extent[4] = {1, 1, 1, 6000};
      std::vector<size_t> messages;
      for (uint8_t rank = 0; rank < 8; ++rank) {
        const auto to = static_cast<uint8_t>((rank + distance) % 8);
        messages.push_back(workload.add_message(rank, rank_bit(to), extent, 1, random, true));
        workload.send(messages.back());
      }
      for (uint8_t rank = 0; rank < 8; ++rank) {
        workload.recv(static_cast<uint8_t>((rank + distance) % 8), {messages[rank]});
      }
      EXPECT(cluster.run_until_ready(1'000'000));
      EXPECT(workload.run(1, 2'000'000));
      EXPECT(workload.exact());
    }
  }
}

// Rank 2 can only receive the multicast after rank 1 got it and answered: a multicast that waited
// for all of its receivers would wait for ever.
TEST(multicast_serves_who_is_ready_when_another_depends_on_it) {
  Options options;
  options.nodes = 3;
  Cluster cluster(options);
  Random random(3);
  Workload workload(cluster);
  const uint32_t extent[4] = {1, 3, 5, 7};
  const size_t multicast =
      workload.add_message(0, rank_bit(1) | rank_bit(2), extent, 4, random, false);
  const size_t answer = workload.add_message(1, rank_bit(2), extent, 1, random, false);
  workload.send(multicast);
  workload.recv(1, {multicast});
  workload.send(answer);
  workload.recv(2, {answer});
  workload.recv(2, {multicast});
  EXPECT(cluster.run_until_ready(1'000'000));
  EXPECT(workload.run(1, 1'000'000));
  EXPECT(workload.exact());
}

// A broadcast crosses every wire of a line once, and a ring's wires once but for the one that
// stays unused.
TEST(broadcast_crosses_each_wire_once) {
  for (Topology topology : {Topology::kLine, Topology::kRing, Topology::kStar}) {
    Options options;
    options.topology = topology;
    options.nodes = 6;
    Cluster cluster(options);
    std::vector<std::vector<uint8_t>> buffers;
    std::vector<std::unique_ptr<FrameDecoder>> taps;
    std::vector<Pipe*> wires;
    for (uint8_t rank = 0; rank < 6; ++rank) {
      for (uint8_t link = 0; link < cluster.config(rank).link_count; ++link) {
        buffers.push_back(std::vector<uint8_t>(256));
        taps.push_back(std::make_unique<FrameDecoder>(MutableBytes(buffers.back().data(), 256)));
        wires.push_back(&cluster.wire_from(rank, link));
        wires.back()->tap = taps.back().get();
        wires.back()->tap_buffer = buffers.back().data();
      }
    }
    Random random(9);
    Workload workload(cluster);
    const uint32_t extent[4] = {1, 1, 1, 10 * 228};  // ten full frames of MTU 256
    const size_t message = workload.add_message(0, 0b111110, extent, 1, random, true);
    workload.send(message);
    for (uint8_t rank = 1; rank < 6; ++rank) workload.recv(rank, {message});
    EXPECT(cluster.run_until_ready(1'000'000));
    EXPECT(workload.run(1, 1'000'000));
    EXPECT(workload.exact());
    uint64_t frames = 0;
    for (Pipe* wire : wires) {
      EXPECT(wire->data_frames_carried == 0 || wire->data_frames_carried == 10);
      frames += wire->data_frames_carried;
    }
    EXPECT_EQ(frames, 50u);  // five receivers, each reached over one wire
  }
}

// Rank 1 of a line computes for long without polling. Its receive FIFO is just as large as
// ByteStream asks for: credits must keep it from overflowing, and traffic through it waits.
TEST(busy_node_is_never_overrun) {
  Options options;
  options.nodes = 3;
  options.mtu_bytes = 512;
  Cluster cluster(options);
  Random random(4);
  Workload workload(cluster);
  workload.add_all_gather(20'000, random);
  workload.kernel(1, 900'000);
  EXPECT(cluster.run_until_ready(1'000'000));
  cluster.busy_for(1, 700'000);
  EXPECT(workload.run(1, 3'000'000));
  EXPECT(workload.exact());
  EXPECT_EQ(cluster.overruns(), 0u);
  EXPECT_EQ(cluster.total_counters().frames_resent, 0u);
  EXPECT(cluster.total_counters().polls > 0);
}

// Several inferences in a row, with a rank that runs ahead into the next one.
TEST(epochs_may_overlap_between_ranks) {
  Options options;
  options.nodes = 3;
  Cluster cluster(options);
  EXPECT(cluster.run_until_ready(1'000'000));
  for (uint16_t epoch = 65534; epoch != 3; ++epoch) {  // over the wrap
    Random random(epoch);
    Workload workload(cluster);
    workload.add_all_gather(1000, random);
    EXPECT(workload.run(epoch, 1'000'000));
    EXPECT(workload.exact());
  }
  // Rank 2 asks for epoch 4's data while rank 0 is still in epoch 3.
  uint8_t data[600], got[600] = {};
  for (size_t i = 0; i < 600; ++i) data[i] = static_cast<uint8_t>(i * 7);
  cluster.node(2).communicator().begin_epoch(4);
  EXPECT(cluster.node(2).communicator().begin_recv(1, 0, StridedBox::flat(got, 600)).ok());
  cluster.node(0).communicator().begin_epoch(3);
  cluster.run_for(20'000);
  EXPECT(cluster.node(0).communicator().post_send(2, rank_bit(1), StridedBox::flat(data, 600)).ok());
  cluster.run_for(20'000);
  EXPECT(!cluster.node(2).communicator().recvs_complete());
  cluster.node(0).communicator().begin_epoch(4);
  EXPECT(cluster.node(0).communicator().post_send(1, rank_bit(2), StridedBox::flat(data, 600)).ok());
  EXPECT(cluster.run_until([&] { return cluster.node(2).communicator().recvs_complete(); }, 100'000));
  EXPECT(std::memcmp(data, got, 600) == 0);
}
