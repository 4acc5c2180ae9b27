// SPDX-License-Identifier: Apache-2.0
#include "clock.h"

#include "registers.h"

namespace split_port::stm32f405 {
namespace {

// Long enough to leave an emulator idle, short enough for link time-outs of tens of ms.
constexpr uint32_t kLongestPeriodUs = 5'000;
constexpr uint32_t kUs = 1'000'000;

}  // namespace

void BoardClock::begin(uint32_t core_hz) {
  core_hz_ = core_hz;
  set_tick_us(0);
  reg(kSysTickControl) = kSysTickOnCoreClock;
}

void BoardClock::set_tick_us(uint32_t period_us) {
  const bool is_shorter = period_us > 0 && period_us < kLongestPeriodUs;
  InterruptLock lock;
  begin_ticks_ = ticks();
  period_ticks_ = core_hz_ / kUs * (is_shorter ? period_us : kLongestPeriodUs);
  reg(kSysTickReload) = period_ticks_ - 1;
  reg(kSysTickValue) = 0;       // begins anew
  reg(kScbIcsr) = kClearSysTick;  // a turn that was over is counted in ticks() already
}

void BoardClock::on_systick() {
  InterruptLock lock;
  begin_ticks_ += period_ticks_;
  awake_ = true;
}

uint64_t BoardClock::ticks() {
  InterruptLock lock;
  uint32_t left = reg(kSysTickValue);
  uint64_t begin = begin_ticks_;
  if ((reg(kScbIcsr) & kPendSysTick) != 0) {
    left = reg(kSysTickValue);  // of the new turn for certain
    begin += period_ticks_;
  }
  // 0 is where a turn begins: after a write, and when it raises its interrupt.
  return begin + (left == 0 ? 0 : period_ticks_ - left);
}

uint32_t BoardClock::now_us() { return static_cast<uint32_t>(ticks() / (core_hz_ / kUs)); }

void BoardClock::idle() {
  // Locked, so that an interrupt between the look at awake_ and the wait is not slept through.
  InterruptLock lock;
  if (!awake_ && !has_work_()) wait_for_interrupt();
  awake_ = false;
}

}  // namespace split_port::stm32f405
