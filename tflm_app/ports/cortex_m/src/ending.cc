// SPDX-License-Identifier: Apache-2.0
#include "split_port_cortex_m/ending.h"

#include <cstdint>

#include "split_port/last_words.h"
#include "split_port/port.h"
#include "split_port_cortex_m/semihosting.h"
#include "split_port_cortex_m/startup.h"

namespace split_port::cortex_m {
namespace {

constexpr int kRepeats = 5;
constexpr uint32_t kRepeatUs = 1'000'000;
LastWords g_last_words;

void rest() {
  const uint32_t begin_us = clock().now_us();
  while (clock().now_us() - begin_us < kRepeatUs) {
    feed_watchdog();
    clock().idle();
  }
}

}  // namespace

void remember_words(const char* text, size_t size) { g_last_words.remember(text, size); }

void end_program(int status) {
  if (has_semihosting()) semihosting_exit(status);
  for (int turn = 0; status == 0 || turn < kRepeats; turn += status != 0) {
    if (status != 0) g_last_words.say(status);
    rest();
  }
  restart_board();
}

}  // namespace split_port::cortex_m
