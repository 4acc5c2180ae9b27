// SPDX-License-Identifier: Apache-2.0
// Little-endian loads and stores at any alignment. The wire is little-endian whatever the host is.
#ifndef SPLIT_CORE_ENDIAN_H_
#define SPLIT_CORE_ENDIAN_H_

#include <cstddef>
#include <cstdint>

namespace split_core {

template <typename T>
inline void store_le(uint8_t* to, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) {
    to[i] = static_cast<uint8_t>(static_cast<uint64_t>(value) >> (8 * i));
  }
}

template <typename T>
inline T load_le(const uint8_t* from) {
  uint64_t value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value |= static_cast<uint64_t>(from[i]) << (8 * i);
  return static_cast<T>(value);
}

}  // namespace split_core

#endif  // SPLIT_CORE_ENDIAN_H_
