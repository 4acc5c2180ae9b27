// SPDX-License-Identifier: Apache-2.0
#include "split_port/port.h"

#include "clock.h"
#include "clock_tree.h"
#include "entropy.h"
#include "pio_uart.h"
#include "registers.h"
#include "split_port/board_facts.h"
#include "split_port_cortex_m/ending.h"
#include "split_port_cortex_m/semihosting.h"
#include "split_port_cortex_m/startup.h"
#include "uart.h"
#include "wiring.h"

namespace split_port {
namespace {

using namespace rp2040;

constexpr size_t kHostLink = kUartCount;
constexpr uint32_t kFlushUs = 500'000;

Uart g_links[kUartCount];
PioUart g_host;
bool g_host_taken = false;
uint32_t g_console_lost = 0;

bool anything_received() {
  return g_links[kPreviousLink].has_received() || g_links[kNextLink].has_received() ||
         g_host.has_received();
}

BoardClock g_clock(anything_received);
void (*g_tick)() = nullptr;
uint32_t g_tick_us = 0;
volatile bool g_ticking = false;

bool sent_all() {
  return g_links[kPreviousLink].sent_all() && g_links[kNextLink].sent_all() && g_host.sent_all();
}

}  // namespace

namespace cortex_m {

void begin() {
  begin_semihosting();
  const uint32_t clock_hz = begin_clocks();
  restart(kIoBank0Reset);
  restart(kPadsBank0Reset);
  for (size_t index = 0; index < kUartCount; ++index) {
    g_links[index].begin(kUarts[index], clock_hz, SPLIT_PORT_BAUD);
  }
  g_host.begin(kPins[4], kPins[5], clock_hz, SPLIT_PORT_HOST_BAUD);
  g_clock.begin();
}

void on_interrupt(uint32_t irq) {
  g_clock.wake();
  if (irq == kPioIrq) g_host.on_interrupt();
  for (size_t index = 0; index < kUartCount; ++index) {
    if (irq == kUarts[index].irq) g_links[index].on_interrupt();
  }
  if (irq == kWakeIrq) g_clock.on_wake_alarm();
  if (irq != kTickIrq) return;
  g_clock.set_tick_us(g_ticking ? g_tick_us : 0);
  if (g_ticking) g_tick();
}

void on_systick() {}
void on_pendsv() {}

}  // namespace cortex_m

size_t link_count() { return kHostLink + 1; }
size_t host_link() { return kHostLink; }

split_core::ByteStream& link(size_t index) {
  if (index < kUartCount) return g_links[index];
  g_host_taken = true;
  return g_host;
}

LinkCounters link_counters(size_t index) {
  return index < kUartCount ? g_links[index].counters() : g_host.counters();
}

split_core::Clock& clock() { return g_clock; }
uint64_t ticks() { return g_clock.ticks(); }
uint32_t ticks_per_second() { return 1'000'000; }

bool start_ticks(void (*tick)(), uint32_t period_us) {
  g_tick = tick;
  g_tick_us = period_us;
  return true;
}

void pause_ticks() {
  g_ticking = false;
  g_clock.set_tick_us(0);
}

void resume_ticks() {
  g_ticking = true;
  g_clock.set_tick_us(g_tick_us);
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
  if (!g_host.write_whole(bytes)) g_console_lost += static_cast<uint32_t>(size);
}

uint32_t console_lost_bytes() { return g_console_lost; }

bool unique_id(uint8_t* to) { return cortex_m::semihosting_id(to); }

bool argument(const char* key, char* to, size_t capacity) {
  return cortex_m::semihosting_argument(key, to, capacity);
}

void stop(int status) {
  // What was queued leaves first, unless a peer does not take it.
  const uint32_t begin_us = g_clock.now_us();
  while (!sent_all() && g_clock.now_us() - begin_us < kFlushUs) g_clock.idle();
  g_host_taken = false;
  cortex_m::end_program(status);
}

}  // namespace split_port
