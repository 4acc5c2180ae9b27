// SPDX-License-Identifier: Apache-2.0
// What one transfer over SPI carries, each way:
//
//   mark 0xB5 | count, 0 to 125 | mark ^ ~count | 125 bytes, the first `count` of them valid
//
// A side that was not there when it was clocked (reset, unplugged, not armed) leaves zeros, ones or
// a shifted block on the wire, none of which has a header. Damage behind the header is left to the
// frames' CRC (docs/wire_format.md).
#ifndef SPLIT_PORT_SPI_BLOCK_H_
#define SPLIT_PORT_SPI_BLOCK_H_

#include <cstddef>
#include <cstdint>

#include "split_core/span.h"

namespace split_port {

// At 30 MHz 34 us: a device waits no longer than that for a block that is under way, and 97.7 % of
// a full block are payload. Whole words, so that DMA can move it.
inline constexpr size_t kSpiBlockBytes = 128;
inline constexpr size_t kSpiHeaderBytes = 3;
inline constexpr size_t kSpiPayloadBytes = kSpiBlockBytes - kSpiHeaderBytes;
inline constexpr uint8_t kSpiMark = 0xB5;

struct alignas(32) SpiBlock {
  uint8_t bytes[kSpiBlockBytes] = {};
};

// Fills the block from a queue with `size_t pop(MutableBytes)`; returns how many bytes it took.
template <typename Queue>
size_t fill_block(Queue* from, SpiBlock* block) {
  uint8_t* const payload = block->bytes + kSpiHeaderBytes;
  const size_t count = from->pop(split_core::MutableBytes(payload, kSpiPayloadBytes));
  block->bytes[0] = kSpiMark;
  block->bytes[1] = static_cast<uint8_t>(count);
  block->bytes[2] = static_cast<uint8_t>(kSpiMark ^ ~count);
  return count;
}

// The valid bytes of a block; false if it has no header.
inline bool read_block(const SpiBlock& block, split_core::ConstBytes* payload) {
  const uint8_t count = block.bytes[1];
  const auto check = static_cast<uint8_t>(kSpiMark ^ ~count);
  if (block.bytes[0] != kSpiMark || block.bytes[2] != check || count > kSpiPayloadBytes) {
    return false;
  }
  *payload = split_core::ConstBytes(block.bytes + kSpiHeaderBytes, count);
  return true;
}

}  // namespace split_port

#endif  // SPLIT_PORT_SPI_BLOCK_H_
