// SPDX-License-Identifier: Apache-2.0
#include "uart.h"

#include "registers.h"

namespace split_port::rp2040 {
namespace {

constexpr uint32_t kData = 0x00;
constexpr uint32_t kFlags = 0x18;
constexpr uint32_t kDivider = 0x24;
constexpr uint32_t kDivider64ths = 0x28;
constexpr uint32_t kLine = 0x2C;
constexpr uint32_t kControl = 0x30;
constexpr uint32_t kFifoLevels = 0x34;
constexpr uint32_t kInterruptMask = 0x38;

constexpr uint32_t kOverrun = 1u << 11;
constexpr uint32_t kBusy = 1u << 3;
constexpr uint32_t kRxEmpty = 1u << 4;
constexpr uint32_t kTxFull = 1u << 5;
constexpr uint32_t k8BitsByFifo = 3u << 5 | 1u << 4;
constexpr uint32_t kEnable = 1u << 0 | 1u << 8 | 1u << 9;  // UART, transmitter, receiver
constexpr uint32_t kRtsCts = kHasFlowControl ? 3u << 14 : 0u;
// Receive interrupt at 8 of 32 bytes, which leaves 24 for the handler to come, or after a pause of 4
// bytes; transmit interrupt when 4 are left.
constexpr uint32_t kEarlyInterrupts = 1u << 3;
constexpr uint32_t kReceiveInterrupts = 1u << 4 | 1u << 6;
constexpr uint32_t kTransmitInterrupt = 1u << 5;

// Sixteen samples of each bit; in 64ths, rounded.
uint32_t divider_64ths(uint32_t clock_hz, uint32_t baud) {
  return (clock_hz / 16 * 64 + baud / 2) / baud;
}
static_assert(SPLIT_PORT_BAUD <= 125'000'000 / 16, "UART0 and 1 reach 7.8 Mbaud");

}  // namespace

void Uart::begin(const UartPlace& place, uint32_t clock_hz, uint32_t baud) {
  base_ = place.base;
  restart(place.reset_bit);
  const uint32_t divider = divider_64ths(clock_hz, baud);
  reg(base_ + kDivider) = divider / 64;
  reg(base_ + kDivider64ths) = divider % 64;
  reg(base_ + kLine) = k8BitsByFifo;  // behind the divider, which it makes valid
  reg(base_ + kFifoLevels) = kEarlyInterrupts;
  reg(base_ + kControl) = kEnable | kRtsCts;  // RTS stops the peer at the interrupt's 8 bytes
  begin_pin(place.tx_pin, kUartFunction);
  begin_pin(place.rx_pin, kUartFunction);
  if (kHasFlowControl) {
    begin_pin(place.cts_pin, kUartFunction);
    begin_pin(place.rts_pin, kUartFunction);
  }
  reg(base_ + kInterruptMask) = kReceiveInterrupts;
  enable_irq(place.irq);
}

bool Uart::sent_all() const { return tx_.empty() && (reg(base_ + kFlags) & kBusy) == 0; }

void Uart::on_interrupt() {
  drain_receiver();
  fill_transmitter();
}

bool Uart::has_arrived() const { return (reg(base_ + kFlags) & kRxEmpty) == 0; }

bool Uart::take(uint8_t* byte) {
  const uint32_t data = reg(base_ + kData);
  if ((data & kOverrun) != 0) ++counters_.lost_bytes;  // before this one
  *byte = static_cast<uint8_t>(data);
  return true;
}

// The FIFO takes 32 more.
void Uart::pause_receiver() { reg(base_ + kInterruptMask + kClear) = kReceiveInterrupts; }

void Uart::resume_receiver() {
  reg(base_ + kInterruptMask + kSet) = kReceiveInterrupts;
  drain_receiver();
}

bool Uart::has_room() const { return (reg(base_ + kFlags) & kTxFull) == 0; }

void Uart::give(uint8_t byte) { reg(base_ + kData) = byte; }

// None interrupts as long as the FIFO has not been fuller.
void Uart::begin_sending() {
  reg(base_ + kInterruptMask + kSet) = kTransmitInterrupt;
  fill_transmitter();
}

void Uart::end_sending() { reg(base_ + kInterruptMask + kClear) = kTransmitInterrupt; }

}  // namespace split_port::rp2040
