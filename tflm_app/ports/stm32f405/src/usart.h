// SPDX-License-Identifier: Apache-2.0
// A USART (RM0090, chapter 30) as a byte stream, by an interrupt for each byte and direction.
#ifndef SPLIT_PORT_STM32F405_USART_H_
#define SPLIT_PORT_STM32F405_USART_H_

#include "clock_tree.h"
#include "split_port_cortex_m/interrupt_uart.h"
#include "wiring.h"

namespace split_port::stm32f405 {

class Usart final : public cortex_m::InterruptUart<Usart> {
 public:
  // Clocks, pins and rate, then the receiver.
  void begin(const UsartPlace& place, const Clocks& clocks, uint32_t baud);

  // True when every byte that write() took has left.
  bool sent_all() const;

  // Called by the interrupt handler.
  void on_interrupt();

 private:
  friend cortex_m::InterruptUart<Usart>;

  bool has_arrived();
  bool take(uint8_t* byte);
  void pause_receiver();
  void resume_receiver();
  bool has_room() const;
  void give(uint8_t byte);
  void begin_sending();
  void end_sending();

  uint32_t base_ = 0;
  uint8_t irq_ = 0;
  uint32_t status_ = 0;  // as has_arrived() read it
};

}  // namespace split_port::stm32f405

#endif  // SPLIT_PORT_STM32F405_USART_H_
