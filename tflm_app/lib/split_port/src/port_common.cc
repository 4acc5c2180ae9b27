// SPDX-License-Identifier: Apache-2.0
// The parts of port.h that are the same on every board, and what holds on a board that has no
// watchdog: its port leaves these functions out.
#include <cstring>

#include "split_port/arguments.h"
#include "split_port/board_facts.h"
#include "split_port/port.h"
#include "split_port/ring_bytes.h"

namespace split_port {

void console_write(const char* text) { console_write(text, std::strlen(text)); }

int32_t argument_or(const char* key, int32_t otherwise) {
  char text[16];
  int32_t value;
  return argument(key, text, sizeof text) && parse_decimal(text, &value) ? value : otherwise;
}

// For ports that do not know.
[[gnu::weak]] StackUse stack_use() { return {}; }
[[gnu::weak]] uint8_t* bank(const char*, uint8_t* placed, size_t) { return placed; }
[[gnu::weak]] bool start_watchdog(uint32_t) { return false; }
[[gnu::weak]] void feed_watchdog() {}
[[gnu::weak]] ResetReason reset_reason() { return ResetReason::kUnknown; }
[[gnu::weak]] uint32_t console_lost_bytes() { return 0; }
[[gnu::weak]] void join_segment(const SegmentPlace&) {}
[[gnu::weak]] bool unique_id(uint8_t* to) {
  std::memset(to, 0, kUniqueIdBytes);
  return false;
}

// Every environment of a device names the rate of its links.
[[gnu::weak]] LinkFacts link_facts() {
#if defined(SPLIT_PORT_SPI_HZ)
  return {true, SPLIT_PORT_SPI_HZ, SPLIT_PORT_RX_BYTES, SPLIT_PORT_TX_BYTES};
#elif defined(SPLIT_PORT_BAUD)
  return {false, SPLIT_PORT_BAUD, SPLIT_PORT_RX_BYTES, SPLIT_PORT_TX_BYTES};
#else
  return {false, 0, SPLIT_PORT_RX_BYTES, SPLIT_PORT_TX_BYTES};
#endif
}

}  // namespace split_port
