// SPDX-License-Identifier: Apache-2.0
#include "uart.h"

namespace split_port::mps2 {
namespace {

constexpr uint32_t kData = 0x00;
constexpr uint32_t kState = 0x04;
constexpr uint32_t kControl = 0x08;
constexpr uint32_t kInterruptClear = 0x0C;
constexpr uint32_t kBaudDivider = 0x10;

constexpr uint32_t kStateTxFull = 1;
constexpr uint32_t kStateRxFull = 2;
constexpr uint32_t kControlTx = 1;
constexpr uint32_t kControlRx = 2;
constexpr uint32_t kControlTxInterrupt = 4;
constexpr uint32_t kControlRxInterrupt = 8;
constexpr uint32_t kInterruptTx = 1;
constexpr uint32_t kInterruptRx = 2;

// The least that the hardware allows. QEMU refuses to transmit below it and does not pace by it.
constexpr uint32_t kFastestDivider = 16;

}  // namespace

void begin_console(uint32_t base) {
  reg(base + kBaudDivider) = kFastestDivider;
  reg(base + kControl) = kControlTx;
}

size_t write_console(uint32_t base, split_core::ConstBytes from) {
  size_t taken = 0;
  while (taken < from.size() && (reg(base + kState) & kStateTxFull) == 0) {
    reg(base + kData) = from[taken++];
  }
  return taken;
}

void Uart::begin(const UartPlace& place, Rings* rings) {
  base_ = place.base;
  rings_ = rings;
  reg(base_ + kBaudDivider) = kFastestDivider;
  enable_irq(place.rx_irq);
  enable_irq(place.tx_irq);
  reg(base_ + kControl) = kControlTx | kControlRx | kControlRxInterrupt;
  // Switching the receiver on does not make QEMU offer the bytes that wait already; only a read
  // of DATA does. A byte that slips in before this read is lost, which is why links shake hands.
  if (!rx_full()) {
    [[maybe_unused]] const uint32_t discarded = reg(base_ + kData);
  }
}

bool Uart::tx_full() const { return (reg(base_ + kState) & kStateTxFull) != 0; }
bool Uart::rx_full() const { return (reg(base_ + kState) & kStateRxFull) != 0; }

size_t Uart::read(split_core::MutableBytes to) {
  if (!has_begun()) return 0;
  const size_t given = rings_->rx.pop(to);
  if (receiver_paused_ && given > 0) {
    InterruptLock lock;
    receiver_paused_ = false;
    reg(base_ + kControl) = reg(base_ + kControl) | kControlRxInterrupt;
    drain_receiver();  // The byte in DATA raised its interrupt long ago; it would not come again.
  }
  return given;
}

size_t Uart::write(split_core::ConstBytes from) {
  if (!has_begun()) return 0;
  // With an empty queue the handler is off duty and the bytes may go straight to the UART.
  size_t taken = 0;
  if (rings_->tx.empty()) {
    while (taken < from.size() && !tx_full()) reg(base_ + kData) = from[taken++];
    sent_bytes_ += taken;
  }
  if (taken == from.size()) return taken;
  const size_t queued = rings_->tx.push(from.subspan(taken));
  if (queued > 0) {
    InterruptLock lock;
    reg(base_ + kControl) = reg(base_ + kControl) | kControlTxInterrupt;
    // The UART may have run empty before the interrupt was switched on: then none comes.
    fill_transmitter();
  }
  return taken + queued;
}

void Uart::on_receive() {
  // Cleared first: a byte that arrives during the loop raises the interrupt again.
  reg(base_ + kInterruptClear) = kInterruptRx;
  drain_receiver();
}

void Uart::on_transmit() {
  reg(base_ + kInterruptClear) = kInterruptTx;
  fill_transmitter();
}

void Uart::drain_receiver() {
  while (rx_full()) {
    if (rings_->rx.full()) {
      // The byte stays in DATA, so QEMU takes no more from the wire until read() makes room.
      receiver_paused_ = true;
      reg(base_ + kControl) = reg(base_ + kControl) & ~kControlRxInterrupt;
      return;
    }
    rings_->rx.push(static_cast<uint8_t>(reg(base_ + kData)));
    ++received_bytes_;
  }
}

void Uart::fill_transmitter() {
  uint8_t byte;
  while (!tx_full() && rings_->tx.pop(&byte)) {
    reg(base_ + kData) = byte;
    ++sent_bytes_;
  }
  if (rings_->tx.empty()) reg(base_ + kControl) = reg(base_ + kControl) & ~kControlTxInterrupt;
}

LinkCounters Uart::counters() const {
  InterruptLock lock;
  LinkCounters counters;
  counters.received_bytes = received_bytes_;
  counters.sent_bytes = sent_bytes_;
  return counters;
}

}  // namespace split_port::mps2
