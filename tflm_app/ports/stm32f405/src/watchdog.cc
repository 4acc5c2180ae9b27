// SPDX-License-Identifier: Apache-2.0
// The independent watchdog (RM0090, chapter 21), which has an oscillator of its own of about 32 kHz, and
// why the chip began to run (7.3.21).
#include "registers.h"
#include "split_port/port.h"
#include "watchdog.h"

namespace split_port {
namespace {

using namespace stm32f405;

constexpr uint32_t kKey = 0x40003000;
constexpr uint32_t kPrescaler = 0x40003004;
constexpr uint32_t kReload = 0x40003008;
constexpr uint32_t kBusy = 0x4000300C;
constexpr uint32_t kStart = 0xCCCC;
constexpr uint32_t kUnlock = 0x5555;
constexpr uint32_t kFeed = 0xAAAA;
constexpr uint32_t kBy64 = 4;
// At the fastest that the oscillator may be, 47 kHz, it must not bite early.
constexpr uint32_t kTicksPerSecond = 47'000 / 64;
constexpr uint32_t kMostTicks = 0xFFF;
constexpr uint32_t kReads = 100'000;  // a change takes five turns of 32 kHz

constexpr uint32_t kRccCsr = kRcc + 0x74;
constexpr uint32_t kForget = 1u << 24;
constexpr uint32_t kByPin = 1u << 26, kByPower = 1u << 27, kBySoftware = 1u << 28,
                   kByWatchdog = 1u << 29;

ResetReason g_reason = ResetReason::kUnknown;

}  // namespace

namespace stm32f405 {

void note_reset() {
  const uint32_t flags = reg(kRccCsr);
  reg(kRccCsr) = flags | kForget;  // else they would be there the next time, too
  // A reset of any kind pulls the pin, too.
  g_reason = (flags & kByWatchdog) != 0   ? ResetReason::kWatchdog
             : (flags & kBySoftware) != 0 ? ResetReason::kSoftware
             : (flags & kByPower) != 0    ? ResetReason::kPower
             : (flags & kByPin) != 0      ? ResetReason::kButton
                                          : ResetReason::kUnknown;
}

}  // namespace stm32f405

bool start_watchdog(uint32_t timeout_ms) {
  const uint64_t ticks = uint64_t{timeout_ms} * kTicksPerSecond / 1000;
  if (ticks == 0 || ticks > kMostTicks) return false;
  reg(kKey) = kStart;
  reg(kKey) = kUnlock;
  reg(kPrescaler) = kBy64;
  reg(kReload) = static_cast<uint32_t>(ticks);
  wait_for(kBusy, ~0u, 0, kReads);
  reg(kKey) = kFeed;
  return true;
}

void feed_watchdog() { reg(kKey) = kFeed; }

ResetReason reset_reason() { return g_reason; }

}  // namespace split_port
