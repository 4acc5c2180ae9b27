// SPDX-License-Identifier: Apache-2.0
#ifndef SPLIT_PORT_STM32F405_PINS_H_
#define SPLIT_PORT_STM32F405_PINS_H_

#include <cstdint>

namespace split_port::stm32f405 {

// Gives a pin (port 'A' to 'E', number 0 to 15) to its USART. Pulled up, so that a receiver without a
// cable hears silence.
void begin_usart_pin(char port, uint8_t pin);

}  // namespace split_port::stm32f405

#endif  // SPLIT_PORT_STM32F405_PINS_H_
