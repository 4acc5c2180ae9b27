// SPDX-License-Identifier: Apache-2.0
// The chip's watchdog (data sheet 4.7), which counts the microseconds that clock_tree.cc gives it, and
// why the chip began to run (2.12.7).
#include "registers.h"
#include "split_port/port.h"

namespace split_port {
namespace {

using namespace rp2040;

constexpr uint32_t kControl = 0x40058000;
constexpr uint32_t kLoad = 0x40058004;
constexpr uint32_t kReason = 0x40058008;
constexpr uint32_t kEnable = 1u << 30;
constexpr uint32_t kByTimer = 1u << 0;
constexpr uint32_t kForced = 1u << 1;
constexpr uint32_t kCountsPerUs = 2;  // erratum RP2040-E1
constexpr uint32_t kMostCounts = 0xFFFFFF;

constexpr uint32_t kResetByWatchdog = 0x40010008;  // of the power-on state machine
constexpr uint32_t kAllButOscillators = 0x1FFFC;

constexpr uint32_t kChipReset = 0x40064008;
constexpr uint32_t kHadPower = 1u << 8;
constexpr uint32_t kHadRunPin = 1u << 16;

uint32_t g_counts = 0;

}  // namespace

bool start_watchdog(uint32_t timeout_ms) {
  const uint64_t counts = uint64_t{timeout_ms} * 1000 * kCountsPerUs;
  if (counts == 0 || counts > kMostCounts) return false;
  g_counts = static_cast<uint32_t>(counts);
  reg(kControl + kClear) = kEnable;
  reg(kResetByWatchdog + kSet) = kAllButOscillators;
  reg(kLoad) = g_counts;
  reg(kControl + kSet) = kEnable;
  return true;
}

void feed_watchdog() {
  if (g_counts != 0) reg(kLoad) = g_counts;
}

ResetReason reset_reason() {
  const uint32_t watchdog = reg(kReason);
  if ((watchdog & kByTimer) != 0) return ResetReason::kWatchdog;
  if ((watchdog & kForced) != 0) return ResetReason::kSoftware;
  const uint32_t chip = reg(kChipReset);
  if ((chip & kHadPower) != 0) return ResetReason::kPower;
  return (chip & kHadRunPin) != 0 ? ResetReason::kButton : ResetReason::kUnknown;
}

}  // namespace split_port
