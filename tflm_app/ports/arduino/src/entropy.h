// SPDX-License-Identifier: Apache-2.0
#ifndef SPLIT_PORT_ARDUINO_ENTROPY_H_
#define SPLIT_PORT_ARDUINO_ENTROPY_H_

#include <cstdint>

namespace split_port::arduino {

// From the chip's random number generator; where there is none, or it does not deliver, from the
// noise of an unconnected analogue input.
uint32_t random_word();

}  // namespace split_port::arduino

#endif  // SPLIT_PORT_ARDUINO_ENTROPY_H_
