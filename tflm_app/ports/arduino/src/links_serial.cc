// SPDX-License-Identifier: Apache-2.0
// Teensy, STM32 and ESP32: their cores receive into buffers of a size that we choose.
#include <Arduino.h>

#include "wiring.h"

#if !defined(ARDUINO_ARCH_MBED) && !defined(SPLIT_PORT_SPI)

#include "stream_link.h"

namespace split_port::arduino {
namespace {

// HardwareSerial, or a class derived from it: Teensyduino since 1.58, STM32 since 3.0.
using Port = decltype(Serial1);

#if defined(TEENSYDUINO)

// The core's own 64 bytes come on top of these.
uint8_t g_rx_memory[kNeighbourCount][SPLIT_PORT_RX_BYTES];
uint8_t g_tx_memory[kNeighbourCount][SPLIT_PORT_TX_BYTES];

constexpr size_t kCapacity = 64 + SPLIT_PORT_RX_BYTES - 1;

// What the hardware lost (i.MX RT1060 manual, 49.4.1.5): it has four places, and takes nothing more
// until the flag is cleared, which the core does only by the way.
bool take_overrun(IMXRT_LPUART_t& hardware) {
  constexpr uint32_t kFlags = LPUART_STAT_LBKDIF | LPUART_STAT_RXEDGIF | LPUART_STAT_IDLE |
                              LPUART_STAT_OR | LPUART_STAT_NF | LPUART_STAT_FE | LPUART_STAT_PF;
  const uint32_t state = hardware.STAT;
  if ((state & LPUART_STAT_OR) == 0) return false;
  hardware.STAT = (state & ~kFlags) | LPUART_STAT_OR;
  return true;
}

StreamLink<Port> g_links[kNeighbourCount] = {
    StreamLink<Port>(Serial1, kCapacity, [] { return take_overrun(IMXRT_LPUART6); }),
    StreamLink<Port>(Serial2, kCapacity, [] { return take_overrun(IMXRT_LPUART4); })};

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
Port g_previous(kPins[0], kPins[1]);
Port g_next(kPins[2], kPins[3]);
constexpr size_t kCapacity = SERIAL_RX_BUFFER_SIZE - 1;
// The core clears an overrun of the hardware, which keeps one byte, before anybody can see it: such a
// loss shows as a damaged frame only.
StreamLink<Port> g_links[kNeighbourCount] = {
    StreamLink<Port>(g_previous, kCapacity), StreamLink<Port>(g_next, kCapacity)};

void begin_ports() {
#if defined(SPLIT_PORT_RTS_CTS)
  constexpr uint32_t kFlowPins[] = {SPLIT_PORT_FLOW_PINS};
  g_previous.setRtsCts(kFlowPins[1], kFlowPins[0]);
  g_next.setRtsCts(kFlowPins[3], kFlowPins[2]);
#endif
  g_previous.begin(SPLIT_PORT_BAUD);
  g_next.begin(SPLIT_PORT_BAUD);
}

#elif defined(ARDUINO_ARCH_ESP32)

constexpr int8_t kPins[] = {SPLIT_PORT_PINS};
// The hardware holds 128 bytes and interrupts at 120 of them, by the core's own choice: at 3 Mbaud
// 27 us before the first byte is lost.
constexpr uint8_t kInterruptAtBytes = 64;
StreamLink<Port> g_links[kNeighbourCount] = {StreamLink<Port>(Serial1),
                                             StreamLink<Port>(Serial2)};

// The driver tells what it lost.
void count_losses(size_t index, hardwareSerial_error_t error) {
  if (error == UART_FIFO_OVF_ERROR || error == UART_BUFFER_FULL_ERROR) g_links[index].add_lost();
}

void begin_ports() {
  Port* const ports[kNeighbourCount] = {&Serial1, &Serial2};
  for (size_t index = 0; index < kNeighbourCount; ++index) {
    ports[index]->onReceiveError(
        [index](hardwareSerial_error_t error) { count_losses(index, error); });
    ports[index]->setRxBufferSize(SPLIT_PORT_RX_BYTES);
    ports[index]->setTxBufferSize(SPLIT_PORT_TX_BYTES);
    ports[index]->begin(SPLIT_PORT_BAUD, SERIAL_8N1, kPins[2 * index], kPins[2 * index + 1]);
    ports[index]->setRxFIFOFull(kInterruptAtBytes);
#if defined(SPLIT_PORT_RTS_CTS)
    constexpr uint8_t kStopAtBytes = 112;
    constexpr int8_t kUnchanged = -1;
    constexpr int8_t kFlowPins[] = {SPLIT_PORT_FLOW_PINS};
    ports[index]->setPins(kUnchanged, kUnchanged, kFlowPins[2 * index], kFlowPins[2 * index + 1]);
    ports[index]->setHwFlowCtrlMode(UART_HW_FLOWCTRL_CTS_RTS, kStopAtBytes);
#endif
  }
}

#else
#error "This Arduino core has no wiring yet: see docs/adding_a_board.md."
#endif

}  // namespace

void begin_neighbours() { begin_ports(); }

CountedStream& neighbour(size_t index) { return g_links[index]; }

}  // namespace split_port::arduino

#endif  // !ARDUINO_ARCH_MBED && !SPLIT_PORT_SPI
