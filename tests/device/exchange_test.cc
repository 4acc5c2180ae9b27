// SPDX-License-Identifier: Apache-2.0
// What SEND and RECV see of the links: transfers, waits, words for what goes wrong.
#include <string>

#include "check.h"
#include "sim.h"
#include "split_device/exchange.h"

namespace {

using namespace sim;
using split_device::Exchange;
using split_device::PostedSend;
using split_device::Text;
using split_device::Ticker;

uint64_t g_ticks = 0;
uint64_t count_ticks() { return g_ticks += 10; }

Text named(const char* name) { return {name, static_cast<uint32_t>(std::strlen(name))}; }

// Rank 0 has an exchange; the test speaks for the others through their communicators.
struct Exchanging {
  explicit Exchanging(uint8_t nodes = 2) : cluster(options_for(nodes)) {
    EXPECT(cluster.run_until_ready(500'000));
    cluster.clock().on_idle = [](void* context) { static_cast<Cluster*>(context)->step(); };
    cluster.clock().context = &cluster;
    begin(1);
  }
  static Options options_for(uint8_t nodes) {
    Options options;
    options.nodes = nodes;
    return options;
  }
  void begin(uint16_t epoch) {
    for (uint8_t rank = 1; rank < cluster.size(); ++rank) peer(rank).begin_epoch(epoch);
    exchange.begin(epoch, 100'000);
  }
  Communicator& peer(uint8_t rank) { return cluster.node(rank).communicator(); }
  std::string text() const { return exchange.text().text(); }

  Cluster cluster;
  PostedSend posted[8];
  Exchange exchange{cluster.node(0), cluster.clock(), count_ticks, posted, 8};
  uint8_t a[40] = {1, 2, 3, 4}, b[40] = {5, 6, 7, 8}, far[40] = {9, 10}, away[40] = {};
};

StridedBox whole(uint8_t (&bytes)[40]) { return StridedBox::flat(bytes, 40); }

struct GiveUp final : split_device::WaitObserver {
  bool on_wait() override { return --left > 0; }
  int left = 5;
};

int g_paused = 0, g_resumed = 0;
Ticker counting_ticker() {
  g_paused = g_resumed = 0;
  return {[] { ++g_paused; }, [] { ++g_resumed; }};
}

}  // namespace

TEST(what_a_peer_posts_arrives_and_is_counted) {
  Exchanging all;
  EXPECT(all.peer(1).post_send(3, rank_bit(0), whole(all.far)).ok());
  EXPECT(all.exchange.receive(3, 1, whole(all.a)));
  EXPECT(all.exchange.wait(nullptr, 0));
  EXPECT(std::memcmp(all.a, all.far, 40) == 0);
  EXPECT_EQ(all.exchange.counters().received_bytes, 40u);
  EXPECT_EQ(all.exchange.counters().sent_bytes, 0u);
  EXPECT(all.exchange.counters().wait_us > 0);
  EXPECT(all.exchange.counters().wait_ticks > 0);
  EXPECT(!all.exchange.failed());
}

TEST(a_box_for_two_ranks_counts_twice) {
  Exchanging all(3);
  EXPECT(all.peer(1).begin_recv(3, 0, whole(all.far)).ok());
  EXPECT(all.peer(2).begin_recv(3, 0, whole(all.away)).ok());
  EXPECT(all.exchange.post(all.a, 3, 0b110, whole(all.a)));
  EXPECT(all.exchange.wait_for_all());
  EXPECT_EQ(all.exchange.counters().sent_bytes, 80u);
  const auto has_arrived = [&] {
    return all.peer(1).recvs_complete() && all.peer(2).recvs_complete();
  };
  EXPECT(all.cluster.run_until(has_arrived, 50'000));
  EXPECT(std::memcmp(all.a, all.far, 40) == 0 && std::memcmp(all.a, all.away, 40) == 0);
}

TEST(a_wait_is_for_the_tensors_that_it_names) {
  Exchanging all;
  EXPECT(all.exchange.post(all.a, 3, 0b10, whole(all.a)));
  EXPECT(all.exchange.post(all.b, 4, 0b10, whole(all.b)));
  EXPECT(all.peer(1).begin_recv(4, 0, whole(all.far)).ok());
  const void* const b[] = {all.b};
  EXPECT(all.exchange.wait(b, 1));
  EXPECT(std::memcmp(all.b, all.far, 40) == 0);
  EXPECT(!all.cluster.node(0).communicator().send_released(3));
  const void* const both[] = {all.b, all.a};
  const Exchange::Transfer transfer(all.exchange, "TFLSPLIT_RECV", named("a;b\x1b"));
  EXPECT(!all.exchange.wait(both, 2));
  EXPECT(all.exchange.error().code == ErrorCode::kTimeout);
  EXPECT_TEXT(all.exchange.text().text(),
              "TFLSPLIT_RECV 'a;b?': rank 1 (link 0, channel 3) did not deliver in time "
              "[seen by rank 0]");
}

TEST(a_tensor_that_is_sent_twice_waits_for_both) {
  Exchanging all;
  EXPECT(all.exchange.post(all.a, 3, 0b10, whole(all.a)));
  EXPECT(all.exchange.post(all.a, 4, 0b10, whole(all.a)));
  EXPECT(all.peer(1).begin_recv(3, 0, whole(all.far)).ok());
  all.cluster.run_for(20'000);
  const void* const a[] = {all.a};
  EXPECT(!all.exchange.wait(a, 1));
  EXPECT_EQ(all.exchange.error().channel, 4);
}

TEST(more_sends_than_slots_one_after_the_other) {
  Exchanging all;
  for (uint16_t channel = 1; channel <= 30; ++channel) {
    EXPECT(all.exchange.post(all.a, channel, 0b10, whole(all.a)));
    EXPECT(all.peer(1).begin_recv(channel, 0, whole(all.far)).ok());
    const void* const a[] = {all.a};
    EXPECT(all.exchange.wait(a, 1));
  }
  EXPECT_EQ(all.exchange.counters().sent_bytes, 1200u);
}

TEST(more_sends_than_slots_at_once_say_so) {
  Exchanging all;
  const Exchange::Transfer transfer(all.exchange, "TFLSPLIT_SEND", named("x"));
  for (uint16_t channel = 1; channel <= 8; ++channel) {
    EXPECT(all.exchange.post(all.a, channel, 0b10, whole(all.a)));
  }
  EXPECT(!all.exchange.post(all.a, 9, 0b10, whole(all.a)));
  EXPECT_TEXT(all.exchange.text().text(),
              "TFLSPLIT_SEND 'x': rank 0 (channel 9) all send slots are in use");
}

TEST(after_the_first_failure_nothing_is_begun_and_its_words_stay) {
  Exchanging all;
  EXPECT(!all.exchange.receive(3, 0, whole(all.a)));  // from itself
  const std::string words = all.text();
  EXPECT_TEXT(words.c_str(), "rank 0 (channel 3) wrong argument");
  EXPECT(!all.exchange.receive(4, 1, whole(all.a)));
  EXPECT(!all.exchange.post(all.a, 4, 0b10, whole(all.a)));
  EXPECT(!all.exchange.wait(nullptr, 0));
  EXPECT(!all.exchange.wait_for_all());
  all.exchange.refuse("TFLSPLIT_CONV_2D", "pads", "is missing");
  EXPECT(!all.exchange.refused());
  EXPECT_TEXT(all.text().c_str(), words.c_str());
  EXPECT_EQ(all.exchange.counters().sent_bytes, 0u);
}

TEST(the_next_inference_forgets_what_failed) {
  Exchanging all;
  EXPECT(!all.exchange.receive(3, 0, whole(all.a)));
  all.begin(2);
  EXPECT(!all.exchange.failed() && all.exchange.text().empty());
  EXPECT(all.peer(1).post_send(3, rank_bit(0), whole(all.far)).ok());
  EXPECT(all.exchange.receive(3, 1, whole(all.a)));
  EXPECT(all.exchange.wait_for_all());
  EXPECT_EQ(all.exchange.counters().received_bytes, 40u);
}

TEST(an_operator_that_refuses_names_itself_and_its_option) {
  Exchanging all;
  all.exchange.refuse("TFLSPLIT_CONV_2D", "pa\tds", "is missing");
  EXPECT(all.exchange.failed() && all.exchange.refused());
  EXPECT_TEXT(all.text().c_str(), "TFLSPLIT_CONV_2D: option 'pa?ds' is missing");
  all.begin(2);
  all.exchange.refuse("TFLSPLIT_RECV", nullptr, "has no result");
  EXPECT_TEXT(all.text().c_str(), "TFLSPLIT_RECV: has no result");
}

TEST(an_observer_ends_a_wait_without_an_error) {
  Exchanging all;
  GiveUp observer;
  all.exchange.set_observer(&observer);
  EXPECT(all.exchange.receive(3, 1, whole(all.a)));
  EXPECT(!all.exchange.wait(nullptr, 0));
  EXPECT(all.exchange.failed() && all.exchange.superseded());
  EXPECT(all.exchange.error().ok());
  EXPECT(all.peer(1).error().ok());  // and nobody was told of a fault
}

TEST(a_fault_of_another_rank_ends_a_wait_with_its_words) {
  Exchanging all(3);
  EXPECT(all.exchange.receive(3, 1, whole(all.a)));
  all.peer(2).fail(ErrorCode::kOperatorFailed, 2, kNoLink, kNoChannel);
  EXPECT(!all.exchange.wait(nullptr, 0));
  EXPECT(all.exchange.error().code == ErrorCode::kOperatorFailed);
  EXPECT_EQ(all.exchange.error().rank, 2);
  EXPECT_EQ(all.exchange.error().reporter, 2);
}

TEST(the_ticker_runs_in_kernels_and_never_in_a_transfer) {
  Exchanging all;
  all.exchange.set_ticker(counting_ticker());
  {
    const Exchange::Transfer outside(all.exchange, "TFLSPLIT_SEND", named("x"));
  }
  EXPECT_EQ(g_paused + g_resumed, 0);  // not inside kernels
  all.exchange.begin_kernels();
  EXPECT_EQ(g_resumed, 1);
  {
    const Exchange::Transfer inside(all.exchange, "TFLSPLIT_SEND", named("x"));
    EXPECT_EQ(g_paused, 1);
    EXPECT_EQ(g_resumed, 1);
  }
  EXPECT_EQ(g_resumed, 2);
  all.exchange.end_kernels();
  EXPECT_EQ(g_paused, 2);
  {
    const Exchange::Transfer after(all.exchange, "TFLSPLIT_SEND", named("x"));
  }
  EXPECT_EQ(g_paused, 2);
}

TEST(without_a_ticker_a_wait_sees_frames_in_transit_off) {
  Exchanging all(3);  // a line: 0 - 1 - 2; rank 1's exchange is looked at
  PostedSend posted[8];
  Exchange middle(all.cluster.node(1), all.cluster.clock(), count_ticks, posted, 8);
  middle.begin(1, 100'000);
  EXPECT(all.peer(2).post_send(3, rank_bit(0), whole(all.far)).ok());
  EXPECT(all.cluster.node(0).communicator().begin_recv(3, 2, whole(all.a)).ok());
  all.cluster.run_until([&] { return !all.cluster.node(1).all_acknowledged(); }, 50'000);
  EXPECT(!all.cluster.node(1).all_acknowledged());
  EXPECT(middle.wait(nullptr, 0));
  EXPECT(all.cluster.node(1).all_acknowledged());
}

TEST(a_kernel_waits_for_the_bytes_that_it_reads) {
  Exchanging all;
  all.exchange.set_ticker(counting_ticker());
  all.exchange.begin_kernels();
  uint8_t rows[80] = {};
  {
    const Exchange::Transfer transfer(all.exchange, "TFLSPLIT_RECV", named("x"));
    EXPECT(all.exchange.receive(3, 1, StridedBox::flat(rows + 40, 40)));
    EXPECT(all.exchange.wait_released(nullptr, 0));  // whatever is still under way
  }
  EXPECT(all.exchange.is_here(rows, 40));
  EXPECT(!all.exchange.is_here(rows + 39, 2));
  EXPECT(!all.exchange.is_here(rows, 80));
  EXPECT(all.peer(1).post_send(3, rank_bit(0), whole(all.far)).ok());
  EXPECT(all.exchange.await(rows + 60, 1));
  EXPECT(all.exchange.is_here(rows, 80));
  EXPECT(std::memcmp(rows + 40, all.far, 40) == 0);
  EXPECT(all.exchange.counters().wait_us > 0);
  EXPECT_EQ(g_paused + 1, g_resumed);  // and the ticker goes on
}

TEST(what_a_kernel_waits_for_may_never_come) {
  Exchanging all;
  all.exchange.set_ticker(counting_ticker());
  const Exchange::Transfer transfer(all.exchange, "TFLSPLIT_RECV", named("x"));
  EXPECT(all.exchange.receive(3, 1, whole(all.a)));
  EXPECT(all.exchange.wait_released(nullptr, 0));
  EXPECT(!all.exchange.await(all.a, 1));
  EXPECT(all.exchange.error().code == ErrorCode::kTimeout);
  EXPECT_TEXT(all.exchange.text().text(),
              "TFLSPLIT_RECV 'x': rank 1 (link 0, channel 3) did not deliver in time "
              "[seen by rank 0]");
}

TEST(rows_of_a_box_without_gaps_are_here_one_after_the_other) {
  Exchanging all;
  static uint8_t sent[4096], rows[4096];
  const StridedBox box = StridedBox::flat(rows, sizeof rows);
  EXPECT(all.exchange.receive(3, 1, box));
  EXPECT(all.peer(1).post_send(3, rank_bit(0), StridedBox::flat(sent, sizeof sent)).ok());
  EXPECT(all.cluster.run_until([&] { return all.exchange.is_here(rows, 1); }, 50'000));
  EXPECT(!all.exchange.is_here(rows + 4095, 1));
  EXPECT(all.exchange.await(rows, sizeof rows));
  uint8_t gaps[80] = {};
  const uint32_t shape[4] = {1, 1, 8, 10}, start[4] = {0, 0, 2, 3}, stop[4] = {1, 1, 5, 7};
  StridedBox columns;
  EXPECT(StridedBox::make(gaps, shape, start, stop, 1, &columns));
  EXPECT_EQ(columns.span_bytes(), 24u);
  EXPECT(all.exchange.receive(4, 1, columns));
  EXPECT(all.exchange.is_here(gaps, 23) && all.exchange.is_here(gaps + 47, 33));
  EXPECT(!all.exchange.is_here(gaps + 23, 1) && !all.exchange.is_here(gaps + 46, 1));
}

TEST(with_a_ticker_a_send_waits_for_the_next_poll) {
  Exchanging all;
  all.exchange.set_ticker(counting_ticker());
  EXPECT(all.peer(1).begin_recv(3, 0, whole(all.far)).ok());
  all.cluster.run_for(20'000);
  const uint32_t before = all.cluster.node(0).link(0).counters().frames_sent;
  EXPECT(all.exchange.post(all.a, 3, 0b10, whole(all.a)));
  EXPECT_EQ(all.cluster.node(0).link(0).counters().frames_sent, before);
  EXPECT(all.exchange.wait_for_all());
  EXPECT_EQ(all.cluster.node(0).link(0).counters().frames_sent, before + 1);
}

namespace {

// 40 rows of 100 bytes, sent by rank 1, of which `rows` lie in a map of 48 x 100.
struct Asked {
  Asked() {
    for (size_t i = 0; i < sizeof sent; ++i) sent[i] = static_cast<uint8_t>(i * 7 + i / 251);
    const uint32_t shape[4] = {1, 40, 2, 100}, start[4] = {0, 0, 1, 0}, stop[4] = {1, 40, 2, 100};
    EXPECT(StridedBox::make(map, shape, start, stop, 1, &rows));
    all.exchange.set_ticker(counting_ticker());
    EXPECT(all.exchange.ask_ahead(3, 1, StridedBox::flat(memory, sizeof memory)));
  }
  void post() {
    EXPECT(all.peer(1).post_send(3, rank_bit(0), StridedBox::flat(sent, sizeof sent)).ok());
  }
  bool is_right() const {
    for (size_t row = 0; row < 40; ++row) {
      const uint8_t zeros[100] = {};
      if (std::memcmp(map + 200 * row, zeros, 100) != 0) return false;
      if (std::memcmp(map + 200 * row + 100, sent + 100 * row, 100) != 0) return false;
    }
    return true;
  }
  size_t arrived() const {
    size_t count = sizeof memory;
    while (count > 0 && memory[count - 1] == 0) --count;
    return count;
  }

  Exchanging all;
  uint8_t sent[4000], memory[4000] = {}, map[8000] = {};
  StridedBox rows;
};

}  // namespace

TEST(what_was_asked_for_ahead_is_here_when_its_recv_runs) {
  Asked asked;
  asked.post();
  asked.all.cluster.run_for(50'000);
  EXPECT(asked.arrived() > 3900);
  EXPECT(asked.all.exchange.receive(3, 1, asked.rows));
  EXPECT(asked.all.exchange.is_here(asked.map, sizeof asked.map));
  EXPECT(asked.is_right());
  EXPECT_EQ(asked.all.exchange.counters().received_bytes, 4000u);
}

TEST(what_was_asked_for_ahead_comes_to_its_recvs_place_from_then_on) {
  for (size_t begun : {size_t{1}, size_t{700}, size_t{2000}}) {
    Asked asked;
    asked.post();
    EXPECT(asked.all.cluster.run_until([&] { return asked.arrived() >= begun; }, 50'000));
    EXPECT(asked.arrived() < 3900);
    EXPECT(asked.all.exchange.receive(3, 1, asked.rows));
    EXPECT(!asked.all.exchange.is_here(asked.map + 7999, 1));
    EXPECT(asked.all.exchange.await(asked.map, sizeof asked.map));
    EXPECT(asked.is_right());
  }
}

TEST(nobody_waits_for_what_was_only_asked_for) {
  Asked asked;
  EXPECT(asked.all.exchange.wait(nullptr, 0));
  EXPECT(asked.all.exchange.receive(3, 1, asked.rows));
  asked.post();
  EXPECT(asked.all.exchange.wait(nullptr, 0));
  EXPECT(asked.is_right());
}

TEST(what_was_asked_for_is_forgotten_with_its_inference) {
  Asked asked;
  asked.post();
  asked.all.cluster.run_for(50'000);
  asked.all.begin(2);
  EXPECT(asked.all.exchange.ask_ahead(3, 1, StridedBox::flat(asked.memory, 4000)));
  std::memset(asked.memory, 0, sizeof asked.memory);
  asked.post();
  EXPECT(asked.all.exchange.receive(3, 1, asked.rows));
  EXPECT(asked.all.exchange.wait(nullptr, 0));
  EXPECT(asked.is_right());
}

TEST(a_recv_of_another_size_than_was_asked_for_is_refused) {
  Asked asked;
  EXPECT(!asked.all.exchange.receive(3, 1, StridedBox::flat(asked.map, 3999)));
  EXPECT(asked.all.exchange.error().code == ErrorCode::kSizeMismatch);
}

TEST(nothing_is_asked_for_twice) {
  Asked asked;
  EXPECT(!asked.all.exchange.ask_ahead(3, 1, StridedBox::flat(asked.memory, 4000)));
  EXPECT(asked.all.exchange.error().code == ErrorCode::kBadArgument);
}
