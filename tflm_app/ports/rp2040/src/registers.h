// SPDX-License-Identifier: Apache-2.0
// Registers that several files need (RP2040 data sheet, chapters 2.1.2, 2.14, 2.19).
#ifndef SPLIT_PORT_RP2040_REGISTERS_H_
#define SPLIT_PORT_RP2040_REGISTERS_H_

#include <cstdint>

#include "split_port_cortex_m/core.h"

namespace split_port::rp2040 {

using namespace cortex_m;

// Writing to these aliases of a register sets or clears the bits that are 1.
inline constexpr uint32_t kSet = 0x2000;
inline constexpr uint32_t kClear = 0x3000;

inline constexpr uint32_t kResets = 0x4000C000;
inline constexpr uint32_t kResetsDone = kResets + 0x08;
inline constexpr uint32_t kIoBank0 = 0x40014000;
inline constexpr uint32_t kPadsBank0 = 0x4001C000;
inline constexpr uint32_t kTimer = 0x40054000;

inline constexpr uint32_t kIoBank0Reset = 5;
inline constexpr uint32_t kPadsBank0Reset = 8;
inline constexpr uint32_t kPio0Reset = 10;
inline constexpr uint32_t kPllSysReset = 12;
inline constexpr uint32_t kTimerReset = 21;

// GPIO functions.
inline constexpr uint32_t kUartFunction = 2;
inline constexpr uint32_t kPio0Function = 6;

// Waits until all bits of `mask` are as wanted, but not for ever; returns whether they are.
inline bool wait_for(uint32_t address, uint32_t mask, uint32_t wanted, uint32_t most_reads) {
  for (uint32_t read = 0; read < most_reads; ++read) {
    if ((reg(address) & mask) == wanted) return true;
  }
  return false;
}

// Resets a peripheral, which the processor's own reset may not have done, and lets it run.
inline void restart(uint32_t reset_bit) {
  reg(kResets + kSet) = 1u << reset_bit;
  reg(kResets + kClear) = 1u << reset_bit;
  wait_for(kResetsDone, 1u << reset_bit, 1u << reset_bit, 10'000);
}

// Gives a pin to a peripheral. Pulled up, so that a receiver without a cable hears silence.
inline void begin_pin(uint8_t pin, uint32_t function) {
  constexpr uint32_t kInputOn = 1u << 6, kDrive4Ma = 1u << 4, kPullUp = 1u << 3, kSchmitt = 1u << 1;
  reg(kPadsBank0 + 4 + 4 * pin) = kInputOn | kDrive4Ma | kPullUp | kSchmitt;
  reg(kIoBank0 + 4 + 8 * pin) = function;
}

}  // namespace split_port::rp2040

#endif  // SPLIT_PORT_RP2040_REGISTERS_H_
