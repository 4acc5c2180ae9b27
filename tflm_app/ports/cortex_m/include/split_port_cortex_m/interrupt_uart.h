// SPDX-License-Identifier: Apache-2.0
// A UART as a byte stream by interrupts, whatever its registers are: what drivers of chips have in
// common. A ring each way; a receiver whose ring is full is paused until somebody reads.
#ifndef SPLIT_PORT_CORTEX_M_INTERRUPT_UART_H_
#define SPLIT_PORT_CORTEX_M_INTERRUPT_UART_H_

#include "split_core/byte_stream.h"
#include "split_port/port.h"
#include "split_port/ring_buffer.h"
#include "split_port/ring_bytes.h"
#include "split_port_cortex_m/core.h"

namespace split_port::cortex_m {

// `Hardware` derives from this, befriends it, and has, for one interrupt handler:
//   bool has_arrived();            something waits in the receiver; what it lost is counted
//   bool take(uint8_t* byte);      takes that; false: it was no byte
//   void pause_receiver();         it interrupts no more ...
//   void resume_receiver();        ... and again, also for what waits already
//   bool has_room() const;         the sender takes a byte
//   void give(uint8_t byte);       gives it to the sender
//   void begin_sending();          there are bytes in tx_: interrupts out
//   void end_sending();            there are none: the sender interrupts no more
template <typename Hardware>
class InterruptUart : public split_core::ByteStream {
 public:
  size_t read(split_core::MutableBytes to) final {
    const size_t given = rx_.pop(to);
    if (receiver_paused_ && given > 0) {
      InterruptLock lock;
      receiver_paused_ = false;
      hardware().resume_receiver();
    }
    return given;
  }

  size_t write(split_core::ConstBytes from) final {
    const size_t taken = tx_.push(from);
    if (taken > 0) {
      InterruptLock lock;
      hardware().begin_sending();
    }
    return taken;
  }

  // The same, but all of it or nothing; returns whether.
  bool write_whole(split_core::ConstBytes from) {
    return from.size() <= tx_.free() && write(from) == from.size();
  }

  bool has_received() const { return !rx_.empty(); }

  LinkCounters counters() const {
    InterruptLock lock;
    return counters_;
  }

 protected:
  void drain_receiver() {
    while (hardware().has_arrived()) {
      if (rx_.full()) {
        // What has no place in the hardware either is lost, and counted there.
        receiver_paused_ = true;
        hardware().pause_receiver();
        return;
      }
      uint8_t byte;
      if (!hardware().take(&byte)) continue;
      rx_.put(byte);
      ++counters_.received_bytes;
    }
  }

  void fill_transmitter() {
    uint8_t byte;
    while (hardware().has_room() && tx_.pop(&byte)) {
      hardware().give(byte);
      ++counters_.sent_bytes;
    }
    if (tx_.empty()) hardware().end_sending();
  }

  RingBuffer<SPLIT_PORT_RX_BYTES> rx_;
  RingBuffer<SPLIT_PORT_TX_BYTES> tx_;
  LinkCounters counters_;

 private:
  Hardware& hardware() { return static_cast<Hardware&>(*this); }

  bool receiver_paused_ = false;
};

}  // namespace split_port::cortex_m

#endif  // SPLIT_PORT_CORTEX_M_INTERRUPT_UART_H_
