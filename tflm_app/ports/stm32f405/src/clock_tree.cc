// SPDX-License-Identifier: Apache-2.0
#include "clock_tree.h"

#include "registers.h"
#include "wiring.h"

namespace split_port::stm32f405 {
namespace {

constexpr uint32_t kMhz = 1'000'000;
constexpr uint32_t kHsiHz = 16 * kMhz;
constexpr Clocks kFull = {168 * kMhz, 42 * kMhz, 84 * kMhz};
constexpr Clocks kSlow = {kHsiHz, kHsiHz, kHsiHz};
static_assert(SPLIT_PORT_HSE_HZ % kMhz == 0 && SPLIT_PORT_HSE_HZ >= 4 * kMhz &&
                  SPLIT_PORT_HSE_HZ <= 26 * kMhz,
              "SPLIT_PORT_HSE_HZ: a crystal of 4 to 26 whole MHz");

constexpr uint32_t kHsiReady = 1u << 1;
constexpr uint32_t kHseOn = 1u << 16;
constexpr uint32_t kHseReady = 1u << 17;
constexpr uint32_t kPllOn = 1u << 24;
constexpr uint32_t kPllReady = 1u << 25;

// A read takes some 10 cycles: 10 ms for the crystal (data sheet: 2 ms), 1 ms for the rest.
constexpr uint32_t kCrystalReads = 16'000;
constexpr uint32_t kReads = 1'600;

constexpr uint32_t kPowerEnable = 28;     // in RCC_APB1ENR
constexpr uint32_t kVoltageScale1 = 1u << 14;   // in PWR_CR: 168 MHz want it
constexpr uint32_t kFlashCaches = 7u << 8;      // data cache, instruction cache, prefetch
constexpr uint32_t kFlashWaitStates = 5;        // at 168 MHz and 2.7 to 3.6 V
constexpr uint32_t kFlashLatencyMask = 7;

constexpr uint32_t kPllMask = 0x3F | 0x1FF << 6 | 3 << 16 | 1 << 22 | 0xF << 24;
constexpr uint32_t kPllFromHse = 1u << 22;

// 1 MHz into the oscillator, 336 MHz out; by 2 for the core, by 7 for the random numbers' 48 MHz.
constexpr uint32_t pll(uint32_t source_hz) { return source_hz / kMhz | 336 << 6 | 7 << 24; }

constexpr uint32_t kPrescalerMask = 0xF << 4 | 7 << 10 | 7 << 13;
constexpr uint32_t kPrescalers = 5 << 10 | 4 << 13;  // APB1 by 4, APB2 by 2
constexpr uint32_t kSwitchMask = 3;
constexpr uint32_t kSwitchToPll = 2;
constexpr uint32_t kSwitchedMask = 3 << 2;
constexpr uint32_t kSwitchedToPll = 2 << 2;

bool start_pll() {
  reg(kRccCr) = reg(kRccCr) | kHseOn;
  const bool has_crystal = wait_for(kRccCr, kHseReady, kHseReady, kCrystalReads);
  change(kRccPllcfgr, kPllMask, has_crystal ? kPllFromHse | pll(SPLIT_PORT_HSE_HZ) : pll(kHsiHz));
  reg(kRccCr) = reg(kRccCr) | kPllOn;
  return wait_for(kRccCr, kPllReady, kPllReady, kReads);
}

bool switch_to_pll() {
  reg(kFlashAcr) = kFlashCaches | kFlashWaitStates;
  if (!wait_for(kFlashAcr, kFlashLatencyMask, kFlashWaitStates, kReads)) return false;
  change(kRccCfgr, kPrescalerMask, kPrescalers);
  change(kRccCfgr, kSwitchMask, kSwitchToPll);
  if (wait_for(kRccCfgr, kSwitchedMask, kSwitchedToPll, kReads)) return true;
  change(kRccCfgr, kSwitchMask | kPrescalerMask, 0);
  return false;
}

}  // namespace

Clocks begin_clocks() {
  // A chip runs from this oscillator when it comes out of reset. Where it is off something runs that
  // has no clock tree: an emulator, and at full speed.
  const bool is_emulated = (reg(kRccCr) & kHsiReady) == 0;
  enable_clock(kRccApb1enr, kPowerEnable);
  reg(kPwrCr) = reg(kPwrCr) | kVoltageScale1;
  const bool is_full = start_pll() && switch_to_pll();
  return is_full || is_emulated ? kFull : kSlow;
}

}  // namespace split_port::stm32f405
