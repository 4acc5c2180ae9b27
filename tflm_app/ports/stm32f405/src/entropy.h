// SPDX-License-Identifier: Apache-2.0
#ifndef SPLIT_PORT_STM32F405_ENTROPY_H_
#define SPLIT_PORT_STM32F405_ENTROPY_H_

#include <cstdint>

namespace split_port::stm32f405 {

// From the chip's random number generator; 0 if it gives none in time.
uint32_t random_word();

}  // namespace split_port::stm32f405

#endif  // SPLIT_PORT_STM32F405_ENTROPY_H_
