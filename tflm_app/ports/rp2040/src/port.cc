// SPDX-License-Identifier: Apache-2.0
#include "split_port/port.h"

#include "clock.h"
#include "clock_tree.h"
#include "entropy.h"
#include "pio_uart.h"
#include "registers.h"
#include "split_port/board_facts.h"
#include "split_port_cortex_m/chip_port.h"
#include "split_port_cortex_m/startup.h"
#include "uart.h"
#include "wiring.h"

namespace split_port {
namespace {

using namespace rp2040;

constexpr size_t kHostLink = kUartCount;

Uart g_links[kUartCount];
PioUart g_host;
cortex_m::HostConsole<PioUart> g_console(g_host);

bool anything_received() {
  return g_links[kPreviousLink].has_received() || g_links[kNextLink].has_received() ||
         g_host.has_received();
}

BoardClock g_clock(anything_received);
cortex_m::Ticks g_ticks([](uint32_t period_us) { g_clock.set_tick_us(period_us); });

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
  g_clock.set_tick_us(g_ticks.period_us());
  g_ticks.run();
}

void on_systick() {}
void on_pendsv() {}

}  // namespace cortex_m

size_t link_count() { return kHostLink + 1; }
size_t host_link() { return kHostLink; }

split_core::ByteStream& link(size_t index) {
  if (index < kUartCount) return g_links[index];
  return g_console.take();
}

LinkCounters link_counters(size_t index) {
  return index < kUartCount ? g_links[index].counters() : g_host.counters();
}

split_core::Clock& clock() { return g_clock; }
uint64_t ticks() { return g_clock.ticks(); }
uint32_t ticks_per_second() { return 1'000'000; }

bool start_ticks(void (*tick)(), uint32_t period_us) {
  g_ticks.start(tick, period_us);
  return true;
}
void pause_ticks() { g_ticks.pause(); }
void resume_ticks() { g_ticks.resume(); }

uint32_t boot_nonce() { return cortex_m::mixed_nonce(random_word(), g_clock.ticks()); }

void console_write(const char* text, size_t size) { g_console.write(text, size); }
uint32_t console_lost_bytes() { return g_console.lost_bytes(); }

bool unique_id(uint8_t* to) { return cortex_m::semihosting_id(to); }

bool argument(const char* key, char* to, size_t capacity) {
  return cortex_m::semihosting_argument(key, to, capacity);
}

void stop(int status) {
  cortex_m::flush(g_clock, sent_all);
  g_console.give_back();
  cortex_m::end_program(status);
}

}  // namespace split_port
