// SPDX-License-Identifier: Apache-2.0
// A store in memory, for a board whose flash the port does not write: it holds until power is lost.
#ifndef SPLIT_PORT_RAM_STORE_H_
#define SPLIT_PORT_RAM_STORE_H_

#include <cstddef>
#include <cstring>

#include "split_port/store.h"

namespace split_port {

class RamStore final : public Store {
 public:
  // Two slots in this memory, which is aligned to 16 and need not be cleared: what lies in it counts
  // only with its records and digests.
  RamStore(uint8_t* memory, size_t bytes)
      : memory_(memory), slot_bytes_(static_cast<uint32_t>(bytes / kStoreSlots / kUnit * kUnit)) {}

  uint32_t slot_bytes() const override { return slot_bytes_; }
  uint32_t erase_bytes() const override { return kUnit; }
  bool survives() const override { return false; }
  const uint8_t* slot(uint8_t index) const override { return place(index, 0); }
  bool erase(uint8_t index, uint32_t offset) override {
    std::memset(place(index, offset), 0xFF, kUnit);
    return true;
  }
  bool write(uint8_t index, uint32_t offset, const uint8_t* from, uint32_t bytes) override {
    std::memcpy(place(index, offset), from, bytes);
    return true;
  }

 private:
  static constexpr uint32_t kUnit = 1024;
  uint8_t* place(uint8_t index, uint32_t offset) const {
    return memory_ + size_t{index} * slot_bytes_ + offset;
  }

  uint8_t* memory_;
  uint32_t slot_bytes_;
};

}  // namespace split_port

#endif  // SPLIT_PORT_RAM_STORE_H_
