// SPDX-License-Identifier: Apache-2.0
#ifndef SPLIT_PORT_MPS2_INTERRUPTS_H_
#define SPLIT_PORT_MPS2_INTERRUPTS_H_

namespace split_port::mps2 {

// Brings up clock, console and links.
void begin();

// Every external interrupt: finds the UART by the active interrupt's number.
void on_interrupt();
// Every few milliseconds: ends idle() and keeps the counter's high half up to date.
void on_systick();

}  // namespace split_port::mps2

#endif  // SPLIT_PORT_MPS2_INTERRUPTS_H_
