// SPDX-License-Identifier: Apache-2.0
// Which USARTs and pins are the links. Override any of it by build_flags.
//
//   board              to the previous rank        to the next rank          largest sensible rate
//   STM32F405          USART2 (RX PA3, TX PA2)     USART3 (RX PB11, TX PB10)   1 Mbaud
//
// USART1 (RX PA10, TX PA9) leads to the host, and is the console until the application takes it.
//
// Cross the wires: TX of one rank's next port to RX of the following rank's previous port and the
// other way round, and join all grounds. 3.3 V.
//
// With -DSPLIT_PORT_RTS_CTS a receiver that has a byte nobody took yet stops its sender: two more wires
// a link, crossed like the others, CTS of one board to RTS of the other:
//
//   STM32F405          CTS PA0, RTS PA1            CTS PB13, RTS PB14
#ifndef SPLIT_PORT_STM32F405_WIRING_H_
#define SPLIT_PORT_STM32F405_WIRING_H_

#include <cstdint>

#include "split_port/ring_bytes.h"

// Of the board's crystal, whole MHz: 8 on most boards, 12 on Adafruit's Feather, 25 on Netduino.
#ifndef SPLIT_PORT_HSE_HZ
#define SPLIT_PORT_HSE_HZ 8000000
#endif

// Equal on every board of a cluster.
#ifndef SPLIT_PORT_BAUD
#define SPLIT_PORT_BAUD 1000000
#endif

// Of the port to the host computer: USB bridges take no megabauds.
#ifndef SPLIT_PORT_HOST_BAUD
#define SPLIT_PORT_HOST_BAUD 921600
#endif

// TX and RX of USART1, where PA9 is taken (by USB's VBUS on the Discovery board): 'B', 6, 'B', 7.
#ifndef SPLIT_PORT_HOST_PINS
#define SPLIT_PORT_HOST_PINS 'A', 9, 'A', 10
#endif

namespace split_port::stm32f405 {

// bus: APB 1 or 2, whose clock the USART divides; enable_bit: in RCC_APBxENR.
struct UsartPlace {
  uint32_t base;
  uint8_t irq;
  uint8_t bus;
  uint8_t enable_bit;
  char tx_port;
  uint8_t tx_pin;
  char rx_port;
  uint8_t rx_pin;
  char flow_port;  // of CTS and RTS; 0: this one has none
  uint8_t cts_pin;
  uint8_t rts_pin;
};

// By link (split_port/port.h). Data sheet DS8626, tables 9 and 10; all are alternate function 7.
inline constexpr uint32_t kLinkCount = 3;
inline constexpr UsartPlace kUsarts[kLinkCount] = {
    {0x40004400, 38, 1, 17, 'A', 2, 'A', 3, 'A', 0, 1},
    {0x40004800, 39, 1, 18, 'B', 10, 'B', 11, 'B', 13, 14},
    {0x40011000, 37, 2, 4, SPLIT_PORT_HOST_PINS, 0, 0, 0},
};
#if defined(SPLIT_PORT_RTS_CTS)
inline constexpr bool kHasFlowControl = true;
#else
inline constexpr bool kHasFlowControl = false;
#endif
inline constexpr uint32_t kBauds[kLinkCount] = {SPLIT_PORT_BAUD, SPLIT_PORT_BAUD,
                                                SPLIT_PORT_HOST_BAUD};

}  // namespace split_port::stm32f405

#endif  // SPLIT_PORT_STM32F405_WIRING_H_
