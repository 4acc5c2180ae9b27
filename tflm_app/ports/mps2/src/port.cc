// SPDX-License-Identifier: Apache-2.0
#include "split_port/port.h"

#include "board.h"
#include "clock.h"
#if defined(SPLIT_PORT_ETHERNET)
#include "lan9118.h"
#endif
#include "split_port/board_facts.h"
#include "split_port/console_buffer.h"
#include "split_port_cortex_m/semihosting.h"
#include "split_port_cortex_m/startup.h"
#include "uart.h"
#include "watchdog.h"

namespace split_port {
namespace {

using namespace mps2;

constexpr size_t kUartLinks = kUartCount - 1;
constexpr uint32_t kFlushUs = 500'000;
constexpr size_t kConsoleBytes = 512;

Uart g_links[kUartLinks];
#if defined(SPLIT_PORT_ETHERNET)
// One UART leads to the host.
constexpr size_t kPeers = SPLIT_PORT_PEERS;
constexpr size_t kLinkCount = kPeers + 1;
Lan9118 g_ethernet;
Uart& uart_of(size_t) { return g_links[kUartLinks - 1]; }
bool is_ethernet(size_t index) { return index < kPeers; }
bool ethernet_has_work() { return g_ethernet.has_received() || !g_ethernet.sent_all(); }
void flush() { g_ethernet.flush(); }
#else
constexpr size_t kLinkCount = kUartLinks;
Uart& uart_of(size_t index) { return g_links[index]; }
bool ethernet_has_work() { return false; }
void flush() {}
#endif
#if defined(SPLIT_PORT_ETHERNET)
constexpr size_t kRings = 1;
#else
constexpr size_t kRings = SPLIT_PORT_LINKS;
#endif
Rings g_rings[kRings == 0 ? 1 : kRings];
size_t g_begun = 0;
ConsoleBuffer<kConsoleBytes> g_console;

// Before the clock waits: what links have written leaves, and nothing that has come is slept through.
bool has_work() {
  flush();
  for (const Uart& uart : g_links) {
    if (uart.has_received()) return true;
  }
  return ethernet_has_work();
}

BoardClock g_clock(has_work);
void (*g_tick)() = nullptr;
uint32_t g_tick_us = 0;
volatile bool g_ticking = false;

const UartPlace& link_place(size_t index) { return kUarts[index + 1]; }

void pump_console() {
  InterruptLock lock;  // SysTick pumps, too
  g_console.pump([](split_core::ConstBytes from) { return write_console(kUarts[0].base, from); });
}

}  // namespace

namespace cortex_m {

void begin() {
  note_reset();
  begin_semihosting();
  g_clock.begin();
  begin_console(kUarts[0].base);
}

void on_interrupt(uint32_t irq) {
  for (size_t index = 0; index < kUartLinks; ++index) {
    if (irq == link_place(index).rx_irq) g_links[index].on_receive();
    if (irq == link_place(index).tx_irq) g_links[index].on_transmit();
  }
#if defined(SPLIT_PORT_ETHERNET)
  if (irq == kEthernetIrq) g_ethernet.on_interrupt();
#endif
  g_clock.wake();
}

// All interrupts have one priority, so none finds another half done.
void on_systick() {
  g_clock.ticks();
  pump_console();
  if (!g_ticking) return;
  g_tick();
  flush();
}

void on_pendsv() {}

}  // namespace cortex_m

size_t link_count() { return kLinkCount; }
size_t host_link() { return kLinkCount - 1; }
#if defined(SPLIT_PORT_ETHERNET)
void join_segment(const SegmentPlace& place) {
  if (!g_ethernet.begin(place)) console_write("Ethernet: no controller, or built for fewer devices\n");
}
#endif

split_core::ByteStream& link(size_t index) {
#if defined(SPLIT_PORT_ETHERNET)
  if (is_ethernet(index)) return g_ethernet.stream(index);
#endif
  Uart& uart = uart_of(index);
  if (!uart.has_begun() && g_begun < kRings) {
    uart.begin(link_place(static_cast<size_t>(&uart - g_links)), &g_rings[g_begun++]);
  }
  return uart;
}
LinkCounters link_counters(size_t index) {
#if defined(SPLIT_PORT_ETHERNET)
  if (is_ethernet(index)) return g_ethernet.counters(index);
#endif
  return uart_of(index).counters();
}

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
  flush();
  InterruptLock lock;
  g_ticking = true;
  g_clock.set_systick(g_tick_us);
}

// The boards have no random numbers.
uint32_t boot_nonce() { return semihosting_nonce() ^ static_cast<uint32_t>(g_clock.ticks()); }

void console_write(const char* text, size_t size) {
  g_console.write(text, size);
  pump_console();
}

uint32_t console_lost_bytes() { return g_console.lost_bytes(); }

bool unique_id(uint8_t* to) { return cortex_m::semihosting_id(to); }

bool argument(const char* key, char* to, size_t capacity) {
  return semihosting_argument(key, to, capacity);
}

void stop(int status) {
  // What was queued leaves first, unless a peer does not take it.
  const uint32_t begin_us = g_clock.now_us();
  while (!g_console.empty() && g_clock.now_us() - begin_us < kFlushUs) g_clock.idle();
  for (const Uart& uart : g_links) {
    while (!uart.sent_all() && g_clock.now_us() - begin_us < kFlushUs) g_clock.idle();
  }
  semihosting_exit(status);
}

}  // namespace split_port
