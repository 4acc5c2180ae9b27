// SPDX-License-Identifier: Apache-2.0
// The independent watchdog.
#ifndef SPLIT_PORT_STM32F405_WATCHDOG_H_
#define SPLIT_PORT_STM32F405_WATCHDOG_H_

namespace split_port::stm32f405 {

// Finds out why the board began to run; and has the chip forget it. Call first.
void note_reset();
}  // namespace split_port::stm32f405

#endif  // SPLIT_PORT_STM32F405_WATCHDOG_H_
