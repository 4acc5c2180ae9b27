// SPDX-License-Identifier: Apache-2.0
// A device as a process: links are given as arguments link0=..., link1=... (see DescriptorLink), or all
// but the host's as segment=fd:N (see SegmentSocket).
#include "split_port/port.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <poll.h>
#include <sys/random.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "descriptor_link.h"
#include "segment_socket.h"
#include "split_port/arguments.h"
#include "split_port/board_facts.h"
#include "split_port/console_buffer.h"
#include "watchdog.h"

namespace split_port {
namespace {

constexpr size_t kLinkCount = 4;
constexpr int kIdleMs = 1;
constexpr int kFlushTurns = 500;
constexpr int kUsageStatus = 2;
constexpr int kAloneStatus = 3;
constexpr uint64_t kAloneNs = 2'000'000'000;
constexpr size_t kConsoleBytes = 2048;

host::DescriptorLink g_links[kLinkCount];
host::SegmentSocket g_segment;
ConsoleBuffer<kConsoleBytes> g_console;
int g_argument_count = 0;
char** g_arguments = nullptr;

uint64_t monotonic_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}

// A pipe that can be written to has room for more than one piece of the buffer.
size_t write_console(split_core::ConstBytes from) {
  pollfd console{STDOUT_FILENO, POLLOUT, 0};
  if (poll(&console, 1, 0) != 1) return 0;
  const ssize_t count = ::write(STDOUT_FILENO, from.data(), from.size());
  if (count >= 0) return static_cast<size_t>(count);
  return errno == EINTR || errno == EAGAIN ? 0 : from.size();  // nobody will ever read it
}

void pump_console() { g_console.pump(write_console); }

bool hears_nobody() {
  bool has_links = g_segment.is_open();
  if (has_links && !g_segment.has_ended()) return false;
  for (const host::DescriptorLink& link : g_links) {
    has_links = has_links || link.is_open();
    if (link.is_open() && !link.has_ended()) return false;
  }
  return has_links;
}

// Whoever ran this cluster is gone, and nothing can come any more: a device that waited would never end.
// Others are given the time to say what they have found, and to end by themselves.
void end_if_alone() {
  static uint64_t alone_since_ns = 0;
  if (!hears_nobody()) return;
  if (alone_since_ns == 0) alone_since_ns = monotonic_ns();
  if (monotonic_ns() - alone_since_ns < kAloneNs) return;
  std::fputs("all links are closed; the program ends\n", stderr);
  std::exit(kAloneStatus);
}

class HostClock final : public split_core::Clock {
 public:
  uint32_t now_us() override { return static_cast<uint32_t>(monotonic_ns() / 1000); }
  void idle() override {
    pump_console();
    g_segment.flush();
    pollfd wanted[kLinkCount + 1];
    for (size_t index = 0; index < kLinkCount; ++index) wanted[index] = g_links[index].interest();
    wanted[kLinkCount] = g_segment.interest();
    poll(wanted, kLinkCount + 1, kIdleMs);
    for (size_t index = 0; index < kLinkCount; ++index) g_links[index].notice(wanted[index]);
    g_segment.notice(wanted[kLinkCount]);
    end_if_alone();
  }
};

HostClock g_clock;

// A signal stands in for the timer's interrupt.
void (*g_tick)() = nullptr;
uint32_t g_tick_us = 0;

void mask_ticks(int how) {
  sigset_t ticks;
  sigemptyset(&ticks);
  sigaddset(&ticks, SIGALRM);
  sigprocmask(how, &ticks, nullptr);
}

// For trials of the watchdog: the program gets no further, ticks go on.
void hang(int) {
  volatile bool hangs = true;
  while (hangs) {
  }
}

void set_timer(uint32_t period_us) {
  itimerval timer{};
  timer.it_interval.tv_sec = timer.it_value.tv_sec = period_us / 1'000'000;
  timer.it_interval.tv_usec = timer.it_value.tv_usec =
      static_cast<suseconds_t>(period_us % 1'000'000);
  setitimer(ITIMER_REAL, &timer, nullptr);
}

void refuse(const char* key, const char* where, const char* problem) {
  if (problem == nullptr) return;
  std::fprintf(stderr, "%s=%s %s\n", key, where, problem);
  std::exit(kUsageStatus);
}

void open_links() {
  char where[256];
  if (argument("segment", where, sizeof where)) refuse("segment", where, g_segment.open(where));
  for (size_t index = 0; index < kLinkCount; ++index) {
    const char key[] = {'l', 'i', 'n', 'k', static_cast<char>('0' + index), '\0'};
    if (argument(key, where, sizeof where)) refuse(key, where, g_links[index].open(where));
  }
}

}  // namespace

