// SPDX-License-Identifier: Apache-2.0
#ifndef SPLIT_PORT_ARDUINO_CHIP_ID_H_
#define SPLIT_PORT_ARDUINO_CHIP_ID_H_

#include <cstdint>

namespace split_port::arduino {

// split_port::unique_id() of the chips whose manuals say where it stands.
bool chip_id(uint8_t* to);

}  // namespace split_port::arduino

#endif  // SPLIT_PORT_ARDUINO_CHIP_ID_H_
