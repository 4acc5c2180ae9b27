// SPDX-License-Identifier: Apache-2.0
#include "split_port/port.h"

#include <cstring>

#include "board.h"
#include "clock.h"
#include "cortex_m.h"
#include "interrupts.h"
#include "semihosting.h"
#include "split_port/arguments.h"
#include "uart.h"

namespace split_port {
namespace {

using namespace mps2;

constexpr size_t kLinkCount = kUartCount - 1;
constexpr uint32_t kFlushUs = 500'000;

Uart g_links[kLinkCount];

bool anything_received() {
  for (const Uart& uart : g_links) {
    if (uart.has_received()) return true;
  }
  return false;
}

BoardClock g_clock(anything_received);
char g_command_line[256];
void (*g_tick)() = nullptr;
uint32_t g_tick_us = 0;
volatile bool g_ticking = false;

const UartPlace& link_place(size_t index) { return kUarts[index + 1]; }

}  // namespace

namespace mps2 {

void begin() {
  if (semihosting_command_line(g_command_line, sizeof g_command_line) == 0) {
    g_command_line[0] = '\0';
  }
  g_clock.begin();
  begin_console(kUarts[0].base);
  for (size_t index = 0; index < kLinkCount; ++index) g_links[index].begin(link_place(index));
}

void on_interrupt() {
  const uint32_t irq = (reg(kScbIcsr) & 0x1FF) - 16;
  for (size_t index = 0; index < kLinkCount; ++index) {
    if (irq == link_place(index).rx_irq) g_links[index].on_receive();
    if (irq == link_place(index).tx_irq) g_links[index].on_transmit();
  }
  g_clock.wake();
}

// All interrupts have one priority, so none finds another half done.
void on_systick() {
  g_clock.ticks();
  if (g_ticking) g_tick();
}

}  // namespace mps2

size_t link_count() { return kLinkCount; }
size_t host_link() { return kLinkCount - 1; }
split_core::ByteStream& link(size_t index) { return g_links[index]; }
LinkCounters link_counters(size_t index) { return g_links[index].counters(); }

split_core::Clock& clock() { return g_clock; }
uint64_t ticks() { return g_clock.ticks(); }
uint32_t ticks_per_second() { return kCounterHz; }

bool start_ticks(void (*tick)(), uint32_t period_us) {
  g_tick = tick;
  g_tick_us = period_us;
  return true;
}

void pause_ticks() {
  InterruptLock lock;
  g_ticking = false;
  g_clock.set_systick(0);
}

void resume_ticks() {
  InterruptLock lock;
  g_ticking = true;
  g_clock.set_systick(g_tick_us);
}

uint32_t boot_nonce() {
  // The boards have no random numbers. The emulator's clocks go on over a reset of the board, and
  // nobody presses the button twice within the resolution of both.
  uint32_t nonce = semihosting_time_s() * 2654435761u;
  nonce ^= semihosting_clock_cs() * 2246822519u;
  return nonce ^ static_cast<uint32_t>(g_clock.ticks());
}

void console_write(const char* text, size_t size) {
  for (size_t index = 0; index < size; ++index) {
    write_console(kUarts[0].base, static_cast<uint8_t>(text[index]));
  }
}

bool argument(const char* key, char* to, size_t capacity) {
  const char* word = g_command_line;
  while (*word != '\0') {
    const size_t size = std::strcspn(word, " ");
    if (match_argument(word, size, key, to, capacity)) return true;
    word += size;
    word += std::strspn(word, " ");
  }
  return false;
}

void stop(int status) {
  // What was queued leaves first, unless a peer does not take it.
  const uint32_t begin_us = g_clock.now_us();
  for (const Uart& uart : g_links) {
    while (!uart.sent_all() && g_clock.now_us() - begin_us < kFlushUs) g_clock.idle();
  }
  semihosting_exit(status);
}

}  // namespace split_port
