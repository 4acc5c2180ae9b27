// SPDX-License-Identifier: Apache-2.0
// A UART (PL011, data sheet 4.2) as a byte stream, by interrupts; its own FIFOs hold 32 bytes.
#ifndef SPLIT_PORT_RP2040_UART_H_
#define SPLIT_PORT_RP2040_UART_H_

#include "split_core/byte_stream.h"
#include "split_port/port.h"
#include "split_port/ring_buffer.h"
#include "wiring.h"

namespace split_port::rp2040 {

class Uart final : public split_core::ByteStream {
 public:
  // Out of reset, pins and rate, then the receiver. clock_hz: of the peripherals.
  void begin(const UartPlace& place, uint32_t clock_hz, uint32_t baud);

  size_t read(split_core::MutableBytes to) override;
  size_t write(split_core::ConstBytes from) override;

  bool has_received() const { return !rx_.empty(); }
  // True when every byte that write() took has left.
  bool sent_all() const;

  // Called by the interrupt handler.
  void on_interrupt();

  LinkCounters counters() const;

 private:
  void drain_receiver();
  void fill_transmitter();

  uint32_t base_ = 0;
  bool receiver_paused_ = false;
  RingBuffer<SPLIT_PORT_RX_BYTES> rx_;
  RingBuffer<SPLIT_PORT_TX_BYTES> tx_;
  LinkCounters counters_;
};

}  // namespace split_port::rp2040

#endif  // SPLIT_PORT_RP2040_UART_H_
