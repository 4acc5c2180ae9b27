// SPDX-License-Identifier: Apache-2.0
// Prints what the port says to banks, with a chip of 8 MB and without.
#include <cstdio>
#include <cstdlib>

#include "split_port/port.h"

constexpr size_t kMegabyte = 1024 * 1024;

const char* word(bool there) { return there ? "yes" : "no"; }

#if defined(ARDUINO_TEENSY41)

extern "C" {
uint8_t external_psram_size = 8;
}

bool has(const char* name, uintptr_t placed, size_t bytes) {
  uint8_t* const at = reinterpret_cast<uint8_t*>(placed);
  uint8_t* const found = split_port::bank(name, at, bytes);
  return found != nullptr && found == at;
}

int main() {
  constexpr uintptr_t kExtmem = 0x70000000, kOcram = 0x20200000;
  std::printf("%s ", word(has("psram", kExtmem, 8 * kMegabyte)));
  std::printf("%s ", word(has("psram", kExtmem + 16, 8 * kMegabyte)));
  external_psram_size = 0;
  std::printf("%s ", word(has("psram", kExtmem, 16)));
  std::printf("%s", word(has("ocram", kOcram, 16)));
  return 0;
}

#else

#include <esp_heap_caps.h>

size_t g_left = kMegabyte;

void* heap_caps_aligned_alloc(size_t alignment, size_t bytes, uint32_t caps) {
  if (caps != MALLOC_CAP_SPIRAM || bytes > g_left) return nullptr;
  g_left -= bytes;
  return std::aligned_alloc(alignment, bytes);
}

int main() {
  std::printf("%s ", word(split_port::bank("psram", nullptr, 2 * kMegabyte) != nullptr));
  uint8_t* const first = split_port::bank("psram", nullptr, kMegabyte);
  std::printf("%s ", word(first != nullptr));
  // Taking up a plan again takes no more memory.
  std::printf("%s ", word(split_port::bank("psram", nullptr, 16) == first));
  std::printf("%s", word(split_port::bank("other", nullptr, 16) != nullptr));
  return 0;
}

#endif
