// SPDX-License-Identifier: Apache-2.0
// The life of a device as its host sees it.
#include "session.h"

using namespace device_session;

TEST(an_inference_is_run_and_reported) {
  Session session;
  session.connect();
  EXPECT(session.printed("LINKS UP rank 0"));
  session.begin(7);
  session.start(7);
  session.turns(3'000);
  EXPECT(session.status() == ReportStatus::kDone);
  EXPECT_EQ(session.epoch(), 7);
  EXPECT_EQ(session.count(MessageType::kText), 0u);  // nothing to explain
  for (size_t i = 0; i < kBytes; ++i) EXPECT_EQ(session.got[i], session.sent[i] + 1);
  EXPECT_EQ(session.graph->invoked, 1);
  EXPECT_EQ(session.control.info.inferences, 1u);
  EXPECT(session.control.info.state == DeviceState::kIdle);
  EXPECT(session.printed("DONE rank 0 epoch 7 graph_us "));
}

TEST(a_start_that_is_repeated_repeats_the_report_and_nothing_else) {
  Session session;
  session.connect();
  session.begin(7);
  session.start(7);
  session.turns(3'000);
  session.cluster.datagrams(1).clear();
  session.start(7);
  session.turns(500);
  EXPECT(session.status() == ReportStatus::kDone);
  EXPECT_EQ(session.graph->invoked, 1);
  session.start(6);
  session.turns(500);
  EXPECT(session.status() == ReportStatus::kStale);
  EXPECT_EQ(session.epoch(), 7);  // the one that it knows
  EXPECT_EQ(session.graph->invoked, 1);
}

TEST(only_the_host_is_listened_to_and_only_on_its_channel) {
  Session session;
  session.connect();
  session.begin(7);
  Start start;
  start.epoch = 7;
  session.tell(start, kControlChannel + 1);
  session.turns(500);
  EXPECT(!session.control.has_start());
  uint8_t bytes[kMaxControlBytes];
  const size_t size = pack(start, bytes);
  session.control.on_datagram(0, kControlChannel, ConstBytes(bytes, size));
  EXPECT(!session.control.has_start());
  session.control.on_datagram(1, kControlChannel, ConstBytes(bytes, size));
  EXPECT(session.control.has_start());
}

int g_fed = 0;

TEST(ticks_feed_the_watchdog_only_so_often_after_a_sign_of_life) {
  Watchdog watchdog;
  g_fed = 0;
  watchdog.tick();
  watchdog.alive();
  EXPECT_EQ(g_fed, 0);  // not begun
  watchdog.begin([] { ++g_fed; }, 3);
  EXPECT_EQ(g_fed, 1);
  for (int tick = 0; tick < 10; ++tick) watchdog.tick();
  EXPECT_EQ(g_fed, 4);
  watchdog.alive();
  for (int tick = 0; tick < 10; ++tick) watchdog.tick();
  EXPECT_EQ(g_fed, 8);
}

TEST(a_device_that_waits_and_one_that_infers_give_signs_of_life) {
  Session session;
  Watchdog watchdog;
  g_fed = 0;
  watchdog.begin([] { ++g_fed; }, 0);
  session.exchange->set_watchdog(&watchdog);
  session.connect();
  const int while_idle = g_fed;
  EXPECT(while_idle > 1);
  session.begin(7);
  session.start(7);
  while (session.graph->invoked == 0) session.turns(1);
  EXPECT(g_fed > while_idle + 1);
  session.turns(500);
  EXPECT(session.status() == ReportStatus::kDone);
}

TEST(a_graph_that_fails_without_a_word_is_a_fault_of_this_rank) {
  Session session;
  session.connect();
  session.graph->fails = true;
  session.begin(7);
  session.start(7);
  session.turns(3'000);
  EXPECT(session.status() == ReportStatus::kFault);
  EXPECT_TEXT(session.words().c_str(), "an operator: failed");
  EXPECT(session.host().error().code == ErrorCode::kOperatorFailed);
  EXPECT_EQ(session.host().error().rank, 0);
  EXPECT_EQ(session.control.info.faults, 1u);
  EXPECT(session.printed("FAULT rank 0 epoch 7: an operator: failed"));
}

TEST(a_graph_that_refuses_says_why_and_the_next_inference_is_run) {
  Session session;
  session.connect();
  session.graph->refuses = true;
  session.begin(7);
  session.start(7);
  session.turns(3'000);
  EXPECT(session.status() == ReportStatus::kFault);
  EXPECT_TEXT(session.words().c_str(), "TFLSPLIT_CONV_2D: option 'pads' is missing");
  session.graph->refuses = false;
  session.begin(8);
  session.start(8);
  session.turns(3'000);
  EXPECT(session.status() == ReportStatus::kDone);
  EXPECT_EQ(session.epoch(), 8);
  EXPECT_EQ(session.control.info.inferences, 1u);
  EXPECT_EQ(session.control.info.faults, 1u);
}

TEST(the_time_out_is_that_of_the_start) {
  for (const uint32_t given_ms : {0u, 20u, UINT32_MAX}) {
    Session session;
    session.connect();
    session.host().begin_epoch(7);  // and sends no input
    session.start(7, given_ms);
    while (!session.control.has_start()) session.turns(1);
    const uint64_t begun_us = session.cluster.clock().elapsed_us();
    session.turns(1);
    const uint64_t took_us = session.cluster.clock().elapsed_us() - begun_us;
    const uint64_t wanted_us = given_ms == 20 ? 20'000 : 60'000;  // what cannot be is the default
    EXPECT(took_us >= wanted_us && took_us < wanted_us + 5'000);
    session.turns(1'000);
    EXPECT(session.status() == ReportStatus::kFault);
    EXPECT_TEXT(session.words().c_str(),
                "rank 1 (link 0, channel 61440) did not deliver in time [seen by rank 0]");
    EXPECT_EQ(session.graph->invoked, 0);
  }
}

TEST(a_later_start_ends_an_inference_that_waits) {
  Session session;
  session.connect();
  session.host().begin_epoch(7);  // no input
  session.start(7, 10'000);
  session.on_step = [](Session& now) {
    if (now.control.info.state != DeviceState::kBusy || now.control.info.epoch != 7) return;
    now.on_step = nullptr;
    now.begin(8);
    now.start(8);
  };
  session.turns(4'000);
  EXPECT(session.printed("FAULT rank 0 epoch 7: a later START"));
  EXPECT_EQ(session.count(MessageType::kReport), 1u);  // of the later one
  EXPECT(session.status() == ReportStatus::kDone);
  EXPECT_EQ(session.epoch(), 8);
  EXPECT(session.cluster.clock().elapsed_us() < 5'000'000);
}

void survey(Session& session) {
  FrameHeader header;
  header.type = FrameType::kSurvey;
  const uint8_t payload[8] = {1, 1};
  inject(session.cluster, 1, 0, header, ConstBytes(payload, sizeof payload));
}

// Where a neighbour died, nobody may be able to tell this device so.
TEST(a_survey_ends_an_inference_that_goes_on_waiting) {
  Session session;
  session.connect();
  session.cluster.run_for(300'000);
  session.host().begin_epoch(7);  // no input
  session.start(7, 10'000);
  session.on_step = [](Session& now) {
    if (now.control.info.state != DeviceState::kBusy) return;
    now.on_step = nullptr;
    survey(now);
  };
  session.turns(1'000);
  EXPECT(session.on_step == nullptr);
  EXPECT(session.printed("FAULT rank 0 epoch 7: given up for a survey"));
  EXPECT_EQ(session.count(MessageType::kReport), 0u);  // nobody is interested in it
  EXPECT(session.runner->is_surveyed());
  EXPECT(session.cluster.clock().elapsed_us() > 600'000);
  EXPECT(session.cluster.clock().elapsed_us() < 3'000'000);
}

TEST(an_inference_that_ends_soon_behind_a_survey_is_done) {
  Session session;
  session.connect();
  session.cluster.run_for(300'000);
  session.begin(7);
  session.start(7);
  session.on_step = [](Session& now) {
    if (now.control.info.state != DeviceState::kBusy) return;
    now.on_step = nullptr;
    survey(now);
  };
  session.turns(1'000);
  EXPECT(session.status() == ReportStatus::kDone);
  EXPECT(session.runner->is_surveyed());
}

TEST(queries_are_answered_with_what_they_ask_for) {
  Session session;
  session.connect();
  session.control.info.arena_bytes = 5000;
  session.ask(kAskInfo | kAskLinks);
  session.turns(500);
  const std::vector<uint8_t> info = session.last(MessageType::kInfo);
  EXPECT_EQ(info.size(), Info::kBytes);
  EXPECT_EQ(info[2], static_cast<uint8_t>(DeviceState::kIdle));
  EXPECT_EQ(info[3], Info::kLinksUp);  // and no epoch yet
  EXPECT_EQ(load_le<uint32_t>(info.data() + 4), 0xABCDu);
  EXPECT_EQ(load_le<uint32_t>(info.data() + 16), 5000u);
  EXPECT(std::memcmp(info.data() + 48, "pretended", 10) == 0);
  const std::vector<uint8_t> link = session.last(MessageType::kLink);
  EXPECT_EQ(session.count(MessageType::kLink), 1u);
  EXPECT_EQ(link[3], 1);  // the peer
  EXPECT_EQ(link[8], 1);  // up
  EXPECT_EQ(load_le<uint32_t>(link.data() + 84), 40u);
  EXPECT_EQ(session.count(MessageType::kReport) + session.count(MessageType::kText), 0u);
  session.ask(kAskReport | kAskText);
  session.turns(500);
  EXPECT(session.status() == ReportStatus::kNone);
  EXPECT_EQ(session.count(MessageType::kText), 1u);
}

TEST(a_broken_device_says_why_and_runs_nothing) {
  Session session;
  session.runner->set_broken(TextLine().add("the arena is too small"));
  EXPECT(session.printed("BROKEN rank 0: the arena is too small\n"));
  session.connect();
  session.begin(7);
  session.start(7);
  session.turns(2'000);
  EXPECT(session.status() == ReportStatus::kBroken);
  EXPECT_EQ(session.epoch(), 7);
  EXPECT_TEXT(session.words().c_str(), "the arena is too small");
  EXPECT_EQ(session.graph->invoked, 0);
}

TEST(a_link_that_goes_down_is_printed_with_its_reason) {
  Session session;
  session.connect();
  session.cluster.reset(1);
  session.cluster.config(1).fingerprint[3] ^= 1;
  session.cluster.reset(1);
  session.turns(3'000);
  EXPECT(session.printed("LINK DOWN rank 0: rank 1 (link 0) runs another plan; flash it from this one"));
}
