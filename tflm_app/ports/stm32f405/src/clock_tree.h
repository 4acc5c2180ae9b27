// SPDX-License-Identifier: Apache-2.0
#ifndef SPLIT_PORT_STM32F405_CLOCK_TREE_H_
#define SPLIT_PORT_STM32F405_CLOCK_TREE_H_

#include <cstdint>

namespace split_port::stm32f405 {

// What the chip runs at: the core, and the buses of the USARTs.
struct Clocks {
  uint32_t core_hz;
  uint32_t apb1_hz;
  uint32_t apb2_hz;
};

// 168 MHz from the crystal; from the internal oscillator (within 1 % at room temperature) if the
// crystal does not start; that oscillator's 16 MHz if the PLL does not lock either. No wait is
// unbounded.
Clocks begin_clocks();

}  // namespace split_port::stm32f405

#endif  // SPLIT_PORT_STM32F405_CLOCK_TREE_H_
