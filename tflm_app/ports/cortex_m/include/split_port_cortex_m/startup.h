// SPDX-License-Identifier: Apache-2.0
// What a port gives to start-up, which owns the vector table.
#ifndef SPLIT_PORT_CORTEX_M_STARTUP_H_
#define SPLIT_PORT_CORTEX_M_STARTUP_H_

#include <cstdint>

namespace split_port::cortex_m {

// Implemented by the port. Brings up clock, console and links.
void begin();

// Implemented by the port: every external interrupt, SysTick, and PendSV, which the port may ask for
// to go on below its interrupts.
void on_interrupt(uint32_t irq);
void on_systick();
void on_pendsv();
// The same of the interrupt that cannot be masked; a port without one leaves it out.
void on_nmi();

// The processor's own reset request.
[[noreturn]] void restart_board();

// Differs after every reset: counts in memory that start-up does not clear, from whatever it held at
// power-up.
uint32_t reset_count();

}  // namespace split_port::cortex_m

#endif  // SPLIT_PORT_CORTEX_M_STARTUP_H_
