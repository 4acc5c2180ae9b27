// SPDX-License-Identifier: Apache-2.0
// A START ahead: the next inference waits for the end of this one, while its input arrives.
#include "session.h"

using namespace device_session;

namespace {

constexpr uint8_t kAhead = Start::kAhead;

// Inference 7 is under way, its input taken; `during` happens while its kernels run.
struct Ahead {
  explicit Ahead(void (*during)(Ahead&), size_t memory_bytes = kBytes) : during_(during) {
    session.runner->set_next_input(MutableBytes(memory, memory_bytes));
    session.connect();
    session.graph->on_invoke = [](void* context) {
      auto& self = *static_cast<Ahead*>(context);
      self.used.push_back(self.session.graph->in[0]);
      if (self.used.size() == 1) self.during_(self);
    };
    session.graph->context = this;
    give(7, 70);
    session.start(7);
    session.turns(3'000);
  }
  // The host's side of an inference whose input begins with `value`.
  void give(uint16_t epoch, uint8_t value) {
    session.sent[0] = value;
    session.begin(epoch);
  }
  void pass(int steps) {
    while (steps-- > 0) session.pass();
  }
  void restart(uint16_t epoch, uint8_t value) {
    give(epoch, value);
    session.start(epoch);
    session.turns(3'000);
  }
  uint16_t told_epoch() {
    session.cluster.datagrams(1).clear();
    session.ask(kAskInfo);
    session.turns(500);
    const std::vector<uint8_t> info = session.last(MessageType::kInfo);
    return info.empty() ? uint16_t{0} : load_le<uint16_t>(info.data() + 12);
  }

  uint8_t memory[kBytes] = {};
  std::vector<uint8_t> used;  // first byte of the input of each inference that was run
  Session session;

 private:
  void (*during_)(Ahead&);
};

// The host's output of 7 is lost by that: the C++ host has one inference at a time.
void next_comes(Ahead& ahead) {
  ahead.session.start(8, 0, kAhead);
  ahead.pass(500);
  ahead.give(8, 80);
  ahead.pass(2'000);
}

}  // namespace

TEST(the_next_input_arrives_while_this_one_is_computed) {
  Ahead ahead([](Ahead& now) {
    next_comes(now);
    EXPECT_EQ(now.memory[0], 80);
    EXPECT_EQ(now.session.graph->in[0], 70);  // this one's is untouched
  });
  EXPECT_EQ(ahead.used.size(), 2u);
  EXPECT_EQ(ahead.used.back(), 80);
  EXPECT_EQ(ahead.session.count(MessageType::kReport), 2u);
  EXPECT(ahead.session.status() == ReportStatus::kDone);
  EXPECT_EQ(ahead.session.epoch(), 8);
  EXPECT_EQ(ahead.session.got[0], 81);
  EXPECT_EQ(ahead.session.control.info.inferences, 2u);
  ahead.restart(9, 90);  // and nothing is left behind
  EXPECT_EQ(ahead.used.back(), 90);
}

TEST(without_memory_the_next_input_comes_when_its_inference_begins) {
  for (const size_t bytes : {size_t{0}, kBytes - 1}) {
    Ahead ahead(
        [](Ahead& now) {
          next_comes(now);
          EXPECT_EQ(now.memory[0], 0);
        },
        bytes);
    EXPECT_EQ(ahead.used.size(), 2u);
    EXPECT_EQ(ahead.used.back(), 80);
    EXPECT_EQ(ahead.session.epoch(), 8);
  }
}

TEST(a_start_ahead_that_is_repeated_changes_nothing) {
  Ahead ahead([](Ahead& now) {
    for (int i = 0; i < 3; ++i) next_comes(now);
  });
  ahead.session.start(8, 0, kAhead);
  ahead.session.turns(500);
  EXPECT_EQ(ahead.used.size(), 2u);
  EXPECT_EQ(ahead.session.count(MessageType::kReport), 3u);  // that of 8 once more
}

TEST(a_start_and_the_one_behind_it_may_come_together) {
  Ahead ahead([](Ahead&) {});
  ahead.give(8, 80);
  ahead.session.start(8);
  ahead.session.start(9, 0, kAhead);
  ahead.session.on_step = [](Session& now) {
    if (now.control.info.epoch != 9) return;
    now.on_step = nullptr;
    EXPECT_EQ(now.graph->out[0], 81);  // 8 was run before it
    now.sent[0] = 90;
    now.begin(9);
  };
  ahead.session.turns(4'000);
  EXPECT_EQ(ahead.used.size(), 3u);
  EXPECT_EQ(ahead.used.back(), 90);
}

TEST(a_start_ahead_may_come_before_the_one_that_is_about_to_begin) {
  Ahead ahead([](Ahead&) {});
  for (const uint16_t epoch : {uint16_t{8}, uint16_t{9}}) {
    Start start;
    start.epoch = epoch;
    start.flags = kAhead;
    uint8_t bytes[kMaxControlBytes];
    const size_t size = pack(start, bytes);
    ahead.session.control.on_datagram(1, kControlChannel, ConstBytes(bytes, size));
  }
  EXPECT(ahead.session.control.has_start());
  EXPECT(ahead.session.control.has_queued());
  Start first, second;
  EXPECT(ahead.session.control.take_start(&first) && first.epoch == 8);
  EXPECT(ahead.session.control.take_start(&second) && second.epoch == 9);
}

TEST(a_start_ahead_is_heeded_only_behind_the_last_one) {
  Ahead ahead([](Ahead& now) {
    now.session.start(9, 0, kAhead);
    now.pass(500);
  });
  ahead.session.start(10, 0, kAhead);
  ahead.session.turns(1'000);
  EXPECT_EQ(ahead.used.size(), 1u);
  EXPECT_EQ(ahead.told_epoch(), 7);

  Session other;  // it has had no inference since its reset
  other.connect();
  other.start(8, 0, kAhead);
  other.turns(1'000);
  EXPECT_EQ(other.count(MessageType::kReport), 0u);
  EXPECT_EQ(other.graph->invoked, 0);
}

// A host that is started anew takes a number that no input is on its way for.
TEST(a_device_tells_the_number_that_it_has_asked_for) {
  Ahead ahead([](Ahead& now) {
    next_comes(now);
    now.session.graph->refuses = true;
  });
  EXPECT_EQ(ahead.used.size(), 1u);
  EXPECT_EQ(ahead.told_epoch(), 8);  // though it was never begun
}

TEST(a_fault_drops_the_inference_behind_it_and_its_input) {
  Ahead ahead([](Ahead& now) {
    next_comes(now);
    now.session.graph->refuses = true;
  });
  ahead.session.start(8, 0, kAhead);  // a late repetition
  ahead.session.turns(500);
  EXPECT_EQ(ahead.used.size(), 1u);
  EXPECT(ahead.session.status() == ReportStatus::kFault);
  EXPECT_EQ(ahead.session.epoch(), 7);
  ahead.session.graph->refuses = false;
  ahead.restart(9, 90);
  EXPECT_EQ(ahead.used.back(), 90);
  EXPECT(ahead.session.status() == ReportStatus::kDone);
}

TEST(a_fault_elsewhere_behind_the_end_drops_the_next_inference) {
  Ahead ahead([](Ahead&) {});
  ahead.session.host().fail(ErrorCode::kTimeout, 1, kNoLink, kNoChannel);
  ahead.session.turns(500);
  ahead.session.start(8, 0, kAhead);
  ahead.session.turns(500);
  EXPECT_EQ(ahead.used.size(), 1u);
  ahead.restart(9, 90);
  EXPECT_EQ(ahead.used.back(), 90);
}

TEST(another_host_s_start_ends_both) {
  Ahead ahead([](Ahead& now) {
    next_comes(now);
    now.give(9, 90);  // before this device has given the output of 7
    now.session.start(9);
    now.pass(500);
  });
  ahead.session.turns(2'000);
  EXPECT_EQ(ahead.used.size(), 2u);
  EXPECT_EQ(ahead.used.back(), 90);
  EXPECT_EQ(ahead.session.epoch(), 9);
}
