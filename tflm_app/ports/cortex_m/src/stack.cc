// SPDX-License-Identifier: Apache-2.0
#include "split_port_cortex_m/stack.h"

#include "split_port/port.h"

extern "C" {
extern uint32_t __stack_limit__;
extern uint32_t __stack_top__;
}

namespace split_port {
namespace cortex_m {
namespace {

constexpr uint32_t kPaint = 0x5AFE57AC;

}  // namespace

void paint_stack() {
  uint32_t* const here = static_cast<uint32_t*>(__builtin_frame_address(0));
  // Volatile: nobody seems to read it, and this very function's frame is not to be touched.
  constexpr int kOwnWords = 16;
  for (volatile uint32_t* word = &__stack_limit__; word < here - kOwnWords; ++word) *word = kPaint;
}

}  // namespace cortex_m

StackUse stack_use() {
  const volatile uint32_t* word = &__stack_limit__;
  while (word < &__stack_top__ && *word == cortex_m::kPaint) ++word;
  const auto bytes = [](const volatile uint32_t* from) {
    return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(&__stack_top__) -
                                 reinterpret_cast<uintptr_t>(from));
  };
  return {bytes(&__stack_limit__), bytes(word)};
}

}  // namespace split_port
