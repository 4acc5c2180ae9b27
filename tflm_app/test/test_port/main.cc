// SPDX-License-Identifier: Apache-2.0
// What every port promises in split_port/port.h, on the board itself.
#include <cstring>

#include "check.h"
#include "split_port/arguments.h"
#include "split_port/console_buffer.h"
#include "split_port/ring_buffer.h"

namespace {

using split_core::ConstBytes;
using split_core::MutableBytes;
using split_port::RingBuffer;

template <size_t kCapacity>
void keeps_order_over_many_turns() {
  RingBuffer<kCapacity> ring;
  uint8_t next_in = 0, next_out = 0;
  for (int turn = 0; turn < 1000; ++turn) {
    for (int count = turn % 9; count > 0 && !ring.full(); --count) CHECK(ring.push(next_in++));
    uint8_t byte;
    for (int count = (turn * 5) % 9; count > 0 && ring.pop(&byte); --count) {
      CHECK(byte == next_out++);
    }
    CHECK(ring.size() == static_cast<uint8_t>(next_in - next_out));
    uint8_t many[4] = {next_in, uint8_t(next_in + 1), uint8_t(next_in + 2), uint8_t(next_in + 3)};
    next_in += static_cast<uint8_t>(ring.push(ConstBytes(many, turn % 5)));
    const size_t count = ring.pop(MutableBytes(many, (turn * 3) % 5));
    for (size_t index = 0; index < count; ++index) CHECK(many[index] == next_out++);
  }
}

void ring_buffer_keeps_order_over_many_turns() {
  keeps_order_over_many_turns<8>();
  keeps_order_over_many_turns<7>();
  keeps_order_over_many_turns<2>();
}

void ring_buffer_refuses_what_does_not_fit() {
  RingBuffer<4> ring;
  const uint8_t bytes[] = {1, 2, 3, 4, 5, 6};
  CHECK(ring.push(ConstBytes(bytes, sizeof bytes)) == 4);
  CHECK(ring.full() && ring.free() == 0);
  CHECK(!ring.push(uint8_t{9}));
  uint8_t out[6] = {};
  CHECK(ring.pop(MutableBytes(out, sizeof out)) == 4);
  CHECK(std::memcmp(out, bytes, 4) == 0);
  CHECK(ring.empty() && !ring.pop(&out[0]));
}

void arguments_match_whole_keys_only() {
  char value[4] = "?";
  CHECK(!split_port::match_argument("ranks=1", 7, "rank", value, sizeof value));
  CHECK(!split_port::match_argument("rank", 4, "rank", value, sizeof value));
  CHECK(!split_port::match_argument("rank=1234", 9, "rank", value, sizeof value));
  CHECK(std::strcmp(value, "?") == 0);
  CHECK(split_port::match_argument("rank=12 x", 7, "rank", value, sizeof value));
  CHECK(std::strcmp(value, "12") == 0);
}

void decimal_numbers_are_whole_or_nothing() {
  int32_t value = 7;
  CHECK(split_port::parse_decimal("-2147483647", &value) && value == -2147483647);
  CHECK(!split_port::parse_decimal("", &value) && !split_port::parse_decimal("-", &value));
  CHECK(!split_port::parse_decimal("12x", &value) && !split_port::parse_decimal("0x1", &value));
  CHECK(!split_port::parse_decimal("2147483648", &value));
  CHECK(value == -2147483647);
}

void missing_arguments_take_the_default() {
  char value[8];
  CHECK(!split_port::argument("no_such_key", value, sizeof value));
  CHECK(split_port::argument_or("no_such_key", 42) == 42);
}

void clocks_agree_and_go_forward() {
  constexpr uint32_t kWaitUs = 50'000;
  const uint64_t begin_ticks = split_port::ticks();
  const uint32_t begin_us = split_port::clock().now_us();
  uint32_t last_us = 0, idle_calls = 0;
  while (last_us < kWaitUs) {
    const uint32_t now_us = split_port::clock().now_us() - begin_us;
    CHECK(now_us >= last_us);
    last_us = now_us;
    split_port::clock().idle();
    ++idle_calls;
  }
  const uint64_t ticks = split_port::ticks() - begin_ticks;
  const uint64_t ticks_us = ticks * 1'000'000 / split_port::ticks_per_second();
  CHECK(ticks_us >= last_us && ticks_us < last_us + 500'000);
  CHECK(idle_calls >= 2);  // it woke without any link having news
#if !defined(ARDUINO)        // where idle() only yields
  CHECK(idle_calls < 10'000);  // and it slept
#endif
}

void unconnected_links_are_silent() {
  CHECK(split_port::link_count() >= 2);
  CHECK(split_port::host_link() == split_port::link_count() - 1);
  // Not the host's: where it is the console, too, nothing would be printed from here on.
  for (size_t index = 0; index < split_port::host_link(); ++index) {
    uint8_t byte;
    CHECK(split_port::link(index).read(MutableBytes(&byte, 1)) == 0);
    CHECK(split_port::link_counters(index).received_bytes == 0);
  }
}

void text_that_finds_no_room_is_dropped_whole_and_counted() {
  static split_port::ConsoleBuffer<64> console;
  char text[64];
  for (char& letter : text) letter = 'x';
  console.write(text, 60);
  console.write(text, 5);
  CHECK(console.lost_bytes() == 5);
  size_t sent = 0;
  console.pump([&sent](ConstBytes from) {  // a console that takes 33 bytes, and then none
    const size_t room = 33 - sent;
    const size_t count = from.size() < room ? from.size() : room;
    sent += count;
    return count;
  });
  CHECK(sent == 33 && !console.empty());
  console.write(text, 20);
  console.pump([&sent](ConstBytes from) { return sent += from.size(), from.size(); });
  CHECK(sent == 80 && console.empty() && console.lost_bytes() == 5);
}

#if !defined(ARDUINO)  // where a reset ends the connection by which the tests are read

// First of all cases: the program begins a second time, and only then is anything reported.
void a_program_that_hangs_is_reset_and_told_why() {
  if (split_port::reset_reason() == split_port::ResetReason::kWatchdog) return;
  if (split_port::reset_reason() == split_port::ResetReason::kUnknown) return;  // has no watchdog
  CHECK(split_port::reset_reason() == split_port::ResetReason::kPower);
  split_port::console_write("hangs, until it is reset\n");
  CHECK(!split_port::start_watchdog(0));
  CHECK(split_port::start_watchdog(200));
  split_port::feed_watchdog();
  volatile bool hangs = true;
  while (hangs) {
  }
}

#endif

volatile uint32_t g_tick_count = 0;

// A kernel, as the ticks see it; the numbers of ticks that came in so long.
uint32_t ticks_during(uint32_t microseconds) {
  const uint32_t before = g_tick_count;
  const uint32_t start_us = split_port::clock().now_us();
  while (split_port::clock().now_us() - start_us < microseconds) {
  }
  return g_tick_count - before;
}

void ticks_come_while_the_program_is_busy_and_only_between_resume_and_pause() {
  CHECK(split_port::start_ticks([] { g_tick_count = g_tick_count + 1; }, 1000));
  CHECK(ticks_during(20'000) == 0);
  for (int turn = 0; turn < 3; ++turn) {
    split_port::resume_ticks();
    const uint32_t came = ticks_during(50'000);
    split_port::pause_ticks();
    CHECK(came >= 1 && came <= 52);  // a busy computer leaves some out
    CHECK(ticks_during(20'000) == 0);
  }
}

}  // namespace

int split_app_main() {
  return check::run_all({
#if !defined(ARDUINO)
      {"a_program_that_hangs_is_reset_and_told_why", a_program_that_hangs_is_reset_and_told_why},
#endif
      {"text_that_finds_no_room_is_dropped_whole_and_counted",
       text_that_finds_no_room_is_dropped_whole_and_counted},
      {"ring_buffer_keeps_order_over_many_turns", ring_buffer_keeps_order_over_many_turns},
      {"ring_buffer_refuses_what_does_not_fit", ring_buffer_refuses_what_does_not_fit},
      {"arguments_match_whole_keys_only", arguments_match_whole_keys_only},
      {"decimal_numbers_are_whole_or_nothing", decimal_numbers_are_whole_or_nothing},
      {"missing_arguments_take_the_default", missing_arguments_take_the_default},
      {"clocks_agree_and_go_forward", clocks_agree_and_go_forward},
      {"unconnected_links_are_silent", unconnected_links_are_silent},
      {"ticks_come_while_the_program_is_busy_and_only_between_resume_and_pause",
       ticks_come_while_the_program_is_busy_and_only_between_resume_and_pause},
  });
}
