// SPDX-License-Identifier: Apache-2.0
#include "split_port_cortex_m/ending.h"

#include <cstdint>
#include <cstring>

#include "split_port/port.h"
#include "split_port_cortex_m/semihosting.h"
#include "split_port_cortex_m/startup.h"

namespace split_port::cortex_m {
namespace {

constexpr int kRepeats = 5;
constexpr uint32_t kRepeatUs = 1'000'000;
char g_last_words[96] = "";

void say_status(int status) {
  char text[] = "STOPPED, status 000, the board restarts in a moment. ";
  char* const digits = std::strchr(text, '0');
  for (int index = 2; index >= 0; --index, status /= 10) {
    digits[index] = static_cast<char>('0' + status % 10);
  }
  console_write(text);
  console_write(g_last_words);
  console_write("\n");
}

void rest() {
  const uint32_t begin_us = clock().now_us();
  while (clock().now_us() - begin_us < kRepeatUs) {
    feed_watchdog();
    clock().idle();
  }
}

}  // namespace

void remember_words(const char* text, size_t size) {
  const size_t kept = size < sizeof g_last_words ? size : sizeof g_last_words - 1;
  std::memcpy(g_last_words, text, kept);
  g_last_words[kept] = '\0';
}

void end_program(int status) {
  if (has_semihosting()) semihosting_exit(status);
  for (int turn = 0; status == 0 || turn < kRepeats; turn += status != 0) {
    if (status != 0) say_status(status);
    rest();
  }
  restart_board();
}

}  // namespace split_port::cortex_m
