// SPDX-License-Identifier: Apache-2.0
#include "clock.h"

#include "registers.h"

namespace split_port::rp2040 {
namespace {

constexpr uint32_t kAlarm0 = kTimer + 0x10;
constexpr uint32_t kAlarm1 = kTimer + 0x14;
constexpr uint32_t kArmed = kTimer + 0x20;
constexpr uint32_t kTimeHigh = kTimer + 0x24;
constexpr uint32_t kTimeLow = kTimer + 0x28;
constexpr uint32_t kInterrupt = kTimer + 0x34;
constexpr uint32_t kInterruptEnable = kTimer + 0x38;
constexpr uint32_t kLowestPriority = 0xC0;

// Long enough to leave an emulator idle, short enough for link time-outs of tens of ms.
constexpr uint32_t kWakeUs = 5'000;

// Armv6-M writes priorities by words.
void lower_priority(uint32_t irq) {
  const uint32_t address = kNvicPriority + irq / 4 * 4;
  reg(address) = reg(address) | kLowestPriority << (irq % 4 * 8);
}

}  // namespace

void BoardClock::begin() {
  // Below the UARTs: a tick takes far longer than a byte.
  lower_priority(kWakeIrq);
  lower_priority(kTickIrq);
  reg(kInterruptEnable) = 3;
  enable_irq(kWakeIrq);
  enable_irq(kTickIrq);
  reg(kAlarm0) = now_us() + kWakeUs;
}

uint32_t BoardClock::now_us() { return reg(kTimeLow); }

uint64_t BoardClock::ticks() {
  for (uint32_t high = reg(kTimeHigh);;) {
    const uint32_t low = reg(kTimeLow);
    const uint32_t after = reg(kTimeHigh);
    if (after == high) return uint64_t{high} << 32 | low;
    high = after;
  }
}

void BoardClock::on_wake_alarm() {
  reg(kInterrupt) = 1u << 0;
  reg(kAlarm0) = now_us() + kWakeUs;
}

void BoardClock::set_tick_us(uint32_t period_us) {
  reg(kInterrupt) = 1u << 1;
  if (period_us > 0) {
    reg(kAlarm1) = now_us() + period_us;
  } else {
    reg(kArmed) = 1u << 1;
  }
}

void BoardClock::idle() {
  // Locked, so that an interrupt between the look at awake_ and the wait is not slept through.
  InterruptLock lock;
  if (!awake_ && !has_work_()) wait_for_interrupt();
  awake_ = false;
}

}  // namespace split_port::rp2040
