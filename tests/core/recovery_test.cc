// SPDX-License-Identifier: Apache-2.0
// How soon, and with how few repetitions, a link gets over what a wire loses. One frame of 256 bytes
// takes 430 us here, a poll by the clock 20,000.
#include "check.h"
#include "workload.h"

namespace {

using namespace sim;

constexpr uint32_t kFrameUs = 430;

// Two ranks that have exchanged enough to know their round trip.
struct LossyPair {
  LossyPair() : cluster(Options{}) {
    EXPECT(cluster.run_until_ready(500'000));
    cluster.begin_epoch(1);
    EXPECT(take(1) < 20'000);
  }
  LinkCounters& counters(uint8_t rank) { return cluster.node(rank).link(0).counters(); }

  // Has rank 1 receive `frames` full frames from rank 0; how long that takes.
  uint32_t take(uint32_t frames) {
    post(frames);
    const uint64_t start_us = cluster.clock().elapsed_us();
    EXPECT(cluster.run_until([&] { return receiver().recvs_complete(); }, 1'000'000));
    EXPECT(got == data);
    cluster.run_until([&] { return cluster.node(0).link(0).all_acknowledged(); }, 1'000'000);
    return static_cast<uint32_t>(cluster.clock().elapsed_us() - start_us);
  }
  void post(uint32_t frames) {
    const auto bytes = static_cast<uint32_t>(frames * max_payload_bytes(256));
    ++channel;
    data.assign(bytes, static_cast<uint8_t>(channel));
    got.assign(bytes, 0);
    EXPECT(receiver().begin_recv(channel, 0, StridedBox::flat(got.data(), bytes)).ok());
    EXPECT(cluster.node(0)
               .communicator()
               .post_send(channel, rank_bit(1), StridedBox::flat(data.data(), bytes))
               .ok());
  }
  // Until rank 0 has handed its k-th new frame from now on to the wire.
  void run_until_sent(uint32_t k) {
    const uint32_t wanted = counters(0).frames_sent + k;
    EXPECT(cluster.run_until([&] { return counters(0).frames_sent >= wanted; }, 100'000));
  }
  Communicator& receiver() { return cluster.node(1).communicator(); }
  Pipe& wire(uint8_t from) { return cluster.wire_from(from, 0); }
  // Lets the wire lose everything for a while; then how long until all is there and acknowledged.
  uint32_t cut_for(uint8_t from, uint32_t us) {
    wire(from).cut = true;
    cluster.run_for(us);
    wire(from).cut = false;
    const uint64_t start_us = cluster.clock().elapsed_us();
    EXPECT(cluster.run_until(
        [&] {
          return receiver().recvs_complete() && cluster.node(0).link(0).all_acknowledged();
        },
        1'000'000));
    EXPECT(got == data);
    return static_cast<uint32_t>(cluster.clock().elapsed_us() - start_us);
  }

  Cluster cluster;
  uint16_t channel = 0;
  std::vector<uint8_t> data, got;
};

}  // namespace

TEST(a_lost_frame_is_sent_again_alone) {
  LossyPair pair;
  pair.take(10);
  pair.post(20);
  pair.run_until_sent(6);
  pair.cut_for(0, kFrameUs);  // the end of one frame and the beginning of the next
  EXPECT(pair.counters(0).frames_resent >= 1);
  EXPECT(pair.counters(0).frames_resent <= 2);
  EXPECT_EQ(pair.counters(0).polls, 0u);
  EXPECT_EQ(pair.counters(1).duplicates, 0u);
}

TEST(a_lost_last_frame_is_noticed_within_a_few_frames) {
  LossyPair pair;
  pair.take(10);
  pair.post(1);
  pair.run_until_sent(1);
  const uint32_t us = pair.cut_for(0, kFrameUs + 100);
  EXPECT(pair.counters(0).frames_resent >= 1);
  EXPECT(us < 8 * kFrameUs);
}

TEST(a_lost_acknowledgement_is_asked_for_within_a_few_frames) {
  LossyPair pair;
  pair.take(10);
  pair.post(1);
  pair.run_until_sent(1);
  const uint32_t us = pair.cut_for(1, kFrameUs + 200);
  EXPECT_EQ(pair.counters(0).frames_resent, 0u);
  EXPECT(pair.counters(0).polls >= 1);
  EXPECT(us < 8 * kFrameUs);
}

// What is sent again is lost again, and so are NAKs, POLLs and their answers.
TEST(repetitions_that_are_lost_cost_no_time_out_by_the_clock) {
  LossyPair pair;
  const uint32_t clean_us = pair.take(200);
  for (uint8_t rank = 0; rank < 2; ++rank) pair.wire(rank).faults.flip = 1e-3;
  const uint32_t us = pair.take(200);
  std::printf("MEASURED 200 frames of 256 bytes, clean: %u us; one bit in 1000 bytes: %u us, %u sent again\n",
              clean_us, us, pair.counters(0).frames_resent);
  EXPECT(pair.cluster.fault_count() > 50);
  // A quarter of the frames is lost each time that it is sent.
  EXPECT(pair.counters(0).frames_resent < 120);
  EXPECT(us < 2 * clean_us);
}

// Three faults a thousand bytes of all kinds: a frame of 256 bytes arrives every second time.
TEST(a_wire_that_loses_every_second_frame_is_slow_but_no_more) {
  Options options;
  options.nodes = 4;
  options.topology = Topology::kRing;
  uint64_t clean_us = 0;
  for (double rate : {0.0, 1e-4, 1e-3}) {
    options.faults.flip = options.faults.drop = options.faults.duplicate = rate;
    Cluster cluster(options);
    Random random(9);
    Workload workload(cluster);
    workload.add_all_gather(10'000, random);
    EXPECT(cluster.run_until_ready(5'000'000));
    const uint64_t start_us = cluster.clock().elapsed_us();
    EXPECT(workload.run(1, 10'000'000));
    EXPECT(workload.exact());
    const uint64_t us = cluster.clock().elapsed_us() - start_us;
    if (rate == 0.0) clean_us = us;
    std::printf("MEASURED all_gather of 10 KB, ring of 4, %g of each fault a byte: %.2f of clean\n",
                rate, static_cast<double>(us) / static_cast<double>(clean_us));
    EXPECT(us < (rate < 5e-4 ? 2 : 20) * clean_us);
  }
}

// A peer inside a kernel has room for few POLLs beside what its credit allowed.
TEST(a_busy_peer_is_not_flooded_with_polls) {
  LossyPair pair;
  pair.take(20);
  pair.post(1);
  pair.run_until_sent(1);
  const uint32_t before = pair.counters(0).polls;
  pair.cluster.set_busy(1, true);
  pair.cluster.run_for(200'000);
  const uint32_t polls = pair.counters(0).polls - before;
  EXPECT(polls > 2);   // it is asked
  EXPECT(polls <= 8);  // 256 bytes
  pair.cluster.set_busy(1, false);
  EXPECT(pair.cluster.run_until([&] { return pair.receiver().recvs_complete(); }, 100'000));
  EXPECT_EQ(pair.cluster.overruns(), 0u);
  EXPECT_EQ(pair.counters(0).frames_resent, 0u);
}

// What was kept behind a gap is given up with the session: the slots are free again.
TEST(resets_while_frames_are_held_cost_no_slot) {
  LossyPair pair;
  for (uint16_t epoch = 2; epoch < 10; ++epoch) {
    pair.post(8);
    pair.run_until_sent(1);
    pair.wire(0).cut = true;
    pair.cluster.run_for(kFrameUs / 2);
    pair.wire(0).cut = false;
    const uint32_t before = pair.counters(1).gaps;
    EXPECT(pair.cluster.run_until([&] { return pair.counters(1).gaps > before; }, 10'000));
    pair.cluster.reset(0);
    EXPECT(pair.cluster.run_until_ready(500'000));
    pair.cluster.begin_epoch(epoch);
    pair.channel = 0;
  }
  EXPECT(pair.take(50) < 60 * kFrameUs);
}

// Damage tells at once that something is missing, also where no other frame follows and no round trip
// is known yet.
TEST(a_broken_last_frame_costs_no_wait) {
  Cluster cluster(Options{});
  EXPECT(cluster.run_until_ready(500'000));
  const uint8_t body[100] = {1};
  Communicator& zero = cluster.node(0).communicator();
  EXPECT(zero.send_datagram(rank_bit(1), 5, ConstBytes(body, 100)));
  const LinkCounters& counters = cluster.node(0).link(0).counters();
  EXPECT(cluster.run_until([&] { return counters.frames_sent > 0; }, 1'000));
  cluster.wire_from(0, 0).faults.flip = 0.05;
  cluster.run_for(60);
  cluster.wire_from(0, 0).faults.flip = 0;
  EXPECT(cluster.fault_count() > 0);
  EXPECT(cluster.run_until([&] { return cluster.datagrams(1).size() == 1; }, 2'000));
  EXPECT_EQ(counters.frames_resent, 1u);
}
