// SPDX-License-Identifier: Apache-2.0
// Semihosting calls (Arm, "Semihosting for AArch32 and AArch64", 2.0): an emulator answers them, or a
// debugger that was asked to. Without either the first call finds that out (see on_fault), and all
// others do nothing.
#ifndef SPLIT_PORT_CORTEX_M_SEMIHOSTING_H_
#define SPLIT_PORT_CORTEX_M_SEMIHOSTING_H_

#include <cstddef>
#include <cstdint>

namespace split_port::cortex_m {

// Reads the command line (QEMU: -semihosting-config arg=..., joined by spaces), which `argument()`
// looks into. Call once, first.
void begin_semihosting();
bool has_semihosting();
// split_port::argument() of that command line.
bool semihosting_argument(const char* key, char* to, size_t capacity);

// split_port::unique_id(): the argument id=, as text; an emulated board has no other.
bool semihosting_id(uint8_t* to);

// Writes to the emulator's own standard error: works before the UARTs do, and in a fault.
void semihosting_write(const char* text);

// Numbers that go on over a reset of the emulated board: seconds of the host's calendar, hundredths
// of a second of the emulator's own run time. Nobody presses the button twice within both.
uint32_t semihosting_nonce();

// Ends the emulator; `status` becomes its exit status. A board stays here for ever.
[[noreturn]] void semihosting_exit(int status);

}  // namespace split_port::cortex_m

#endif  // SPLIT_PORT_CORTEX_M_SEMIHOSTING_H_
