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

size_t Usart::read(split_core::MutableBytes to) {
  const size_t given = rx_.pop(to);
  if (receiver_paused_ && given > 0) {
    InterruptLock lock;
    receiver_paused_ = false;
    reg(base_ + kControl1) = reg(base_ + kControl1) | kOnReceived;
    pend_irq(irq_);  // QEMU raises none for the byte that waits
  }
  return given;
}

size_t Usart::write(split_core::ConstBytes from) {
  const size_t taken = tx_.push(from);
  if (taken > 0) {
    InterruptLock lock;
    reg(base_ + kControl1) = reg(base_ + kControl1) | kOnRoom;
    pend_irq(irq_);  // room is there, of which QEMU 7.2 says nothing
  }
  return taken;
}

void Usart::on_interrupt() {
  drain_receiver();
  if ((reg(base_ + kControl1) & kOnRoom) != 0) fill_transmitter();
}

void Usart::drain_receiver() {
  // Status, then data: reading both in this order clears an overrun, too.
  for (uint32_t status = reg(base_ + kStatus); (status & (kReceived | kOverrun)) != 0;
       status = reg(base_ + kStatus)) {
    if (rx_.full()) {
      // QEMU keeps the byte, and with it those behind it; a chip loses and counts what follows.
      receiver_paused_ = true;
      reg(base_ + kControl1) = reg(base_ + kControl1) & ~kOnReceived;
      return;
    }
    if ((status & kOverrun) != 0) ++counters_.lost_bytes;
    const auto byte = static_cast<uint8_t>(reg(base_ + kData));
    if ((status & kReceived) == 0) continue;
    rx_.put(byte);
    ++counters_.received_bytes;
  }
}

void Usart::fill_transmitter() {
  uint8_t byte;
  while ((reg(base_ + kStatus) & kHasRoom) != 0 && tx_.pop(&byte)) {
    reg(base_ + kData) = byte;
    ++counters_.sent_bytes;
  }
  if (tx_.empty()) reg(base_ + kControl1) = reg(base_ + kControl1) & ~kOnRoom;
}

LinkCounters Usart::counters() const {
  InterruptLock lock;
  return counters_;
}

}  // namespace split_port::stm32f405
