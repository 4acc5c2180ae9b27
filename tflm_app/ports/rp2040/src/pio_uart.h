// SPDX-License-Identifier: Apache-2.0
// A third UART, made of two state machines of PIO0 (data sheet, chapter 3), as a byte stream: both
// UARTs of the chip lead to neighbours. FIFOs of 8 bytes.
#ifndef SPLIT_PORT_RP2040_PIO_UART_H_
#define SPLIT_PORT_RP2040_PIO_UART_H_

#include "split_core/byte_stream.h"
#include "split_port/port.h"
#include "split_port/ring_buffer.h"
#include "wiring.h"

namespace split_port::rp2040 {

inline constexpr uint32_t kPioIrq = 7;

class PioUart final : public split_core::ByteStream {
 public:
  void begin(uint8_t tx_pin, uint8_t rx_pin, uint32_t clock_hz, uint32_t baud);

  size_t read(split_core::MutableBytes to) override;
  size_t write(split_core::ConstBytes from) override;

  // The same, but all of it or nothing; returns whether.
  bool write_whole(split_core::ConstBytes from) {
    return from.size() <= tx_.free() && write(from) == from.size();
  }

  bool has_received() const { return !rx_.empty(); }
  // True when every byte that write() took has left the FIFO.
  bool sent_all() const;

  // Called by the interrupt handler.
  void on_interrupt();

  LinkCounters counters() const;

 private:
  void drain_receiver();
  void fill_transmitter();

  bool receiver_paused_ = false;
  RingBuffer<SPLIT_PORT_RX_BYTES> rx_;
  RingBuffer<SPLIT_PORT_TX_BYTES> tx_;
  LinkCounters counters_;
};

}  // namespace split_port::rp2040

#endif  // SPLIT_PORT_RP2040_PIO_UART_H_
