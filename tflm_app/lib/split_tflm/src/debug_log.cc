// SPDX-License-Identifier: Apache-2.0
// What a TFLM tree without a target's own files asks of the application. Libraries of the registry
// bring theirs; the build defines SPLIT_TFLM_PLATFORM for a local tree.
#if defined(SPLIT_TFLM_PLATFORM)

#include <cstdarg>
#include <cstdio>

#include "split_port/port.h"
#include "tensorflow/lite/micro/debug_log.h"
#include "tensorflow/lite/micro/micro_time.h"

extern "C" void DebugLog(const char* format, va_list arguments) {
  char line[160];
  std::vsnprintf(line, sizeof line, format, arguments);
  split_port::console_write(line);
}

extern "C" int DebugVsnprintf(char* to, size_t capacity, const char* format, va_list arguments) {
  return std::vsnprintf(to, capacity, format, arguments);
}

// In both places: older versions declare them in the first, newer ones in the second.
namespace tflite {
uint32_t ticks_per_second() { return split_port::ticks_per_second(); }
uint32_t GetCurrentTimeTicks() { return static_cast<uint32_t>(split_port::ticks()); }
namespace micro {
uint32_t ticks_per_second() { return split_port::ticks_per_second(); }
uint32_t GetCurrentTimeTicks() { return static_cast<uint32_t>(split_port::ticks()); }
}  // namespace micro
}  // namespace tflite

#endif  // SPLIT_TFLM_PLATFORM
