// SPDX-License-Identifier: Apache-2.0
// Memory for images, in two slots of one size, which a port gives a generic firmware
// (docs/deployment.md, "The store"). Read by address, as TFLM reads a model; written like flash.
#ifndef SPLIT_PORT_STORE_H_
#define SPLIT_PORT_STORE_H_

#include <cstdint>

namespace split_port {

inline constexpr uint8_t kStoreSlots = 2;

class Store {
 public:
  // Of one slot; a multiple of erase_bytes().
  virtual uint32_t slot_bytes() const = 0;
  virtual uint32_t erase_bytes() const = 0;
  // What is written is there after power was lost.
  virtual bool survives() const = 0;
  // The first byte of a slot, aligned to 16; stays where it is.
  virtual const uint8_t* slot(uint8_t index) const = 0;
  // Makes erase_bytes() bytes from `offset` on 0xFF. Links may go unserved meanwhile.
  virtual bool erase(uint8_t index, uint32_t offset) = 0;
  // Writes bytes that are 0xFF. Offset and size are multiples of 16; only zeros are ever written over
  // something else.
  virtual bool write(uint8_t index, uint32_t offset, const uint8_t* from, uint32_t bytes) = 0;

 protected:
  ~Store() = default;
};

// The board's; null: it has none. Every port defines it; only a generic firmware calls it, once.
Store* store();

}  // namespace split_port

#endif  // SPLIT_PORT_STORE_H_
