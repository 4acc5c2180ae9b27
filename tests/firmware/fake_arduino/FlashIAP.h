// SPDX-License-Identifier: Apache-2.0
// As much of mbed as store.cc uses; a test says what programming and erasing do.
#ifndef TESTS_FIRMWARE_FAKE_ARDUINO_FLASHIAP_H_
#define TESTS_FIRMWARE_FAKE_ARDUINO_FLASHIAP_H_

#include <cstdint>

// The address of a symbol of the linker, as there.
extern "C" uint8_t fake_program_end;
#define FLASHIAP_APP_ROM_END_ADDR (reinterpret_cast<uintptr_t>(&fake_program_end))

namespace mbed {

class FlashIAP {
 public:
  int init() { return 0; }
  int erase(uint32_t at, uint32_t bytes);
  int program(const void* from, uint32_t at, uint32_t bytes);
  uint32_t get_sector_size(uint32_t) const { return 4096; }
  uint32_t get_page_size() const { return 256; }
};

}  // namespace mbed

#endif  // TESTS_FIRMWARE_FAKE_ARDUINO_FLASHIAP_H_
