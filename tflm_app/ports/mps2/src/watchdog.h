// SPDX-License-Identifier: Apache-2.0
// The CMSDK APB watchdog (Arm DDI0479, 4.7). At the end of its count it raises the NMI and counts once
// more; at the end of that it resets the board.
#ifndef SPLIT_PORT_MPS2_WATCHDOG_H_
#define SPLIT_PORT_MPS2_WATCHDOG_H_

namespace split_port::mps2 {

// Finds out why the board began to run; the boards have no register that tells. Call first.
void note_reset();
}  // namespace split_port::mps2

#endif  // SPLIT_PORT_MPS2_WATCHDOG_H_
