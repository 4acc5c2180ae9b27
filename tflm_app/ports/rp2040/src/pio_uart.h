// SPDX-License-Identifier: Apache-2.0
// A third UART, made of two state machines of PIO0 (data sheet, chapter 3), as a byte stream: both
// UARTs of the chip lead to neighbours. FIFOs of 8 bytes.
#ifndef SPLIT_PORT_RP2040_PIO_UART_H_
#define SPLIT_PORT_RP2040_PIO_UART_H_

#include "split_port_cortex_m/interrupt_uart.h"
#include "wiring.h"

namespace split_port::rp2040 {

inline constexpr uint32_t kPioIrq = 7;

class PioUart final : public cortex_m::InterruptUart<PioUart> {
 public:
  void begin(uint8_t tx_pin, uint8_t rx_pin, uint32_t clock_hz, uint32_t baud);

  // True when every byte that write() took has left the FIFO.
  bool sent_all() const;

  // Called by the interrupt handler.
  void on_interrupt();

 private:
  friend cortex_m::InterruptUart<PioUart>;

  bool has_arrived();
  bool take(uint8_t* byte);
  void pause_receiver();
  void resume_receiver();
  bool has_room() const;
  void give(uint8_t byte);
  void begin_sending();
  void end_sending();
};

}  // namespace split_port::rp2040

#endif  // SPLIT_PORT_RP2040_PIO_UART_H_
