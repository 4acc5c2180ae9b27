// SPDX-License-Identifier: Apache-2.0
// A timer of the system in place of a watchdog. It counts the time that the program computes: a
// computer that is busy with others, or a program that is stopped, is no hang. Being reset is the same
// program once more, in the same process and on the same wires; it is told why.
#ifndef SPLIT_PORT_HOST_WATCHDOG_H_
#define SPLIT_PORT_HOST_WATCHDOG_H_

namespace split_port::host {

// Takes what main() was given; from it the program knows why it runs.
void note_reset(char** arguments);

}  // namespace split_port::host

#endif  // SPLIT_PORT_HOST_WATCHDOG_H_