size_t link_count() { return g_segment.is_open() ? host::kSegmentPeers + 1 : kLinkCount; }
size_t host_link() { return link_count() - 1; }
void join_segment(const SegmentPlace& place) { g_segment.join(place); }

split_core::ByteStream& link(size_t index) {
  if (index == host_link()) return g_links[kLinkCount - 1];
  return g_segment.is_open() ? g_segment.stream(index) : g_links[index];
}
LinkCounters link_counters(size_t index) {
  if (index == host_link()) return g_links[kLinkCount - 1].counters();
  return g_segment.is_open() ? g_segment.counters(index) : g_links[index].counters();
}

split_core::Clock& clock() { return g_clock; }
uint64_t ticks() { return monotonic_ns(); }
uint32_t ticks_per_second() { return 1'000'000'000; }

bool start_ticks(void (*tick)(), uint32_t period_us) {
  g_tick = tick;
  g_tick_us = period_us;
  pause_ticks();
  struct sigaction action {};
  action.sa_handler = [](int) {
    g_tick();
    g_segment.flush();
  };
  action.sa_flags = SA_RESTART;
  sigaddset(&action.sa_mask, SIGUSR1);  // the main program hangs, not a tick
  return sigaction(SIGALRM, &action, nullptr) == 0;
}

// Blocked first: a signal that is on its way comes after resume_ticks().
void pause_ticks() {
  mask_ticks(SIG_BLOCK);
  set_timer(0);
}

void resume_ticks() {
  g_segment.flush();
  set_timer(g_tick_us);
  mask_ticks(SIG_UNBLOCK);
}

uint32_t boot_nonce() {
  uint32_t nonce = 0;
  if (getentropy(&nonce, sizeof nonce) != 0) nonce = static_cast<uint32_t>(monotonic_ns());
  return nonce;
}

void console_write(const char* text, size_t size) {
  g_console.write(text, size);
  pump_console();
}

uint32_t console_lost_bytes() { return g_console.lost_bytes(); }

// Argument id=, as text.
bool unique_id(uint8_t* to) {
  char text[kUniqueIdBytes + 1] = {};
  std::memset(to, 0, kUniqueIdBytes);
  if (!argument("id", text, sizeof text)) return false;
  std::memcpy(to, text, std::strlen(text));
  return true;
}

// A socket keeps what nobody has read; arguments may pretend that it does not.
LinkFacts link_facts() {
  LinkFacts facts;
  facts.rx_ring_bytes = static_cast<uint32_t>(argument_or("rx_ring_bytes", 0));
  facts.tx_ring_bytes = static_cast<uint32_t>(argument_or("tx_ring_bytes", 0));
  return facts;
}

bool argument(const char* key, char* to, size_t capacity) {
  for (int index = 1; index < g_argument_count; ++index) {
    const char* word = g_arguments[index];
    if (match_argument(word, std::strlen(word), key, to, capacity)) return true;
  }
  return false;
}

void stop(int status) {
  for (int turn = 0; turn < kFlushTurns && !g_console.empty(); ++turn) g_clock.idle();
  std::exit(status);
}

}  // namespace split_port

int main(int argument_count, char** arguments) {
  split_port::g_argument_count = argument_count;
  split_port::g_arguments = arguments;
  std::signal(SIGPIPE, SIG_IGN);  // A closed peer shows as a failed write instead.
  std::signal(SIGUSR1, split_port::hang);
  split_port::host::note_reset(arguments);
  split_port::open_links();
  split_port::stop(split_app_main());
}
