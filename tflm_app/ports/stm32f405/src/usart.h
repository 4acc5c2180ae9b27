// SPDX-License-Identifier: Apache-2.0
// A USART (RM0090, chapter 30) as a byte stream, by an interrupt for each byte and direction.
#ifndef SPLIT_PORT_STM32F405_USART_H_
#define SPLIT_PORT_STM32F405_USART_H_

#include "clock_tree.h"
#include "split_core/byte_stream.h"
#include "split_port/port.h"
#include "split_port/ring_buffer.h"
#include "wiring.h"

namespace split_port::stm32f405 {

class Usart final : public split_core::ByteStream {
 public:
  // Clocks, pins and rate, then the receiver.
  void begin(const UsartPlace& place, const Clocks& clocks, uint32_t baud);

  size_t read(split_core::MutableBytes to) override;
  size_t write(split_core::ConstBytes from) override;

  // The same, but all of it or nothing; returns whether.
  bool write_whole(split_core::ConstBytes from) {
    return from.size() <= tx_.free() && write(from) == from.size();
  }

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
  uint8_t irq_ = 0;
  bool receiver_paused_ = false;
  RingBuffer<SPLIT_PORT_RX_BYTES> rx_;
  RingBuffer<SPLIT_PORT_TX_BYTES> tx_;
  LinkCounters counters_;
};

}  // namespace split_port::stm32f405

#endif  // SPLIT_PORT_STM32F405_USART_H_
