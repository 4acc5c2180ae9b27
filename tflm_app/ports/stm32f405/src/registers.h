// SPDX-License-Identifier: Apache-2.0
// Registers beside the USARTs' (reference manual RM0090, chapters 3, 5, 7, 8 and 24).
#ifndef SPLIT_PORT_STM32F405_REGISTERS_H_
#define SPLIT_PORT_STM32F405_REGISTERS_H_

#include <cstdint>

#include "split_port_cortex_m/core.h"

namespace split_port::stm32f405 {

using namespace cortex_m;

inline constexpr uint32_t kRcc = 0x40023800;
inline constexpr uint32_t kRccCr = kRcc + 0x00;
inline constexpr uint32_t kRccPllcfgr = kRcc + 0x04;
inline constexpr uint32_t kRccCfgr = kRcc + 0x08;
inline constexpr uint32_t kRccAhb1enr = kRcc + 0x30;
inline constexpr uint32_t kRccAhb2enr = kRcc + 0x34;
inline constexpr uint32_t kRccApb1enr = kRcc + 0x40;
inline constexpr uint32_t kRccApb2enr = kRcc + 0x44;
inline constexpr uint32_t kFlashAcr = 0x40023C00;
inline constexpr uint32_t kPwrCr = 0x40007000;
inline constexpr uint32_t kGpioA = 0x40020000;
inline constexpr uint32_t kGpioStep = 0x400;
inline constexpr uint32_t kRng = 0x50060800;

// Changes the bits of `mask` to those of `value`.
inline void change(uint32_t address, uint32_t mask, uint32_t value) {
  reg(address) = (reg(address) & ~mask) | value;
}

// Gives a peripheral its clock; the read lets the two cycles pass that it takes (errata ES0182).
inline void enable_clock(uint32_t address, uint32_t bit) {
  reg(address) = reg(address) | 1u << bit;
  [[maybe_unused]] const uint32_t done = reg(address);
}

// Waits until all bits of `wanted` are as given, but not for ever; returns whether they are.
inline bool wait_for(uint32_t address, uint32_t mask, uint32_t wanted, uint32_t most_reads) {
  for (uint32_t read = 0; read < most_reads; ++read) {
    if ((reg(address) & mask) == wanted) return true;
  }
  return false;
}

}  // namespace split_port::stm32f405

#endif  // SPLIT_PORT_STM32F405_REGISTERS_H_
