// SPDX-License-Identifier: Apache-2.0
#ifndef SPLIT_PORT_ARDUINO_WATCHDOG_H_
#define SPLIT_PORT_ARDUINO_WATCHDOG_H_

namespace split_port::arduino {

// As the button does it.
[[noreturn]] void restart();

}  // namespace split_port::arduino

#endif  // SPLIT_PORT_ARDUINO_WATCHDOG_H_
