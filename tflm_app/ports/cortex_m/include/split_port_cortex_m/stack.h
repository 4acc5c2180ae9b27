// SPDX-License-Identifier: Apache-2.0
#ifndef SPLIT_PORT_CORTEX_M_STACK_H_
#define SPLIT_PORT_CORTEX_M_STACK_H_

#include <cstdint>

namespace split_port::cortex_m {

// Fills the stack that is not in use with a pattern, so that stack_use() can tell how deep it went.
// At start-up, before interrupts.
void paint_stack();

}  // namespace split_port::cortex_m

#endif  // SPLIT_PORT_CORTEX_M_STACK_H_
