// SPDX-License-Identifier: Apache-2.0
// Which UARTs and pins are the links. Override any of it by build_flags.
//
//   board              to the previous rank        to the next rank          largest sensible rate
//   RP2040             UART0 (RX GP1, TX GP0)      UART1 (RX GP9, TX GP8)    1 Mbaud
//
// Of a Raspberry Pi Pico and boards like it. A UART made of PIO (RX GP5, TX GP4) leads to the host, and
// is the console until the application takes it.
//
// Cross the wires: TX of one rank's next port to RX of the following rank's previous port and the
// other way round, and join all grounds. 3.3 V.
//
// With -DSPLIT_PORT_RTS_CTS a receiver whose FIFO fills stops its sender: two more wires a link, crossed
// like the others, CTS of one board to RTS of the other:
//
//   RP2040             CTS GP2, RTS GP3            CTS GP10, RTS GP11
#ifndef SPLIT_PORT_RP2040_WIRING_H_
#define SPLIT_PORT_RP2040_WIRING_H_

#include <cstdint>

#include "split_port/ring_bytes.h"

// Of the board's crystal.
#ifndef SPLIT_PORT_XOSC_HZ
#define SPLIT_PORT_XOSC_HZ 12000000
#endif

// Equal on every board of a cluster.
#ifndef SPLIT_PORT_BAUD
#define SPLIT_PORT_BAUD 1000000
#endif

// Of the port to the host computer: USB bridges take no megabauds.
#ifndef SPLIT_PORT_HOST_BAUD
#define SPLIT_PORT_HOST_BAUD 921600
#endif

// TX and RX of the previous link, of the next one, and of the host's.
#ifndef SPLIT_PORT_PINS
#define SPLIT_PORT_PINS 0, 1, 8, 9, 4, 5
#endif

// CTS and RTS of the previous link, and of the next one.
#ifndef SPLIT_PORT_FLOW_PINS
#define SPLIT_PORT_FLOW_PINS 2, 3, 10, 11
#endif

namespace split_port::rp2040 {

inline constexpr uint8_t kPins[6] = {SPLIT_PORT_PINS};
inline constexpr uint8_t kFlowPins[4] = {SPLIT_PORT_FLOW_PINS};
#if defined(SPLIT_PORT_RTS_CTS)
inline constexpr bool kHasFlowControl = true;
#else
inline constexpr bool kHasFlowControl = false;
#endif

// reset_bit: in RESETS.
struct UartPlace {
  uint32_t base;
  uint8_t irq;
  uint8_t reset_bit;
  uint8_t tx_pin;
  uint8_t rx_pin;
  uint8_t cts_pin;
  uint8_t rts_pin;
};

// By link (split_port/port.h); the host's has no UART of its own.
inline constexpr uint32_t kUartCount = 2;
inline constexpr UartPlace kUarts[kUartCount] = {
    {0x40034000, 20, 22, kPins[0], kPins[1], kFlowPins[0], kFlowPins[1]},
    {0x40038000, 21, 23, kPins[2], kPins[3], kFlowPins[2], kFlowPins[3]}};

}  // namespace split_port::rp2040

#endif  // SPLIT_PORT_RP2040_WIRING_H_
