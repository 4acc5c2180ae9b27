// SPDX-License-Identifier: Apache-2.0
#include "clock.h"

#include "board.h"

namespace split_port::mps2 {
namespace {

// Long enough to leave the emulator idle, short enough for link time-outs of tens of ms.
constexpr uint32_t kSysTickHz = 200;

}  // namespace

void BoardClock::begin() {
  ticks_ = reg(kCounterAddress);
  set_systick(0);
  reg(kSysTickControl) = kSysTickOnCoreClock;
}

void BoardClock::set_systick(uint32_t period_us) {
  const uint32_t slowest = kCoreHz / kSysTickHz;
  const uint64_t wanted = uint64_t{period_us} * (kCoreHz / 1'000'000);
  reg(kSysTickReload) = (wanted == 0 || wanted > slowest ? slowest : static_cast<uint32_t>(wanted)) - 1;
  reg(kSysTickValue) = 0;
}

uint64_t BoardClock::ticks() {
  InterruptLock lock;
  ticks_ += reg(kCounterAddress) - static_cast<uint32_t>(ticks_);
  return ticks_;
}

uint32_t BoardClock::now_us() {
  return static_cast<uint32_t>(ticks() / (kCounterHz / 1'000'000));
}

void BoardClock::idle() {
  // Locked, so that an interrupt between the look at awake_ and the wait is not slept through.
  InterruptLock lock;
  if (!awake_ && !has_work_()) wait_for_interrupt();
  awake_ = false;
}

}  // namespace split_port::mps2
