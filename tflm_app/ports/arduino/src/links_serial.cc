// SPDX-License-Identifier: Apache-2.0
// Teensy, STM32 and ESP32: their cores receive into buffers of a size that we choose.
#include <Arduino.h>

#include "wiring.h"

#if !defined(ARDUINO_ARCH_MBED)

#include "stream_link.h"

namespace split_port::arduino {
namespace {

#if defined(TEENSYDUINO)

// The core's own 64 bytes come on top of these.
uint8_t g_rx_memory[kNeighbourCount][SPLIT_PORT_RX_BYTES];
uint8_t g_tx_memory[kNeighbourCount][SPLIT_PORT_TX_BYTES];

using Port = decltype(Serial1);  // HardwareSerial, since Teensyduino 1.58 a class derived of it
StreamLink<Port> g_links[kNeighbourCount] = {StreamLink<Port>(Serial1), StreamLink<Port>(Serial2)};

void begin_ports() {
  Port* const ports[kNeighbourCount] = {&Serial1, &Serial2};
  for (size_t index = 0; index < kNeighbourCount; ++index) {
    ports[index]->addMemoryForRead(g_rx_memory[index], sizeof g_rx_memory[index]);
    ports[index]->addMemoryForWrite(g_tx_memory[index], sizeof g_tx_memory[index]);
    ports[index]->begin(SPLIT_PORT_BAUD);
  }
}

#elif defined(ARDUINO_ARCH_STM32)

// The buffers' sizes are fixed when the core is compiled.
#if !defined(SERIAL_RX_BUFFER_SIZE) || SERIAL_RX_BUFFER_SIZE < SPLIT_PORT_RX_BYTES
#error "Add -DSERIAL_RX_BUFFER_SIZE=4096 (or SPLIT_PORT_RX_BYTES) to build_flags."
#endif

constexpr uint32_t kPins[] = {SPLIT_PORT_PINS};
HardwareSerial g_previous(kPins[0], kPins[1]);
HardwareSerial g_next(kPins[2], kPins[3]);
StreamLink<HardwareSerial> g_links[kNeighbourCount] = {StreamLink<HardwareSerial>(g_previous),
                                                       StreamLink<HardwareSerial>(g_next)};

void begin_ports() {
  g_previous.begin(SPLIT_PORT_BAUD);
  g_next.begin(SPLIT_PORT_BAUD);
}

#elif defined(ARDUINO_ARCH_ESP32)

constexpr int8_t kPins[] = {SPLIT_PORT_PINS};
StreamLink<HardwareSerial> g_links[kNeighbourCount] = {StreamLink<HardwareSerial>(Serial1),
                                                       StreamLink<HardwareSerial>(Serial2)};

void begin_ports() {
  HardwareSerial* const ports[kNeighbourCount] = {&Serial1, &Serial2};
  for (size_t index = 0; index < kNeighbourCount; ++index) {
    ports[index]->setRxBufferSize(SPLIT_PORT_RX_BYTES);
    ports[index]->setTxBufferSize(SPLIT_PORT_TX_BYTES);
    ports[index]->begin(SPLIT_PORT_BAUD, SERIAL_8N1, kPins[2 * index], kPins[2 * index + 1]);
  }
}

#else
#error "This Arduino core has no wiring yet: see docs/adding_a_board.md."
#endif

}  // namespace

void begin_neighbours() { begin_ports(); }

CountedStream& neighbour(size_t index) { return g_links[index]; }

}  // namespace split_port::arduino

#endif  // !ARDUINO_ARCH_MBED
