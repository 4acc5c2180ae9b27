// SPDX-License-Identifier: Apache-2.0
// Where each emulated board keeps its UARTs, its Ethernet, its free-running counter and its watchdog (Arm application notes
// AN386, AN500, AN505 and AN547; QEMU's hw/arm/mps2.c and mps2-tz.c model them).
#ifndef SPLIT_PORT_MPS2_BOARD_H_
#define SPLIT_PORT_MPS2_BOARD_H_

#include <cstddef>
#include <cstdint>

#include "split_port_cortex_m/core.h"

namespace split_port::mps2 {

struct UartPlace {
  uint32_t base;
  uint8_t rx_irq;
  uint8_t tx_irq;
};

// UART 0 is the console; 1 to 4 are links.
inline constexpr size_t kUartCount = 5;

#if defined(SPLIT_PORT_MPS2_AN386) || defined(SPLIT_PORT_MPS2_AN500)
inline constexpr UartPlace kUarts[kUartCount] = {{0x40004000, 0, 1},
                                                 {0x40005000, 2, 3},
                                                 {0x40006000, 4, 5},
                                                 {0x40007000, 18, 19},
                                                 {0x40009000, 20, 21}};
inline constexpr uint32_t kCounterAddress = 0x40028018;
inline constexpr uint32_t kCounterHz = 25'000'000;
inline constexpr uint32_t kCoreHz = 25'000'000;
inline constexpr uint32_t kWatchdogAddress = 0x40008000;
inline constexpr uint32_t kWatchdogHz = 25'000'000;
#if defined(SPLIT_PORT_MPS2_AN500)
inline constexpr uint32_t kEthernetAddress = 0xA0000000;
#else
inline constexpr uint32_t kEthernetAddress = 0x40200000;
#endif
inline constexpr uint32_t kEthernetIrq = 13;
#elif defined(SPLIT_PORT_MPS2_AN505)
// The board boots in the Secure state, so these are the secure aliases.
inline constexpr UartPlace kUarts[kUartCount] = {{0x50200000, 32, 33},
                                                 {0x50201000, 34, 35},
                                                 {0x50202000, 36, 37},
                                                 {0x50203000, 38, 39},
                                                 {0x50204000, 40, 41}};
inline constexpr uint32_t kCounterAddress = 0x50302018;
inline constexpr uint32_t kCounterHz = 20'000'000;
inline constexpr uint32_t kCoreHz = 20'000'000;
inline constexpr uint32_t kWatchdogAddress = 0x5002E000;  // of the always-on domain
inline constexpr uint32_t kWatchdogHz = 32'768;
inline constexpr uint32_t kEthernetAddress = 0x52000000;
inline constexpr uint32_t kEthernetIrq = 48;
#elif defined(SPLIT_PORT_MPS3_AN547)
inline constexpr UartPlace kUarts[kUartCount] = {{0x59303000, 33, 34},
                                                 {0x59304000, 35, 36},
                                                 {0x59305000, 37, 38},
                                                 {0x59306000, 39, 40},
                                                 {0x59307000, 41, 42}};
inline constexpr uint32_t kCounterAddress = 0x59302018;
// The board's is 25 MHz; QEMU 7.2 counts 20 (4.0 s for every 5.0 s of its SysTick and of the wall).
inline constexpr uint32_t kCounterHz = 20'000'000;
inline constexpr uint32_t kCoreHz = 32'000'000;
inline constexpr uint32_t kWatchdogAddress = 0x4802E000;  // of the always-on domain
inline constexpr uint32_t kWatchdogHz = 32'768;
inline constexpr uint32_t kEthernetAddress = 0x51400000;
inline constexpr uint32_t kEthernetIrq = 49;
#else
#error "Define SPLIT_PORT_MPS2_AN386, _AN500, _AN505 or SPLIT_PORT_MPS3_AN547 (the board file does)."
#endif

using namespace cortex_m;

}  // namespace split_port::mps2

#endif  // SPLIT_PORT_MPS2_BOARD_H_
