// SPDX-License-Identifier: Apache-2.0
// A store in the memory of a test, which behaves as flash does, and whose power may fail.
#ifndef TESTS_DEPLOY_STORE_H_
#define TESTS_DEPLOY_STORE_H_

#include <cstring>
#include <vector>

#include "check.h"
#include "split_port/store.h"

class TestStore final : public split_port::Store {
 public:
  static constexpr uint32_t kEraseBytes = 512;

  explicit TestStore(uint32_t slot_bytes) : slot_bytes_(slot_bytes) {
    for (auto& slot : slots_) slot.assign(slot_bytes / 16, Line{});
  }

  uint32_t slot_bytes() const override { return slot_bytes_; }
  uint32_t erase_bytes() const override { return kEraseBytes; }
  bool survives() const override { return true; }
  const uint8_t* slot(uint8_t index) const override { return slots_[index][0].bytes; }
  bool erase(uint8_t index, uint32_t offset) override {
    EXPECT(offset % kEraseBytes == 0 && offset < slot_bytes_);
    for (uint32_t i = 0; i < kEraseBytes; ++i) {
      if (!spend()) return false;
      at(index)[offset + i] = 0xFF;
    }
    return true;
  }
  bool write(uint8_t index, uint32_t offset, const uint8_t* from, uint32_t bytes) override {
    EXPECT(offset % 16 == 0 && bytes % 16 == 0 && offset + bytes <= slot_bytes_);
    for (uint32_t i = 0; i < bytes; ++i) {
      if (!spend()) return false;
      uint8_t& byte = at(index)[offset + i];
      EXPECT(byte == 0xFF || from[i] == 0);
      byte = static_cast<uint8_t>(byte & from[i]);
      if (i == stuck_at_) byte = static_cast<uint8_t>(byte & 0xFE);
    }
    return true;
  }

  uint8_t* at(uint8_t index) { return slots_[index][0].bytes; }
  // Power fails after so many bytes are erased or written.
  void fail_after(uint64_t bytes) { left_ = bytes; }
  void power_on() { left_ = UINT64_MAX; }
  uint64_t spent() const { return spent_; }
  // The lowest bit of this byte of every write cannot be 1.
  void set_stuck_at(uint32_t at) { stuck_at_ = at; }

 private:
  struct alignas(16) Line {
    uint8_t bytes[16];
  };
  bool spend() {
    if (left_ == 0) return false;
    --left_;
    ++spent_;
    return true;
  }

  uint32_t slot_bytes_;
  std::vector<Line> slots_[split_port::kStoreSlots];
  uint64_t left_ = UINT64_MAX;
  uint64_t spent_ = 0;
  uint32_t stuck_at_ = UINT32_MAX;
};

#endif  // TESTS_DEPLOY_STORE_H_
