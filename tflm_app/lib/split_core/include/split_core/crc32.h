// SPDX-License-Identifier: Apache-2.0
#ifndef SPLIT_CORE_CRC32_H_
#define SPLIT_CORE_CRC32_H_

#include <cstdint>

#include "split_core/span.h"

namespace split_core {

// CRC-32 of IEEE 802.3 (reflected 0xEDB88320, init and final xor 0xFFFFFFFF): the same value as
// zlib's crc32(). `previous` continues an earlier result; 0 starts afresh.
uint32_t crc32(ConstBytes bytes, uint32_t previous = 0);

}  // namespace split_core

#endif  // SPLIT_CORE_CRC32_H_
