// SPDX-License-Identifier: Apache-2.0
#include "usart.h"

#include "pins.h"
#include "registers.h"

namespace split_port::stm32f405 {
namespace {

constexpr uint32_t kStatus = 0x00;
constexpr uint32_t kData = 0x04;
constexpr uint32_t kBaudRate = 0x08;
constexpr uint32_t kControl1 = 0x0C;
constexpr uint32_t kControl3 = 0x14;

constexpr uint32_t kOverrun = 1u << 3;
constexpr uint32_t kReceived = 1u << 5;
constexpr uint32_t kSentAll = 1u << 6;
constexpr uint32_t kHasRoom = 1u << 7;

constexpr uint32_t kReceiver = 1u << 2;
constexpr uint32_t kTransmitter = 1u << 3;
constexpr uint32_t kOnReceived = 1u << 5;
constexpr uint32_t kOnRoom = 1u << 7;
constexpr uint32_t kUsart = 1u << 13;

constexpr uint32_t kRts = 1u << 8;
constexpr uint32_t kCts = 1u << 9;

// Sixteen samples of each bit: the register counts sixteenths of a divider, so it is the quotient.
constexpr uint32_t kSamplesOfBit = 16;
static_assert(SPLIT_PORT_BAUD <= 42'000'000 / kSamplesOfBit, "USART2 and 3 reach 2.6 Mbaud");

uint32_t divider(uint32_t bus_hz, uint32_t baud) {
  const uint32_t rounded = (bus_hz + baud / 2) / baud;
  return rounded < kSamplesOfBit ? kSamplesOfBit : rounded;
}

}  // namespace

void Usart::begin(const UsartPlace& place, const Clocks& clocks, uint32_t baud) {
  base_ = place.base;
  irq_ = place.irq;
  enable_clock(place.bus == 1 ? kRccApb1enr : kRccApb2enr, place.enable_bit);
  begin_usart_pin(place.tx_port, place.tx_pin);
  begin_usart_pin(place.rx_port, place.rx_pin);
  reg(base_ + kBaudRate) = divider(place.bus == 1 ? clocks.apb1_hz : clocks.apb2_hz, baud);
  if (kHasFlowControl && place.flow_port != 0) {
    begin_usart_pin(place.flow_port, place.cts_pin);
    begin_usart_pin(place.flow_port, place.rts_pin);
    reg(base_ + kControl3) = kRts | kCts;
  }
  reg(base_ + kControl1) = kUsart | kTransmitter | kReceiver | kOnReceived;
  // QEMU offers a byte that waited already only when this one is read.
  [[maybe_unused]] const uint32_t discarded = reg(base_ + kData);
  enable_irq(irq_);
}

bool Usart::sent_all() const { return tx_.empty() && (reg(base_ + kStatus) & kSentAll) != 0; }

void Usart::on_interrupt() {
  drain_receiver();
  if ((reg(base_ + kControl1) & kOnRoom) != 0) fill_transmitter();
}

// Status, then data: reading both in this order clears an overrun, too.
bool Usart::has_arrived() {
  status_ = reg(base_ + kStatus);
  return (status_ & (kReceived | kOverrun)) != 0;
}

bool Usart::take(uint8_t* byte) {
  if ((status_ & kOverrun) != 0) ++counters_.lost_bytes;
  *byte = static_cast<uint8_t>(reg(base_ + kData));
  return (status_ & kReceived) != 0;
}

// QEMU keeps the byte, and with it those behind it; a chip loses and counts what follows.
void Usart::pause_receiver() { reg(base_ + kControl1) = reg(base_ + kControl1) & ~kOnReceived; }

void Usart::resume_receiver() {
  reg(base_ + kControl1) = reg(base_ + kControl1) | kOnReceived;
  pend_irq(irq_);  // QEMU raises none for the byte that waits
}

bool Usart::has_room() const { return (reg(base_ + kStatus) & kHasRoom) != 0; }

void Usart::give(uint8_t byte) { reg(base_ + kData) = byte; }

void Usart::begin_sending() {
  reg(base_ + kControl1) = reg(base_ + kControl1) | kOnRoom;
  pend_irq(irq_);  // room is there, of which QEMU 7.2 says nothing
}

void Usart::end_sending() { reg(base_ + kControl1) = reg(base_ + kControl1) & ~kOnRoom; }

}  // namespace split_port::stm32f405
