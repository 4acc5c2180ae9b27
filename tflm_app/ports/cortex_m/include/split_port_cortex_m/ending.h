// SPDX-License-Identifier: Apache-2.0
// The end of a program on a board that has nobody to give its exit status to.
#ifndef SPLIT_PORT_CORTEX_M_ENDING_H_
#define SPLIT_PORT_CORTEX_M_ENDING_H_

#include <cstddef>

namespace split_port::cortex_m {

// What the console was given while the host had its port.
void remember_words(const char* text, size_t size);

// Under an emulator or a debugger: its exit. On a board the console, which the port has taken back,
// says what was said last, for some seconds, and the board restarts; after status 0 it stays.
[[noreturn]] void end_program(int status);

}  // namespace split_port::cortex_m

#endif  // SPLIT_PORT_CORTEX_M_ENDING_H_
