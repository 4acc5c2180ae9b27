// SPDX-License-Identifier: Apache-2.0
#include "split_port/port.h"

#include <cstring>

#include "clock.h"
#include "clock_tree.h"
#include "entropy.h"
#include "registers.h"
#include "split_port/board_facts.h"
#include "split_port_cortex_m/chip_port.h"
#include "split_port_cortex_m/startup.h"
#include "usart.h"
#include "watchdog.h"
#include "wiring.h"

namespace split_port {
namespace {

using namespace stm32f405;

constexpr size_t kHostLink = kLinkCount - 1;
constexpr uint32_t kLowestPendSv = 0xFFu << 16;

Usart g_links[kLinkCount];
cortex_m::HostConsole<Usart> g_console(g_links[kHostLink]);

bool anything_received() {
  for (const Usart& usart : g_links) {
    if (usart.has_received()) return true;
  }
  return false;
}

bool sent_all() {
  for (const Usart& usart : g_links) {
    if (!usart.sent_all()) return false;
  }
  return true;
}

BoardClock g_clock(anything_received);
cortex_m::Ticks g_ticks([](uint32_t period_us) { g_clock.set_tick_us(period_us); });

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
  if (g_ticks.is_running()) reg(kScbIcsr) = kPendSv;
}

// Below the USARTs: a tick takes far longer than a byte.
void on_pendsv() { g_ticks.run(); }

}  // namespace cortex_m

size_t link_count() { return kLinkCount; }
size_t host_link() { return kHostLink; }

split_core::ByteStream& link(size_t index) {
  return index == kHostLink ? g_console.take() : g_links[index];
}

LinkCounters link_counters(size_t index) { return g_links[index].counters(); }

split_core::Clock& clock() { return g_clock; }
uint64_t ticks() { return g_clock.ticks(); }
uint32_t ticks_per_second() { return g_clock.core_hz(); }

bool start_ticks(void (*tick)(), uint32_t period_us) {
  g_ticks.start(tick, period_us);
  return true;
}
void pause_ticks() { g_ticks.pause(); }
void resume_ticks() { g_ticks.resume(); }

uint32_t boot_nonce() { return cortex_m::mixed_nonce(random_word(), g_clock.ticks()); }

void console_write(const char* text, size_t size) { g_console.write(text, size); }
uint32_t console_lost_bytes() { return g_console.lost_bytes(); }

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
  cortex_m::flush(g_clock, sent_all);
  g_console.give_back();
  cortex_m::end_program(status);
}

}  // namespace split_port
