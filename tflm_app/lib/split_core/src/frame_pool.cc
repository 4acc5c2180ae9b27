// SPDX-License-Identifier: Apache-2.0
#include "split_core/frame_pool.h"

namespace split_core {

void FramePool::init(const NodeConfig& config, FrameSlot* slots, uint8_t** landings,
                     uint8_t* buffers) {
  slots_ = slots;
  landings_ = landings;
  rx_slots_ = config.rx_slots;
  tx_slots_ = config.tx_slots;
  own_begin_ = static_cast<uint8_t>(config.link_count * config.rx_slots);
  for (size_t id = 0; id < slot_count(config); ++id) {
    slots_[id] = FrameSlot{};
    slots_[id].bytes = buffers;
    if (id < own_begin_) slots_[id].origin = static_cast<uint8_t>(id / rx_slots_);
    buffers += config.mtu_bytes;
  }
  for (size_t link = 0; link < config.link_count; ++link) {
    landings_[link] = buffers;
    buffers += config.mtu_bytes;
  }
}

uint8_t FramePool::find_free(size_t begin, size_t count) const {
  for (size_t id = begin; id < begin + count; ++id) {
    if (slots_[id].references == 0) return static_cast<uint8_t>(id);
  }
  return kNone;
}

uint8_t FramePool::free_rx(uint8_t link) const {
  uint8_t count = 0;
  const size_t begin = size_t{link} * rx_slots_;
  for (size_t id = begin; id < begin + rx_slots_; ++id) {
    if (slots_[id].references == 0) ++count;
  }
  return count;
}

uint8_t FramePool::adopt_landing(uint8_t link, size_t frame_bytes) {
  const uint8_t id = find_free(size_t{link} * rx_slots_, rx_slots_);
  if (id == kNone) return kNone;
  FrameSlot& slot = slots_[id];
  uint8_t* const spare = slot.bytes;
  slot.bytes = landings_[link];
  landings_[link] = spare;
  slot.frame_bytes = static_cast<uint16_t>(frame_bytes);
  slot.references = 1;
  return id;
}

void FramePool::return_to_landing(uint8_t link, uint8_t id) {
  uint8_t* const spare = landings_[link];
  landings_[link] = slots_[id].bytes;
  slots_[id].bytes = spare;
  slots_[id].references = 0;
}

uint8_t FramePool::claim_own() {
  const uint8_t id = find_free(own_begin_, tx_slots_);
  if (id != kNone) slots_[id].references = 1;
  return id;
}

}  // namespace split_core
