// SPDX-License-Identifier: Apache-2.0
// What a board tells of itself to whoever looks for boards (docs/deployment.md).
#ifndef SPLIT_PORT_BOARD_FACTS_H_
#define SPLIT_PORT_BOARD_FACTS_H_

#include <cstddef>
#include <cstdint>

namespace split_port {

inline constexpr size_t kUniqueIdBytes = 16;

// The chip's own number, behind it zeros; all zeros, and false, where the port knows none.
bool unique_id(uint8_t* to);

// Of the links to the neighbours, as they were compiled; rate 0: they have none. Rings of 0 bytes:
// what comes is never lost for want of room.
struct LinkFacts {
  bool is_spi = false;
  uint32_t rate_hz = 0;
  uint32_t rx_ring_bytes = 0;
  uint32_t tx_ring_bytes = 0;
};
LinkFacts link_facts();

}  // namespace split_port

#endif  // SPLIT_PORT_BOARD_FACTS_H_
