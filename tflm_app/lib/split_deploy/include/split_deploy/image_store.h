// SPDX-License-Identifier: Apache-2.0
// Images in a store: which of the two counts, and how a new one comes in so that power lost at any
// byte leaves the old one or the new one (docs/deployment.md, "The store").
#ifndef SPLIT_DEPLOY_IMAGE_STORE_H_
#define SPLIT_DEPLOY_IMAGE_STORE_H_

#include "split_deploy/image.h"
#include "split_deploy/sha256.h"
#include "split_port/store.h"

namespace split_deploy {

inline constexpr size_t kRecordBytes = 96;
inline constexpr uint8_t kNoSlot = 0xFF;

enum class RecordState : uint16_t { kPrepared = 1, kCommitted = 2 };

struct Record {
  RecordState state = RecordState::kPrepared;
  uint32_t sequence = 0;
  uint32_t image_bytes = 0;
  uint8_t deployment[kIdBytes] = {};
  uint8_t sha256[kDigestBytes] = {};

  void store(uint8_t* to) const;  // kRecordBytes
  bool load(const uint8_t* from);
};

class ImageStore {
 public:
  // Null: there is no store, and so never an image.
  explicit ImageStore(split_port::Store* store) : store_(store) {}

  // Reads and checks what the slots hold, digests too. `alive` is called now and then.
  void open(void (*alive)());

  // The largest image that a slot takes.
  uint32_t capacity() const;
  bool survives() const { return store_ != nullptr && store_->survives(); }
  // The slot with the image that counts; kNoSlot.
  uint8_t active() const { return active_; }
  bool has_prepared() const;
  split_core::ConstBytes image(uint8_t slot) const;
  const uint8_t* deployment(uint8_t slot) const { return slots_[slot].record.deployment; }
  // A slot that holds such an image whole; kNoSlot.
  uint8_t find(uint32_t image_bytes, const uint8_t* sha256) const;

  // A new image, in the slot that is not active. All false if the store fails.
  bool begin(uint32_t image_bytes, const uint8_t* deployment, const uint8_t* sha256);
  // A multiple of 16 bytes, in order.
  bool append(const uint8_t* from, uint32_t bytes, void (*alive)());
  uint32_t written_bytes() const { return written_bytes_; }
  // All of it is written: kNone if it was the right image and is to be read back; then prepared().
  RefusalCode finish(void (*alive)());
  split_core::ConstBytes written() const { return bytes_of(target_, record_.image_bytes); }
  bool prepare();
  // Makes a slot that find() gave the active one.
  bool commit(uint8_t slot);

 private:
  struct Slot {
    bool is_whole = false;  // its record fits what it holds
    bool is_committed = false;
    Record record;
  };

  bool load(uint8_t slot, size_t place, RecordState state, Record* record) const;
  uint32_t place_of(size_t record) const;
  bool can_commit(uint8_t slot) const;
  bool write_record(uint8_t slot, const Record& record);
  bool has_digest(uint8_t slot, const Record& record, void (*alive)()) const;
  split_core::ConstBytes bytes_of(uint8_t slot, uint32_t bytes) const {
    return split_core::ConstBytes(store_->slot(slot), bytes);
  }
  void choose();

  split_port::Store* store_;
  Slot slots_[split_port::kStoreSlots];
  uint8_t active_ = kNoSlot;

  // What is being written.
  uint8_t target_ = kNoSlot;
  uint32_t written_bytes_ = 0;
  uint32_t erased_bytes_ = 0;
  Record record_;
  Sha256 came_;
};

}  // namespace split_deploy

#endif  // SPLIT_DEPLOY_IMAGE_STORE_H_
