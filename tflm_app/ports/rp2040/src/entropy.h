// SPDX-License-Identifier: Apache-2.0
#ifndef SPLIT_PORT_RP2040_ENTROPY_H_
#define SPLIT_PORT_RP2040_ENTROPY_H_

#include <cstdint>

namespace split_port::rp2040 {

// Noise of the ring oscillator against the crystal's clock.
uint32_t random_word();

}  // namespace split_port::rp2040

#endif  // SPLIT_PORT_RP2040_ENTROPY_H_
