// SPDX-License-Identifier: Apache-2.0
// A device as a process: links are given as arguments link0=..., link1=... (see DescriptorLink).
#include "split_port/port.h"

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
#include "split_port/arguments.h"

namespace split_port {
namespace {

constexpr size_t kLinkCount = 4;
constexpr int kIdleMs = 1;
constexpr int kUsageStatus = 2;

host::DescriptorLink g_links[kLinkCount];
int g_argument_count = 0;
char** g_arguments = nullptr;

uint64_t monotonic_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}

class HostClock final : public split_core::Clock {
 public:
  uint32_t now_us() override { return static_cast<uint32_t>(monotonic_ns() / 1000); }
  void idle() override {
    pollfd wanted[kLinkCount];
    for (size_t index = 0; index < kLinkCount; ++index) wanted[index] = g_links[index].interest();
    poll(wanted, kLinkCount, kIdleMs);
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

void set_timer(uint32_t period_us) {
  itimerval timer{};
  timer.it_interval.tv_sec = timer.it_value.tv_sec = period_us / 1'000'000;
  timer.it_interval.tv_usec = timer.it_value.tv_usec =
      static_cast<suseconds_t>(period_us % 1'000'000);
  setitimer(ITIMER_REAL, &timer, nullptr);
}

void open_links() {
  for (size_t index = 0; index < kLinkCount; ++index) {
    const char key[] = {'l', 'i', 'n', 'k', static_cast<char>('0' + index), '\0'};
    char where[256];
    if (!argument(key, where, sizeof where)) continue;
    const char* problem = g_links[index].open(where);
    if (problem == nullptr) continue;
    std::fprintf(stderr, "%s=%s %s\n", key, where, problem);
    std::exit(kUsageStatus);
  }
}

}  // namespace

size_t link_count() { return kLinkCount; }
size_t host_link() { return kLinkCount - 1; }
split_core::ByteStream& link(size_t index) { return g_links[index]; }
LinkCounters link_counters(size_t index) { return g_links[index].counters(); }

split_core::Clock& clock() { return g_clock; }
uint64_t ticks() { return monotonic_ns(); }
uint32_t ticks_per_second() { return 1'000'000'000; }

bool start_ticks(void (*tick)(), uint32_t period_us) {
  g_tick = tick;
  g_tick_us = period_us;
  pause_ticks();
  struct sigaction action {};
  action.sa_handler = [](int) { g_tick(); };
  action.sa_flags = SA_RESTART;
  return sigaction(SIGALRM, &action, nullptr) == 0;
}

// Blocked first: a signal that is on its way comes after resume_ticks().
void pause_ticks() {
  mask_ticks(SIG_BLOCK);
  set_timer(0);
}

void resume_ticks() {
  set_timer(g_tick_us);
  mask_ticks(SIG_UNBLOCK);
}

uint32_t boot_nonce() {
  uint32_t nonce = 0;
  if (getentropy(&nonce, sizeof nonce) != 0) nonce = static_cast<uint32_t>(monotonic_ns());
  return nonce;
}

void console_write(const char* text, size_t size) {
  std::fwrite(text, 1, size, stdout);
  std::fflush(stdout);
}

bool argument(const char* key, char* to, size_t capacity) {
  for (int index = 1; index < g_argument_count; ++index) {
    const char* word = g_arguments[index];
    if (match_argument(word, std::strlen(word), key, to, capacity)) return true;
  }
  return false;
}

void stop(int status) { std::exit(status); }

}  // namespace split_port

int main(int argument_count, char** arguments) {
  split_port::g_argument_count = argument_count;
  split_port::g_arguments = arguments;
  std::signal(SIGPIPE, SIG_IGN);  // A closed peer shows as a failed write instead.
  split_port::open_links();
  return split_app_main();
}
