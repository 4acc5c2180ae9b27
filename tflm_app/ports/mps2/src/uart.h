// SPDX-License-Identifier: Apache-2.0
// The CMSDK APB UART (Arm DDI0479, 4.3) as a byte stream, by interrupts.
#ifndef SPLIT_PORT_MPS2_UART_H_
#define SPLIT_PORT_MPS2_UART_H_

#include "board.h"
#include "split_core/byte_stream.h"
#include "split_port/port.h"
#include "split_port/ring_buffer.h"
#include "split_port/ring_bytes.h"

// UARTs that have rings: those that the application asks for first.
#ifndef SPLIT_PORT_LINKS
#define SPLIT_PORT_LINKS 4
#endif

namespace split_port::mps2 {

// The console is the same kind of UART, written to without interrupts and never read. Takes what the
// UART takes now; returns how much.
void begin_console(uint32_t base);
size_t write_console(uint32_t base, split_core::ConstBytes from);

struct Rings {
  RingBuffer<SPLIT_PORT_RX_BYTES> rx;
  RingBuffer<SPLIT_PORT_TX_BYTES> tx;
};

// Without rings, before begin(), nothing comes and nothing is taken.
class Uart final : public split_core::ByteStream {
 public:
  void begin(const UartPlace& place, Rings* rings);
  bool has_begun() const { return rings_ != nullptr; }

  size_t read(split_core::MutableBytes to) override;
  size_t write(split_core::ConstBytes from) override;

  bool has_received() const { return has_begun() && !rings_->rx.empty(); }
  // True when every byte that write() took has left.
  bool sent_all() const { return !has_begun() || (rings_->tx.empty() && !tx_full()); }

  // Called by the interrupt handler.
  void on_receive();
  void on_transmit();

  LinkCounters counters() const;

 private:
  bool tx_full() const;
  bool rx_full() const;
  void drain_receiver();
  void fill_transmitter();

  uint32_t base_ = 0;
  bool receiver_paused_ = false;
  Rings* rings_ = nullptr;
  uint64_t received_bytes_ = 0;
  uint64_t sent_bytes_ = 0;
};

}  // namespace split_port::mps2

#endif  // SPLIT_PORT_MPS2_UART_H_
