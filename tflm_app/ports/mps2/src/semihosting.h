// SPDX-License-Identifier: Apache-2.0
// Semihosting calls (Arm, "Semihosting for AArch32 and AArch64", 2.0): QEMU answers them when it
// is started with -semihosting-config enable=on.
#ifndef SPLIT_PORT_MPS2_SEMIHOSTING_H_
#define SPLIT_PORT_MPS2_SEMIHOSTING_H_

#include <cstddef>
#include <cstdint>

namespace split_port::mps2 {

// Copies the command line (-semihosting-config arg=..., joined by spaces) and a final zero.
// Returns its length; 0 if there is none or it does not fit.
size_t semihosting_command_line(char* to, size_t capacity);

// Writes to the emulator's own standard error: works before the UARTs do, and in a fault.
void semihosting_write(const char* text);

// Seconds of the host's calendar, and hundredths of a second of the emulator's own run time.
uint32_t semihosting_time_s();
uint32_t semihosting_clock_cs();

// Ends the emulator; `status` becomes its exit status.
[[noreturn]] void semihosting_exit(int status);

}  // namespace split_port::mps2

#endif  // SPLIT_PORT_MPS2_SEMIHOSTING_H_
