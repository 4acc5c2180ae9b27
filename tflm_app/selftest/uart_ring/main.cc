// SPDX-License-Identifier: Apache-2.0
// Link self-test, below every protocol: rank 0 sends a pseudo-random block round the ring, every
// other rank passes bytes on as they come, and rank 0 compares what returns. No byte may be
// missing, changed or added. Shows that cables (or emulated UARTs) are wired as a ring.
//
// Arguments: rank, world_size, bytes (default 102400), silence_ms that count as an end (20000).
#include <cstdio>
#include <cstring>

#include "split_port/port.h"

// Boards without start-up arguments get these from build_flags.
#ifndef SELFTEST_RANK
#define SELFTEST_RANK 0
#endif
#ifndef SELFTEST_WORLD_SIZE
#define SELFTEST_WORLD_SIZE 2
#endif

namespace {

using split_core::ConstBytes;
using split_core::MutableBytes;

constexpr int32_t kSilenceMs = 20'000;
constexpr uint8_t kHello = 0xA5;
constexpr size_t kHelloBytes = 64;
constexpr uint8_t kStart = 0x5A;

// xorshift32 (Marsaglia 2003): the sender and the checker draw the same bytes.
class Pattern {
 public:
  uint8_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return static_cast<uint8_t>(state_ >> 24);
  }

 private:
  uint32_t state_ = 0x9E3779B9;
};

split_core::ByteStream& in() { return split_port::link(split_port::kPreviousLink); }
split_core::ByteStream& out() { return split_port::link(split_port::kNextLink); }

[[noreturn]] void fail(const char* what, uint32_t position) {
  char line[96];
  std::snprintf(line, sizeof line, "FAIL uart_ring: %s at byte %lu\n", what,
                static_cast<unsigned long>(position));
  split_port::console_write(line);
  split_port::stop(1);
}

// Ends the program if nothing happens for too long.
class Watchdog {
 public:
  void progress() { last_us_ = split_port::clock().now_us(); }
  void idle(uint32_t position) {
    if (split_port::clock().now_us() - last_us_ > silence_us_) fail("silence", position);
    split_port::clock().idle();
  }

 private:
  uint32_t last_us_ = split_port::clock().now_us();
  uint32_t silence_us_ =
      static_cast<uint32_t>(split_port::argument_or("silence_ms", kSilenceMs)) * 1000;
};

void send_all(ConstBytes bytes, Watchdog& watchdog) {
  while (!bytes.empty()) {
    const size_t taken = out().write(bytes);
    bytes = bytes.subspan(taken);
    if (taken > 0) watchdog.progress();
    if (!bytes.empty() && taken == 0) watchdog.idle(0);
  }
}

uint8_t receive_byte(Watchdog& watchdog) {
  uint8_t byte;
  while (in().read(MutableBytes(&byte, 1)) == 0) watchdog.idle(0);
  watchdog.progress();
  return byte;
}

// The first bytes on a wire may get lost while the receiver comes up, so a run of equal bytes is
// sent and ended by a different one. Everything after that must arrive.
void shake_hands() {
  Watchdog watchdog;
  uint8_t hello[kHelloBytes];
  std::memset(hello, kHello, sizeof hello);
  hello[kHelloBytes - 1] = kStart;
  send_all(ConstBytes(hello, sizeof hello), watchdog);
  while (receive_byte(watchdog) != kStart) {
  }
}

void originate(uint32_t total) {
  Pattern sent_pattern, expected_pattern;
  Watchdog watchdog;
  uint8_t chunk[256];
  size_t chunk_begin = 0, chunk_end = 0;
  uint32_t drawn = 0, received = 0;
  while (received < total) {
    if (chunk_begin == chunk_end && drawn < total) {
      chunk_begin = 0;
      for (chunk_end = 0; chunk_end < sizeof chunk && drawn < total; ++drawn) {
        chunk[chunk_end++] = sent_pattern.next();
      }
    }
    const size_t sent = out().write(ConstBytes(chunk + chunk_begin, chunk_end - chunk_begin));
    chunk_begin += sent;
    uint8_t arrived[256];
    const size_t count = in().read(MutableBytes(arrived, sizeof arrived));
    for (size_t index = 0; index < count; ++index, ++received) {
      if (received == total) fail("extra byte", received);
      if (arrived[index] != expected_pattern.next()) fail("wrong byte", received);
    }
    if (sent + count > 0) watchdog.progress();
    if (sent + count == 0) watchdog.idle(received);
  }
}

void pass_on(uint32_t total) {
  Watchdog watchdog;
  uint8_t held[256];
  size_t begin = 0, end = 0;
  for (uint32_t passed = 0; passed < total;) {
    if (begin == end) {
      begin = 0;
      end = in().read(MutableBytes(held, sizeof held));
    }
    const size_t sent = out().write(ConstBytes(held + begin, end - begin));
    begin += sent;
    passed += static_cast<uint32_t>(sent);
    if (sent > 0) watchdog.progress();
    if (sent == 0) watchdog.idle(passed);
  }
}

// Leaves only when the transmit queue is empty: stopping the board would discard it. The last
// receiver confirms by sending one byte the other way round.
void close_ring(uint32_t rank) {
  Watchdog watchdog;
  uint8_t done = kStart;
  if (rank == 0) {
    while (in().write(ConstBytes(&done, 1)) == 0) watchdog.idle(0);
  }
  while (out().read(MutableBytes(&done, 1)) == 0) watchdog.idle(0);
  if (rank != 0) {
    while (in().write(ConstBytes(&done, 1)) == 0) watchdog.idle(0);
  }
}

}  // namespace

int split_app_main() {
  const auto rank = static_cast<uint32_t>(split_port::argument_or("rank", SELFTEST_RANK));
  const auto world_size =
      static_cast<uint32_t>(split_port::argument_or("world_size", SELFTEST_WORLD_SIZE));
  const auto total = static_cast<uint32_t>(split_port::argument_or("bytes", 102400));
  shake_hands();
  const uint64_t begin_ticks = split_port::ticks();
  if (rank == 0) {
    originate(total);
  } else {
    pass_on(total);
  }
  const uint64_t elapsed = split_port::ticks() - begin_ticks;
  close_ring(rank);
  char line[128];
  std::snprintf(line, sizeof line, "PASS uart_ring: rank %lu of %lu, %lu bytes in %lu ms\n",
                static_cast<unsigned long>(rank), static_cast<unsigned long>(world_size),
                static_cast<unsigned long>(total),
                static_cast<unsigned long>(elapsed * 1000 / split_port::ticks_per_second()));
  split_port::console_write(line);
  return 0;
}
