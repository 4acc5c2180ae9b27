// SPDX-License-Identifier: Apache-2.0
// ticks.cc in one translation unit with its caller, which is what link-time optimization makes of
// them: what the caller wrote before resume_ticks() must be in memory when a tick comes, and what it
// writes after pause_ticks() must not be there before.
#include "ticks.cc"

#include <cstdio>

namespace {

int g_node = 0;  // stands for the state of the links: not volatile, and not known elsewhere
volatile int g_seen = 0;

[[gnu::noinline]] void tick() { g_seen = g_node; }

// What the first tick sees; it stays 0 for some seconds if that was 0.
int wait_for_tick() {
  for (volatile int turn = 0; turn < 1'000'000'000; turn = turn + 1) {
    const int seen = g_seen;
    if (seen != 0) return seen;
  }
  return 0;
}

}  // namespace

int main() {
  if (!split_port::start_ticks(tick, 1000)) return 2;
  g_node = 1;
  split_port::resume_ticks();
  const bool well = wait_for_tick() == 1;
  split_port::pause_ticks();
  g_node = 2;
  std::puts(well ? "PASS" : "FAIL");
  return well ? 0 : 1;
}
