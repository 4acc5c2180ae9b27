// SPDX-License-Identifier: Apache-2.0
#include "split_core/crc32.h"

#include <cstring>

namespace split_core {
namespace {

constexpr uint32_t kPolynomial = 0xEDB88320u;
constexpr size_t kWordBytes = 4;

// after[k][b]: what byte b leaves of itself in the CRC, k bytes further on.
struct Tables {
  uint32_t after[kWordBytes][256];
};

constexpr Tables make_tables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1u) ? kPolynomial : 0u);
    tables.after[0][byte] = value;
  }
  for (size_t k = 1; k < kWordBytes; ++k) {
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const uint32_t before = tables.after[k - 1][byte];
      tables.after[k][byte] = (before >> 8) ^ tables.after[0][before & 0xFFu];
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();  // 4 KB of flash

// The bytes of a little-endian word in one load: a loop of shifts is four on some compilers.
uint32_t load_word(const uint8_t* from) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  uint32_t word = 0;
  std::memcpy(&word, from, sizeof word);
  return word;
#else
  return from[0] | uint32_t{from[1]} << 8 | uint32_t{from[2]} << 16 | uint32_t{from[3]} << 24;
#endif
}

}  // namespace

// A word at a time: Kounavis and Berry, "Novel Table Lookup-Based Algorithms for High-Performance
// CRC Generation", IEEE Transactions on Computers 57 (2008), "slicing by 4".
uint32_t crc32(ConstBytes bytes, uint32_t previous) {
  // Addresses of their own, so that a look-up is one load.
  const uint32_t *const last = kTables.after[0], *const third = kTables.after[1],
                 *const second = kTables.after[2], *const first = kTables.after[3];
  const uint8_t* at = bytes.begin();
  uint32_t value = ~previous;
  for (size_t words = bytes.size() / kWordBytes; words > 0; --words, at += kWordBytes) {
    value ^= load_word(at);
    value = first[value & 0xFFu] ^ second[value >> 8 & 0xFFu] ^ third[value >> 16 & 0xFFu] ^
            last[value >> 24];
  }
  for (; at != bytes.end(); ++at) value = (value >> 8) ^ last[(value ^ *at) & 0xFFu];
  return ~value;
}

}  // namespace split_core
