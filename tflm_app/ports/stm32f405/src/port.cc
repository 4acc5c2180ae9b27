// SPDX-License-Identifier: Apache-2.0
#include "split_port/port.h"

#include <cstring>

#include "clock.h"
#include "clock_tree.h"
#include "entropy.h"
#include "registers.h"
#include "split_port/board_facts.h"
#include "split_port_cortex_m/ending.h"
#include "split_port_cortex_m/semihosting.h"
#include "split_port_cortex_m/startup.h"
#include "usart.h"
#include "watchdog.h"
#include "wiring.h"

namespace split_port {
namespace {

using namespace stm32f405;

constexpr size_t kHostLink = kLinkCount - 1;
constexpr uint32_t kFlushUs = 500'000;
constexpr uint32_t kLowestPendSv = 0xFFu << 16;

Usart g_links[kLinkCount];
bool g_host_taken = false;
uint32_t g_console_lost = 0;

bool anything_received() {
  for (const Usart& usart : g_links) {
    if (usart.has_received()) return true;
  }
  return false;
}

BoardClock g_clock(anything_received);
void (*g_tick)() = nullptr;
uint32_t g_tick_us = 0;
volatile bool g_ticking = false;

}  // namespace

namespace cortex_m {

void begin() {
  begin_semihosting();
  note_reset();
  const Clocks clocks = begin_clocks();
  reg(kScbShpr3) = reg(kScbShpr3) | kLowestPendSv;
  g_clock.begin(clocks.core_hz);
  for (size_t index = 0; index < kLinkCount; ++index) {
    g_links[index].begin(kUsarts[index], clocks, kBauds[index]);
  }
}

void on_interrupt(uint32_t irq) {
  for (size_t index = 0; index < kLinkCount; ++index) {
    if (irq == kUsarts[index].irq) g_links[index].on_interrupt();
  }
  g_clock.wake();
}

void on_systick() {
  g_clock.on_systick();
  if (g_ticking) reg(kScbIcsr) = kPendSv;
}

// Below the USARTs: a tick takes far longer than a byte.
void on_pendsv() {
  if (g_ticking) g_tick();
}

}  // namespace cortex_m

size_t link_count() { return kLinkCount; }
size_t host_link() { return kHostLink; }

split_core::ByteStream& link(size_t index) {
  if (index == kHostLink) g_host_taken = true;
  return g_links[index];
}

LinkCounters link_counters(size_t index) { return g_links[index].counters(); }

split_core::Clock& clock() { return g_clock; }
uint64_t ticks() { return g_clock.ticks(); }
uint32_t ticks_per_second() { return g_clock.core_hz(); }

bool start_ticks(void (*tick)(), uint32_t period_us) {
  g_tick = tick;
  g_tick_us = period_us;
  return true;
}

void pause_ticks() {
  g_ticking = false;
  g_clock.set_period_us(0);
}

void resume_ticks() {
  g_ticking = true;
  g_clock.set_period_us(g_tick_us);
}

uint32_t boot_nonce() {
  const uint32_t noise = cortex_m::reset_count() ^ static_cast<uint32_t>(g_clock.ticks());
  return random_word() ^ cortex_m::semihosting_nonce() ^ noise * 2654435761u;
}

// The console is the host's port until the application takes it: from then on text would only
// disturb frames. What finds no room is dropped.
void console_write(const char* text, size_t size) {
  if (g_host_taken) return cortex_m::remember_words(text, size);
  const split_core::ConstBytes bytes(reinterpret_cast<const uint8_t*>(text), size);
  if (!g_links[kHostLink].write_whole(bytes)) g_console_lost += static_cast<uint32_t>(size);
}

uint32_t console_lost_bytes() { return g_console_lost; }

// An emulated chip has no such words (RM0090, 39.1).
bool unique_id(uint8_t* to) {
  constexpr uint32_t kWords = 0x1FFF7A10;
  if (cortex_m::has_semihosting()) return cortex_m::semihosting_id(to);
  std::memset(to, 0, kUniqueIdBytes);
  for (uint32_t at = 0; at < 12; at += 4) {
    const uint32_t word = reg(kWords + at);
    std::memcpy(to + at, &word, sizeof word);
  }
  return true;
}

bool argument(const char* key, char* to, size_t capacity) {
  return cortex_m::semihosting_argument(key, to, capacity);
}

void stop(int status) {
  // What was queued leaves first, unless a peer does not take it.
  const uint32_t begin_us = g_clock.now_us();
  for (const Usart& usart : g_links) {
    while (!usart.sent_all() && g_clock.now_us() - begin_us < kFlushUs) g_clock.idle();
  }
  g_host_taken = false;
  cortex_m::end_program(status);
}

}  // namespace split_port
