// SPDX-License-Identifier: Apache-2.0
// The memory that a firmware of one plan has for large models is a generic firmware's store. It is no
// flash, but keeps what it has over a reset, as nothing clears it.
#include <cstddef>

#include "split_port/ram_store.h"

extern "C" uint8_t __model_begin__[], __model_bytes__[];

namespace split_port {

Store* store() {
  static RamStore ram(__model_begin__, reinterpret_cast<size_t>(__model_bytes__));
  return &ram;
}

}  // namespace split_port
