// SPDX-License-Identifier: Apache-2.0
// A UART (PL011, data sheet 4.2) as a byte stream, by interrupts; its own FIFOs hold 32 bytes.
#ifndef SPLIT_PORT_RP2040_UART_H_
#define SPLIT_PORT_RP2040_UART_H_

#include "split_port_cortex_m/interrupt_uart.h"
#include "wiring.h"

namespace split_port::rp2040 {

class Uart final : public cortex_m::InterruptUart<Uart> {
 public:
  // Out of reset, pins and rate, then the receiver. clock_hz: of the peripherals.
  void begin(const UartPlace& place, uint32_t clock_hz, uint32_t baud);

  // True when every byte that write() took has left.
  bool sent_all() const;

  // Called by the interrupt handler.
  void on_interrupt();

 private:
  friend cortex_m::InterruptUart<Uart>;

  bool has_arrived() const;
  bool take(uint8_t* byte);
  void pause_receiver();
  void resume_receiver();
  bool has_room() const;
  void give(uint8_t byte);
  void begin_sending();
  void end_sending();

  uint32_t base_ = 0;
};

}  // namespace split_port::rp2040

#endif  // SPLIT_PORT_RP2040_UART_H_
