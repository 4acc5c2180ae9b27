// SPDX-License-Identifier: Apache-2.0
// These cores write their flash each in another way, so a generic firmware keeps its images in memory,
// of TFLSPLIT_STORE_BYTES for both slots.
#include "split_port/store.h"

#if defined(TFLSPLIT_STORE_BYTES)
#include "split_port/ram_store.h"

namespace split_port {
namespace {

alignas(16) uint8_t g_store[TFLSPLIT_STORE_BYTES];

}  // namespace

Store* store() {
  static RamStore ram(g_store, sizeof g_store);
  return &ram;
}

}  // namespace split_port
#else
namespace split_port {

Store* store() { return nullptr; }

}  // namespace split_port
#endif
