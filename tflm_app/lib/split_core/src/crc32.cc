// SPDX-License-Identifier: Apache-2.0
#include "split_core/crc32.h"

namespace split_core {
namespace {

constexpr uint32_t kPolynomial = 0xEDB88320u;

struct Table {
  uint32_t entry[256];
};

constexpr Table make_table() {
  Table table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1u) ? kPolynomial : 0u);
    table.entry[byte] = value;
  }
  return table;
}

constexpr Table kTable = make_table();  // 1 KB of flash

}  // namespace

uint32_t crc32(ConstBytes bytes, uint32_t previous) {
  uint32_t value = ~previous;
  for (uint8_t byte : bytes) value = (value >> 8) ^ kTable.entry[(value ^ byte) & 0xFFu];
  return ~value;
}

}  // namespace split_core
