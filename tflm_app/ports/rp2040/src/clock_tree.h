// SPDX-License-Identifier: Apache-2.0
#ifndef SPLIT_PORT_RP2040_CLOCK_TREE_H_
#define SPLIT_PORT_RP2040_CLOCK_TREE_H_

#include <cstdint>

namespace split_port::rp2040 {

// 125 MHz from the crystal for processor and peripherals, and microseconds for the timer. Returns the
// clock of both; where the crystal or the PLL does not start, what there is. No wait is unbounded.
uint32_t begin_clocks();

}  // namespace split_port::rp2040

#endif  // SPLIT_PORT_RP2040_CLOCK_TREE_H_
