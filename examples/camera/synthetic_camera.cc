// SPDX-License-Identifier: Apache-2.0
// A camera for programs of this computer and boards without one: pictures that are computed, each
// row when it is asked for.
#include "camera.h"

#if !defined(ARDUINO_ARCH_ESP32)

namespace {
Picture g_picture;
uint32_t g_number = 0;
}  // namespace

bool camera_begin(const Picture& picture) {
  g_picture = picture;
  return true;
}

bool camera_take() {
  ++g_number;
  return true;
}

bool camera_rows(void*, uint8_t, uint32_t first, uint32_t count, uint8_t* to) {
  const uint32_t width = g_picture.columns * g_picture.channels;
  for (uint32_t row = first; row < first + count; ++row) {
    for (uint32_t i = 0; i < width; ++i) {
      *to++ = static_cast<uint8_t>(row * 31 + i * 7 + row * i % 13 + g_number * 29);
    }
  }
  return true;
}

#endif
