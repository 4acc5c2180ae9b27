// SPDX-License-Identifier: Apache-2.0
// Which serial ports and pins of each board are its links. Override any of it by build_flags.
//
//   board              to the previous rank        to the next rank          largest sensible rate
//   Teensy 4.1         Serial1 (RX 0, TX 1)        Serial2 (RX 7, TX 8)      6 Mbaud
//   Nucleo-H743ZI      USART2 (RX PD6, TX PD5)     USART6 (RX PG9, TX PG14)  1 Mbaud
//   Raspberry Pi Pico  UART0 (RX GP1, TX GP0)      UART1 (RX GP9, TX GP8)    3 Mbaud
//   ESP32-S3           UART1 (RX 18, TX 17)        UART2 (RX 16, TX 15)      3 Mbaud
//   Nano 33 BLE        UARTE0 (RX, TX pins)        UARTE1 (RX D3, TX D2)     1 Mbaud
//
// Cross the wires: TX of one rank's next port to RX of the following rank's previous port and the
// other way round, and join all grounds. All boards here use 3.3 V.
//
// With -DSPLIT_PORT_RTS_CTS (flow_control = "rts_cts") a receiver whose hardware fills stops its sender:
//
//   Nucleo-H743ZI      CTS PD3, RTS PD4            CTS PG15, RTS PG12        while one byte waits
//   Raspberry Pi Pico  CTS GP2, RTS GP3            CTS GP10, RTS GP11        while 16 of 32 wait
//   ESP32-S3           CTS 8, RTS 9                CTS 10, RTS 11            while 112 of 128 wait
//   Nano 33 BLE        CTS D4, RTS D5              CTS D6, RTS D7            by its DMA
//
// Each CTS to the RTS of the other board. Teensy's core moves RTS in its interrupt, which is what
// comes too late when bytes are lost; its pins have none of the hardware's.
//
// With -DSPLIT_PORT_SPI (tflsplit firmware --link spi), on Teensy 4.1, and on the Pico (GP numbers):
//
//   master of the next rank          SCK 13  MOSI 11  MISO 12  SELECT 10  READY 9  ASK 8
//   slave of the previous rank       SCK 27  MOSI 26  MISO 1   SELECT 0   READY 2  ASK 3
//   Pico, master                     SCK 10  MOSI 11  MISO 12  SELECT 13  READY 14 ASK 15
//   Pico, slave                      SCK 18  MOSI 16  MISO 19  SELECT 17  READY 20 ASK 21
//
// Each pin of the master to the pin of the same name of the following rank's slave; short wires,
// with a ground beside SCK.
#ifndef SPLIT_PORT_ARDUINO_WIRING_H_
#define SPLIT_PORT_ARDUINO_WIRING_H_

#include "split_port/ring_bytes.h"

// Equal on every board of a cluster.
#ifndef SPLIT_PORT_BAUD
#define SPLIT_PORT_BAUD 1000000
#endif

// SPI's clock, given by the master of each link.
#ifndef SPLIT_PORT_SPI_HZ
#if defined(ARDUINO_ARCH_MBED)
#define SPLIT_PORT_SPI_HZ 10000000
#else
#define SPLIT_PORT_SPI_HZ 30000000
#endif
#endif

// Of the port to the host computer and console, where that is a UART behind a bridge (Nucleo,
// ESP32-S3-DevKitC); USB ports ignore it. Boards' host_baud in rewriter/tflsplit/firmware/boards.py.
#ifndef SPLIT_PORT_HOST_BAUD
#define SPLIT_PORT_HOST_BAUD 921600
#endif

#if defined(ARDUINO_ARCH_MBED)
#if defined(ARDUINO_ARCH_RP2040) || defined(TARGET_RP2040)
#define SPLIT_PORT_DEFAULT_PINS p1, p0, p9, p8
#define SPLIT_PORT_DEFAULT_FLOW_PINS p2, p3, p10, p11
#else
#define SPLIT_PORT_DEFAULT_PINS \
  digitalPinToPinName(1), digitalPinToPinName(0), digitalPinToPinName(3), digitalPinToPinName(2)
#define SPLIT_PORT_DEFAULT_FLOW_PINS \
  digitalPinToPinName(4), digitalPinToPinName(5), digitalPinToPinName(6), digitalPinToPinName(7)
#endif
#elif defined(ARDUINO_ARCH_STM32)
#define SPLIT_PORT_DEFAULT_PINS PD6, PD5, PG9, PG14
#define SPLIT_PORT_DEFAULT_FLOW_PINS PD3, PD4, PG15, PG12
#elif defined(ARDUINO_ARCH_ESP32)
#define SPLIT_PORT_DEFAULT_PINS 18, 17, 16, 15
#define SPLIT_PORT_DEFAULT_FLOW_PINS 8, 9, 10, 11
#endif

// RX and TX of the previous link, RX and TX of the next one.
#ifndef SPLIT_PORT_PINS
#define SPLIT_PORT_PINS SPLIT_PORT_DEFAULT_PINS
#endif

// CTS and RTS of the previous link, CTS and RTS of the next one.
#ifndef SPLIT_PORT_FLOW_PINS
#define SPLIT_PORT_FLOW_PINS SPLIT_PORT_DEFAULT_FLOW_PINS
#endif

#if defined(SPLIT_PORT_RTS_CTS) && defined(TEENSYDUINO)
#error "Teensy's serial ports have no RTS of the hardware's: leave SPLIT_PORT_RTS_CTS out."
#endif

#endif  // SPLIT_PORT_ARDUINO_WIRING_H_
