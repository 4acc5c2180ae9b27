// SPDX-License-Identifier: Apache-2.0
// Memories beside the main RAM that not every board of a kind has.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "split_port/port.h"

#if defined(ARDUINO_TEENSY41)

// Megabytes that the core found and set up at start-up; touching the addresses of a chip that is not
// soldered on would end in a fault.
extern "C" uint8_t external_psram_size;

namespace split_port {

constexpr uintptr_t kPsramBegin = 0x70000000;  // EXTMEM

uint8_t* bank(const char* name, uint8_t* placed, size_t bytes) {
  if (std::strcmp(name, "psram") != 0) return placed;
  const size_t found = size_t{external_psram_size} * 1024 * 1024;
  return reinterpret_cast<uintptr_t>(placed) - kPsramBegin + bytes <= found ? placed : nullptr;
}

}  // namespace split_port

#elif defined(ARDUINO_ARCH_ESP32)

#include <esp_heap_caps.h>

namespace split_port {
namespace {

constexpr size_t kAlignment = 16;
uint8_t* g_psram = nullptr;
size_t g_bytes = 0;

}  // namespace

// The core's libraries are built without .bss in external memory: it is taken once, at start-up.
uint8_t* bank(const char* name, uint8_t* placed, size_t bytes) {
  if (std::strcmp(name, "psram") != 0) return placed;
  if (g_psram == nullptr) {
    g_psram = static_cast<uint8_t*>(heap_caps_aligned_alloc(kAlignment, bytes, MALLOC_CAP_SPIRAM));
    g_bytes = bytes;
  }
  return bytes <= g_bytes ? g_psram : nullptr;
}

}  // namespace split_port

#endif
