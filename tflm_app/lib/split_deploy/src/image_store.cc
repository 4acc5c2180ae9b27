// SPDX-License-Identifier: Apache-2.0
#include "split_deploy/image_store.h"

#include <cstring>

#include "split_core/crc32.h"
#include "split_core/endian.h"

namespace split_deploy {
namespace {

using split_core::ConstBytes;
using split_core::load_le;
using split_core::store_le;

constexpr uint16_t kRecordVersion = 1;
constexpr size_t kRecords = 2;  // prepared, committed
constexpr uint32_t kRecordsBytes = kRecords * kRecordBytes;
constexpr size_t kDigestPieceBytes = 4096;
constexpr uint8_t kErased = 0xFF;

bool is_later(uint32_t later, uint32_t earlier) {
  return static_cast<int32_t>(later - earlier) > 0;
}

}  // namespace

void Record::store(uint8_t* to) const {
  std::memset(to, 0, kRecordBytes);
  std::memcpy(to, "TFSR", 4);
  store_le<uint16_t>(to + 4, kRecordVersion);
  store_le<uint16_t>(to + 6, static_cast<uint16_t>(state));
  store_le<uint32_t>(to + 8, sequence);
  store_le<uint32_t>(to + 12, image_bytes);
  std::memcpy(to + 16, deployment, kIdBytes);
  std::memcpy(to + 32, sha256, kDigestBytes);
  store_le<uint32_t>(to + 92, split_core::crc32(ConstBytes(to, 92)));
}

bool Record::load(const uint8_t* from) {
  if (std::memcmp(from, "TFSR", 4) != 0 || load_le<uint16_t>(from + 4) != kRecordVersion) return false;
  if (load_le<uint32_t>(from + 92) != split_core::crc32(ConstBytes(from, 92))) return false;
  state = static_cast<RecordState>(load_le<uint16_t>(from + 6));
  sequence = load_le<uint32_t>(from + 8);
  image_bytes = load_le<uint32_t>(from + 12);
  std::memcpy(deployment, from + 16, kIdBytes);
  std::memcpy(sha256, from + 32, kDigestBytes);
  return true;
}

uint32_t ImageStore::capacity() const {
  if (store_ == nullptr || store_->slot_bytes() <= kRecordsBytes) return 0;
  const uint32_t left = store_->slot_bytes() - kRecordsBytes;
  return left - left % static_cast<uint32_t>(kImageAlignmentBytes);
}

uint32_t ImageStore::place_of(size_t record) const {
  return store_->slot_bytes() - kRecordsBytes + static_cast<uint32_t>(record * kRecordBytes);
}

bool ImageStore::load(uint8_t slot, size_t place, RecordState state, Record* record) const {
  return record->load(store_->slot(slot) + place_of(place)) && record->state == state &&
         record->image_bytes > 0 && record->image_bytes <= capacity() &&
         record->image_bytes % kImageAlignmentBytes == 0;
}

bool ImageStore::has_digest(uint8_t slot, const Record& record, void (*alive)()) const {
  Sha256 digest;
  for (ConstBytes rest = bytes_of(slot, record.image_bytes); !rest.empty();) {
    const ConstBytes piece = rest.first(rest.size() < kDigestPieceBytes ? rest.size() : kDigestPieceBytes);
    digest.add(piece);
    rest = rest.subspan(piece.size());
    alive();
  }
  uint8_t found[kDigestBytes];
  digest.finish(found);
  return same_digest(found, record.sha256);
}

bool ImageStore::can_commit(uint8_t slot) const {
  const uint8_t* const record = store_->slot(slot) + place_of(1);
  for (size_t i = 0; i < kRecordBytes; ++i) {
    if (record[i] != kErased) return false;
  }
  return true;
}

void ImageStore::open(void (*alive)()) {
  if (capacity() == 0) return;
  for (uint8_t index = 0; index < split_port::kStoreSlots; ++index) {
    Slot& slot = slots_[index];
    slot.is_committed = load(index, 1, RecordState::kCommitted, &slot.record);
    // One whose commit was begun, or made void, cannot be committed any more.
    const bool is_there =
        slot.is_committed ||
        (can_commit(index) && load(index, 0, RecordState::kPrepared, &slot.record));
    slot.is_whole = is_there && has_digest(index, slot.record, alive) &&
                    check_image(bytes_of(index, slot.record.image_bytes)) == nullptr;
  }
  choose();
}

void ImageStore::choose() {
  active_ = kNoSlot;
  for (uint8_t index = 0; index < split_port::kStoreSlots; ++index) {
    const Slot& slot = slots_[index];
    if (!slot.is_whole || !slot.is_committed) continue;
    const bool is_newer =
        active_ == kNoSlot || is_later(slot.record.sequence, slots_[active_].record.sequence);
    if (is_newer) active_ = index;
  }
}

bool ImageStore::has_prepared() const {
  for (const Slot& slot : slots_) {
    if (slot.is_whole && !slot.is_committed) return true;
  }
  return false;
}

ConstBytes ImageStore::image(uint8_t slot) const {
  return bytes_of(slot, slots_[slot].record.image_bytes);
}

uint8_t ImageStore::find(uint32_t image_bytes, const uint8_t* sha256) const {
  for (uint8_t index = 0; index < split_port::kStoreSlots; ++index) {
    const Slot& slot = slots_[index];
    if (slot.is_whole && slot.record.image_bytes == image_bytes &&
        same_digest(slot.record.sha256, sha256)) {
      return index;
    }
  }
  return kNoSlot;
}

// The records go first: from then on the slot holds nothing.
bool ImageStore::begin(uint32_t image_bytes, const uint8_t* deployment, const uint8_t* sha256) {
  if (image_bytes == 0 || image_bytes > capacity()) return false;
  target_ = active_ == 0 ? 1 : 0;
  slots_[target_] = Slot{};
  written_bytes_ = erased_bytes_ = 0;
  came_ = Sha256();
  record_ = Record{};
  record_.image_bytes = image_bytes;
  record_.sequence = active_ == kNoSlot ? 1 : slots_[active_].record.sequence + 1;
  std::memcpy(record_.deployment, deployment, kIdBytes);
  std::memcpy(record_.sha256, sha256, kDigestBytes);
  const uint32_t unit = store_->erase_bytes();
  for (uint32_t at = place_of(0) / unit * unit; at < store_->slot_bytes(); at += unit) {
    if (!store_->erase(target_, at)) return false;
  }
  return true;
}

bool ImageStore::append(const uint8_t* from, uint32_t bytes, void (*alive)()) {
  if (target_ == kNoSlot || bytes > record_.image_bytes - written_bytes_) return false;
  const uint32_t unit = store_->erase_bytes();
  const uint32_t erased_already = place_of(0) / unit * unit;
  for (; erased_bytes_ < written_bytes_ + bytes; erased_bytes_ += unit) {
    alive();
    if (erased_bytes_ < erased_already && !store_->erase(target_, erased_bytes_)) return false;
  }
  if (!store_->write(target_, written_bytes_, from, bytes)) return false;
  came_.add(ConstBytes(from, bytes));
  written_bytes_ += bytes;
  return true;
}

RefusalCode ImageStore::finish(void (*alive)()) {
  uint8_t found[kDigestBytes];
  came_.finish(found);
  if (written_bytes_ != record_.image_bytes || !same_digest(found, record_.sha256)) {
    return RefusalCode::kBadDigest;
  }
  return has_digest(target_, record_, alive) ? RefusalCode::kNone : RefusalCode::kStoreFailed;
}

bool ImageStore::write_record(uint8_t slot, const Record& record) {
  uint8_t bytes[kRecordBytes];
  record.store(bytes);
  const size_t place = record.state == RecordState::kCommitted ? 1 : 0;
  if (!store_->write(slot, place_of(place), bytes, kRecordBytes)) return false;
  return std::memcmp(store_->slot(slot) + place_of(place), bytes, kRecordBytes) == 0;
}

bool ImageStore::prepare() {
  record_.state = RecordState::kPrepared;
  if (!write_record(target_, record_)) return false;
  slots_[target_] = Slot{true, false, record_};
  target_ = kNoSlot;
  return true;
}

// An image that was active before the one that is now comes back when the record of that one is
// made void: a single write, too.
bool ImageStore::commit(uint8_t slot) {
  if (slot == active_) return true;
  Slot& chosen = slots_[slot];
  if (chosen.is_committed) {
    const uint8_t zeros[kRecordBytes] = {};
    if (!store_->write(active_, place_of(1), zeros, kRecordBytes)) return false;
    slots_[active_] = Slot{};
  } else {
    Record record = chosen.record;
    record.state = RecordState::kCommitted;
    record.sequence = active_ == kNoSlot ? 1 : slots_[active_].record.sequence + 1;
    if (!write_record(slot, record)) return false;
    chosen.record = record;
    chosen.is_committed = true;
  }
  choose();
  return active_ == slot;
}

}  // namespace split_deploy
