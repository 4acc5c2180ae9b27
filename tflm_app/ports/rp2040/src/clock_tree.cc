// SPDX-License-Identifier: Apache-2.0
#include "clock_tree.h"

#include "registers.h"
#include "wiring.h"

namespace split_port::rp2040 {
namespace {

constexpr uint32_t kMhz = 1'000'000;
constexpr uint32_t kFullHz = 125 * kMhz;
constexpr uint32_t kRingOscillatorHz = 6'500'000;  // roughly, and no rate for a UART

constexpr uint32_t kReferenceControl = 0x40008030;
constexpr uint32_t kReferenceSelected = 0x40008038;
constexpr uint32_t kSystemControl = 0x4000803C;
constexpr uint32_t kSystemSelected = 0x40008044;
constexpr uint32_t kPeripheralControl = 0x40008048;
constexpr uint32_t kFromCrystal = 2;
constexpr uint32_t kFromPll = 1;
constexpr uint32_t kPeripheralOn = 1u << 11;  // from the system clock

constexpr uint32_t kXoscControl = 0x40024000;
constexpr uint32_t kXoscStatus = 0x40024004;
constexpr uint32_t kXoscStartup = 0x4002400C;
constexpr uint32_t kXoscRange = 0xAA0;  // 1 to 15 MHz
constexpr uint32_t kXoscOn = 0xFABu << 12;
constexpr uint32_t kStable = 1u << 31;

constexpr uint32_t kPllStatus = 0x40028000;  // and the divider of its input
constexpr uint32_t kPllPower = 0x40028004;
constexpr uint32_t kPllFeedback = 0x40028008;
constexpr uint32_t kPllPostDividers = 0x4002800C;
constexpr uint32_t kPllLocked = 1u << 31;
constexpr uint32_t kPllMainDown = 1u << 0 | 1u << 5;
constexpr uint32_t kPllPostDividersDown = 1u << 3;
// The oscillator at 1,500 MHz, by 6 and by 2.
constexpr uint32_t kPllMultiple = 1'500 * kMhz / SPLIT_PORT_XOSC_HZ;
constexpr uint32_t kPllPostDivide = 6u << 16 | 2u << 12;
static_assert(SPLIT_PORT_XOSC_HZ % kMhz == 0 && SPLIT_PORT_XOSC_HZ <= 15 * kMhz &&
                  1'500 * kMhz % SPLIT_PORT_XOSC_HZ == 0 && kPllMultiple <= 320,
              "SPLIT_PORT_XOSC_HZ: a crystal of 5 to 15 MHz that divides 1,500");

constexpr uint32_t kWatchdogTick = 0x4005802C;
constexpr uint32_t kTickOn = 1u << 9;

// Six milliseconds for the crystal, as slow ones want, counted in 256 of its turns.
constexpr uint32_t kStartupTurns = SPLIT_PORT_XOSC_HZ / 1000 * 6 / 256;
constexpr uint32_t kCrystalReads = 20'000;  // of some 10 turns of the ring oscillator: 30 ms
constexpr uint32_t kReads = 10'000;

bool start_crystal() {
  reg(kXoscStartup) = kStartupTurns;
  reg(kXoscControl) = kXoscRange | kXoscOn;
  if (!wait_for(kXoscStatus, kStable, kStable, kCrystalReads)) return false;
  reg(kReferenceControl) = kFromCrystal;
  return wait_for(kReferenceSelected, ~0u, 1u << kFromCrystal, kReads);
}

bool start_pll() {
  restart(kPllSysReset);
  reg(kPllStatus) = 1;  // the crystal, undivided
  reg(kPllFeedback) = kPllMultiple;
  reg(kPllPower + kClear) = kPllMainDown;
  if (!wait_for(kPllStatus, kPllLocked, kPllLocked, kReads)) return false;
  reg(kPllPostDividers) = kPllPostDivide;
  reg(kPllPower + kClear) = kPllPostDividersDown;
  reg(kSystemControl) = kFromPll;  // by the auxiliary input, which is this PLL
  return wait_for(kSystemSelected, ~0u, 1u << kFromPll, kReads);
}

}  // namespace

uint32_t begin_clocks() {
  // Off the PLL, from which the processor may still run if it alone was reset.
  reg(kSystemControl + kClear) = kFromPll;
  wait_for(kSystemSelected, ~0u, 1u, kReads);
  const bool has_crystal = start_crystal();
  const bool is_full = has_crystal && start_pll();
  reg(kPeripheralControl) = kPeripheralOn;
  reg(kWatchdogTick) = kTickOn | (has_crystal ? SPLIT_PORT_XOSC_HZ : kRingOscillatorHz) / kMhz;
  restart(kTimerReset);
  if (is_full) return kFullHz;
  return has_crystal ? SPLIT_PORT_XOSC_HZ : kRingOscillatorHz;
}

}  // namespace split_port::rp2040
