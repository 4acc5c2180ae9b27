// SPDX-License-Identifier: Apache-2.0
#ifndef FAKE_ESP_HEAP_CAPS_H_
#define FAKE_ESP_HEAP_CAPS_H_

#include <cstddef>
#include <cstdint>

inline constexpr uint32_t MALLOC_CAP_SPIRAM = 1 << 10;
void* heap_caps_aligned_alloc(size_t alignment, size_t bytes, uint32_t caps);

#endif  // FAKE_ESP_HEAP_CAPS_H_
