// SPDX-License-Identifier: Apache-2.0
// Flash that is programmed in whole pages; ones leave what is there as it is.
#ifndef SPLIT_PORT_PAGES_H_
#define SPLIT_PORT_PAGES_H_

#include <cstdint>
#include <cstring>

namespace split_port {

// `program(offset, page)` programs the page at `offset`, a multiple of kPageBytes; false ends it.
template <uint32_t kPageBytes, typename Program>
bool write_pages(uint32_t offset, const uint8_t* from, uint32_t bytes, const Program& program) {
  while (bytes > 0) {
    const uint32_t begin = offset % kPageBytes;
    const uint32_t room = kPageBytes - begin;
    const uint32_t count = bytes < room ? bytes : room;
    uint8_t page[kPageBytes];
    std::memset(page, 0xFF, sizeof page);
    std::memcpy(page + begin, from, count);
    if (!program(offset - begin, page)) return false;
    offset += count;
    from += count;
    bytes -= count;
  }
  return true;
}

}  // namespace split_port

#endif  // SPLIT_PORT_PAGES_H_
