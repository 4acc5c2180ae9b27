// SPDX-License-Identifier: Apache-2.0
// Messages of the next inference, which arrive while this one is under way.
#include "check.h"
#include "sim.h"

namespace {

using namespace sim;

constexpr size_t kBytes = 700;  // two frames

// Rank 0 receives, rank 1 sends and is an inference ahead.
struct NextPair {
  NextPair() : cluster(options()) {
    EXPECT(cluster.run_until_ready(500'000));
    for (size_t i = 0; i < kBytes; ++i) {
      first[i] = static_cast<uint8_t>(i);
      second[i] = static_cast<uint8_t>(3 * i + 1);
    }
    to().begin_epoch(5);
  }
  static Options options() {
    Options options;
    options.nodes = 2;
    return options;
  }
  Communicator& to() { return cluster.node(0).communicator(); }
  Communicator& from() { return cluster.node(1).communicator(); }
  static StridedBox box(uint8_t* bytes) { return StridedBox::flat(bytes, kBytes); }
  void send(uint16_t epoch, uint8_t* bytes) {
    from().begin_epoch(epoch);
    EXPECT(from().post_send(9, rank_bit(0), box(bytes)).ok());
    cluster.run_for(50'000);
  }
  static bool same(const uint8_t* a, const uint8_t* b) { return std::memcmp(a, b, kBytes) == 0; }

  Cluster cluster;
  uint8_t first[kBytes], second[kBytes];
  uint8_t memory[kBytes] = {}, arena[kBytes] = {}, zeros[kBytes] = {};
};

}  // namespace

TEST(the_next_inference_s_message_comes_while_this_one_runs) {
  NextPair pair;
  EXPECT(pair.to().begin_recv(9, 1, NextPair::box(pair.arena)).ok());
  pair.send(5, pair.first);
  EXPECT(pair.to().ask_next(9, 1, NextPair::box(pair.memory)).ok());
  pair.send(6, pair.second);
  EXPECT(pair.to().recvs_complete());  // nothing waits for it
  EXPECT(NextPair::same(pair.arena, pair.first));
  EXPECT(NextPair::same(pair.memory, pair.second));
  pair.to().begin_epoch(6);
  EXPECT(NextPair::same(pair.arena, pair.first));
  EXPECT(pair.to().begin_recv(9, 1, NextPair::box(pair.arena)).ok());
  EXPECT(pair.to().recvs_complete());
  EXPECT(NextPair::same(pair.arena, pair.second));
  EXPECT(pair.to().error().ok());
}

TEST(the_same_message_of_two_inferences_is_asked_for_at_one_time) {
  NextPair pair;
  EXPECT(pair.to().begin_recv(9, 1, NextPair::box(pair.arena)).ok());
  EXPECT(pair.to().ask_next(9, 1, NextPair::box(pair.memory)).ok());
  EXPECT(pair.to().ask_next(9, 1, NextPair::box(pair.memory)).code == ErrorCode::kBadArgument);
  pair.send(5, pair.first);
  EXPECT(NextPair::same(pair.arena, pair.first));
  EXPECT(NextPair::same(pair.memory, pair.zeros));
  pair.send(6, pair.second);
  EXPECT(NextPair::same(pair.arena, pair.first));
  EXPECT(NextPair::same(pair.memory, pair.second));
}

TEST(what_is_under_way_comes_where_the_next_inference_wants_it) {
  NextPair pair;
  EXPECT(pair.to().ask_next(9, 1, NextPair::box(pair.memory)).ok());
  pair.cluster.run_for(5'000);
  pair.from().begin_epoch(6);
  EXPECT(pair.from().post_send(9, rank_bit(0), NextPair::box(pair.second)).ok());
  while (NextPair::same(pair.memory, pair.zeros)) pair.cluster.step();
  EXPECT(!NextPair::same(pair.memory, pair.second));  // one frame of two
  pair.to().begin_epoch(6);
  EXPECT(pair.to().begin_recv(9, 1, NextPair::box(pair.arena)).ok());
  EXPECT(!pair.to().recvs_complete());
  pair.cluster.run_for(50'000);
  EXPECT(pair.to().recvs_complete());
  EXPECT(NextPair::same(pair.arena, pair.second));
}

TEST(a_later_message_that_nobody_asked_for_is_refused) {
  NextPair pair;
  EXPECT(pair.to().begin_recv(9, 1, NextPair::box(pair.arena)).ok());
  EXPECT(pair.to().ask_next(8, 1, NextPair::box(pair.memory)).ok());
  pair.cluster.run_for(5'000);
  pair.cluster.set_busy(1, true);
  FrameHeader header;
  header.type = FrameType::kData;
  header.source = 1;
  header.destinations = rank_bit(0);
  header.channel = 9;
  header.epoch = 6;  // asked for: channel 9 of inference 5, channel 8 of inference 6
  header.ack = 2;
  header.credit = 4;
  inject(pair.cluster, 1, 0, header, ConstBytes(pair.second, 100));
  pair.cluster.run_for(20'000);
  EXPECT(pair.to().error().code == ErrorCode::kUnexpectedData);
  EXPECT(NextPair::same(pair.arena, pair.zeros));
  EXPECT(NextPair::same(pair.memory, pair.zeros));
}

TEST(a_fault_ends_the_next_inference_s_message_too) {
  NextPair pair;
  EXPECT(pair.to().ask_next(9, 1, NextPair::box(pair.memory)).ok());
  pair.send(6, pair.second);
  pair.to().fail(ErrorCode::kTimeout, 0, kNoLink, kNoChannel);
  EXPECT(!pair.to().ask_next(9, 1, NextPair::box(pair.memory)).ok());
  pair.to().begin_epoch(6);
  EXPECT(pair.to().begin_recv(9, 1, NextPair::box(pair.arena)).ok());
  EXPECT(!pair.to().recvs_complete());
  EXPECT(NextPair::same(pair.arena, pair.zeros));
}

TEST(another_inference_than_the_next_gets_nothing_of_it) {
  NextPair pair;
  EXPECT(pair.to().ask_next(9, 1, NextPair::box(pair.memory)).ok());
  pair.send(6, pair.second);
  pair.to().begin_epoch(7);
  EXPECT(pair.to().begin_recv(9, 1, NextPair::box(pair.arena)).ok());
  EXPECT(!pair.to().recvs_complete());
  EXPECT(NextPair::same(pair.arena, pair.zeros));
  pair.send(7, pair.first);
  EXPECT(NextPair::same(pair.arena, pair.first));
  EXPECT(pair.to().error().ok());
}

TEST(what_was_asked_for_an_inference_that_never_began_is_forgotten) {
  NextPair pair;
  EXPECT(pair.to().ask_next(9, 1, NextPair::box(pair.memory)).ok());
  pair.to().begin_epoch(6);  // whose it is
  EXPECT(pair.to().is_receiving(pair.memory, kBytes));
  pair.to().begin_epoch(7);
  EXPECT(!pair.to().is_receiving(pair.memory, kBytes));
  EXPECT(pair.to().ask_next(9, 1, NextPair::box(pair.memory)).ok());
  pair.to().begin_epoch(9);
  EXPECT(!pair.to().is_receiving(pair.memory, kBytes));
}

TEST(the_next_inference_s_number_wraps_around) {
  NextPair pair;
  pair.to().begin_epoch(0xFFFF);
  EXPECT(pair.to().ask_next(9, 1, NextPair::box(pair.memory)).ok());
  pair.send(0, pair.second);
  EXPECT(NextPair::same(pair.memory, pair.second));
}
