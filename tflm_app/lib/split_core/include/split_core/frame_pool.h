// SPDX-License-Identifier: Apache-2.0
#ifndef SPLIT_CORE_FRAME_POOL_H_
#define SPLIT_CORE_FRAME_POOL_H_

#include "split_core/config.h"
#include "split_core/frame.h"

namespace split_core {

// One frame in memory: header and payload as decoded. Links send it from here, each with its own
// copy of the header, so a multicast needs one slot however many wires it leaves on.
struct FrameSlot {
  uint8_t* bytes = nullptr;
  uint16_t frame_bytes = 0;  // header + payload
  uint8_t references = 0;    // links that still have to deliver it, plus whoever works on it
  uint8_t origin = kNoLink;  // the link it came from; kNoLink: ours
};

// All frame buffers of a node. Every link owns rx_slots slots for transit and one landing buffer
// that its decoder fills; the node owns tx_slots for frames that begin here. The split by owner is
// what makes credits a promise and the routing proof in docs/wire_format.md hold.
class FramePool {
 public:
  static constexpr uint8_t kNone = 0xFF;

  static constexpr size_t slot_count(const NodeConfig& config) {
    return size_t{config.link_count} * config.rx_slots + config.tx_slots;
  }
  static constexpr size_t buffer_count(const NodeConfig& config) {
    return slot_count(config) + config.link_count;
  }

  // `slots` has slot_count() elements, `landings` link_count, `buffers` buffer_count() * mtu_bytes.
  void init(const NodeConfig& config, FrameSlot* slots, uint8_t** landings, uint8_t* buffers);

  FrameSlot& operator[](uint8_t id) { return slots_[id]; }
  uint8_t* landing(uint8_t link) { return landings_[link]; }
  uint8_t free_rx(uint8_t link) const;

  // Keeps the frame in `link`'s landing buffer by swapping the buffer with a free slot's: no copy.
  // The caller holds one reference. kNone if the link's slots are all taken.
  uint8_t adopt_landing(uint8_t link, size_t frame_bytes);
  // The reverse: the frame in a slot lies in `link`'s landing buffer again, and the slot is free.
  void return_to_landing(uint8_t link, uint8_t id);
  // A slot for a frame of our own; the caller holds one reference. kNone if all are taken.
  uint8_t claim_own();

  void add_reference(uint8_t id) { ++slots_[id].references; }
  void release(uint8_t id) { --slots_[id].references; }

 private:
  uint8_t find_free(size_t begin, size_t count) const;

  FrameSlot* slots_ = nullptr;
  uint8_t** landings_ = nullptr;
  uint8_t rx_slots_ = 0;
  uint8_t tx_slots_ = 0;
  uint8_t own_begin_ = 0;
};

}  // namespace split_core

#endif  // SPLIT_CORE_FRAME_POOL_H_
