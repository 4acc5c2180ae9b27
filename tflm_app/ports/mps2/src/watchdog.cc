// SPDX-License-Identifier: Apache-2.0
#include "watchdog.h"

#include "board.h"
#include "split_port/port.h"
#include "split_port_cortex_m/semihosting.h"
#include "split_port_cortex_m/startup.h"

namespace split_port {

// What a reset leaves alone (sections.ld). After power has come it is anything.
struct Kept {
  volatile uint32_t mark;
  volatile uint32_t bitten;
};
extern "C" Kept __kept__;

namespace {

using cortex_m::reg;
using mps2::kWatchdogAddress;
using mps2::kWatchdogHz;

constexpr uint32_t kLoad = 0x000;
constexpr uint32_t kControl = 0x008;
constexpr uint32_t kClear = 0x00C;
constexpr uint32_t kLock = 0xC00;
constexpr uint32_t kKey = 0x1ACCE551;
constexpr uint32_t kInterruptAndReset = 3;
constexpr uint32_t kPeriods = 2;  // until the NMI, and from there until the reset

constexpr uint32_t kMark = 0x7F1A9B33;

ResetReason g_reason = ResetReason::kUnknown;

}  // namespace

namespace mps2 {

void note_reset() {
  const bool by_power = __kept__.mark != kMark;
  const bool by_watchdog = __kept__.bitten == kMark;
  g_reason = by_power      ? ResetReason::kPower
             : by_watchdog ? ResetReason::kWatchdog
                           : ResetReason::kButton;
  __kept__.bitten = 0;
  __kept__.mark = kMark;
}

}  // namespace mps2

void cortex_m::on_nmi() {
  __kept__.bitten = kMark;
  semihosting_write("WATCHDOG: the program hangs; the board is reset\n");
}

bool start_watchdog(uint32_t timeout_ms) {
  const uint64_t count = uint64_t{timeout_ms} * kWatchdogHz / 1000 / kPeriods;
  if (count == 0 || count > UINT32_MAX) return false;
  reg(kWatchdogAddress + kLock) = kKey;
  reg(kWatchdogAddress + kLoad) = static_cast<uint32_t>(count);
  reg(kWatchdogAddress + kControl) = kInterruptAndReset;
  return true;
}

void feed_watchdog() { reg(kWatchdogAddress + kClear) = 1; }

ResetReason reset_reason() { return g_reason; }

}  // namespace split_port
