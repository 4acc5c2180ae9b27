// SPDX-License-Identifier: Apache-2.0
// Numbers of inferences, which wrap around.
#ifndef SPLIT_CORE_EPOCHS_H_
#define SPLIT_CORE_EPOCHS_H_

#include <cstdint>

namespace split_core {

// How many inferences `later` is behind `earlier`; negative if it is before it.
inline int16_t epochs_after(uint16_t later, uint16_t earlier) {
  return static_cast<int16_t>(static_cast<uint16_t>(later - earlier));
}

}  // namespace split_core

#endif  // SPLIT_CORE_EPOCHS_H_
