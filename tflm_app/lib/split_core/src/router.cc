// SPDX-License-Identifier: Apache-2.0
#include "split_core/router.h"

namespace split_core {

// Every link can always get at least one tx slot, whatever the others hold: a neighbour that is
// busy with a kernel does not stop our traffic to the rest.
uint8_t Router::own_frames_per_link() const {
  const int share = config_.tx_slots - config_.link_count + 1;
  return static_cast<uint8_t>(share > 1 ? share : 1);
}

uint8_t* Router::claim(FrameType type, uint64_t destinations) {
  for (uint8_t i = 0; i < config_.link_count; ++i) {
    const Link& link = links_[i];
    if (entering(i, type, destinations) == 0 || !link.accepts_frames()) continue;
    if (link.own_frames() >= own_frames_per_link()) return nullptr;
  }
  claimed_ = pool_.claim_own();
  return claimed_ == FramePool::kNone ? nullptr : pool_[claimed_].bytes + kHeaderBytes;
}

void Router::cancel_claim() { pool_.release(claimed_); }

void Router::send(FrameHeader header) {
  for (uint8_t i = 0; i < config_.link_count; ++i) {
    const uint64_t ranks = entering(i, header.type, header.destinations);
    if ((ranks & ~links_[i].destinations()) != 0) header.offset = 1;  // round the other way
  }
  FrameSlot& slot = pool_[claimed_];
  store_header(header, slot.bytes);
  slot.frame_bytes = static_cast<uint16_t>(kHeaderBytes + header.length);
  for (uint8_t i = 0; i < config_.link_count; ++i) {
    if (entering(i, header.type, header.destinations) != 0) links_[i].enqueue(claimed_);
  }
  pool_.release(claimed_);
}

uint8_t Router::link_to(uint8_t rank) const {
  for (uint8_t i = 0; i < config_.link_count; ++i) {
    if ((links_[i].destinations() & rank_bit(rank)) != 0) return i;
  }
  return kNoLink;
}

uint64_t Router::others() const {
  const uint64_t all =
      config_.node_count == kMaxNodes ? ~uint64_t{0} : rank_bit(config_.node_count) - 1;
  return all & ~rank_bit(config_.rank);
}

bool Router::all_acknowledged() const {
  for (uint8_t i = 0; i < config_.link_count; ++i) {
    if (!links_[i].all_acknowledged()) return false;
  }
  return true;
}

bool Router::is_sane(const FrameHeader& header) const {
  const uint64_t nodes = others() | rank_bit(config_.rank);
  // What turns back at a cut passes the rank that sent it.
  const bool comes_back = header.source == config_.rank &&
                          !(may_go_round(header.type) && header.offset > 0);
  return header.source < config_.node_count && !comes_back && header.destinations != 0 &&
         (header.destinations & ~nodes) == 0 &&
         (header.destinations & rank_bit(header.source)) == 0;
}

bool Router::on_frame(uint8_t link, const FrameHeader& header, ConstBytes payload) {
  if (!is_sane(header) || local_.is_dead(header)) {
    ++links_[link].counters().dropped;
    return true;
  }
  if (!forward(link, header)) return false;
  // `payload` stays valid when the frame was kept: a slot takes over the landing buffer itself.
  if ((header.destinations & rank_bit(config_.rank)) != 0) {
    local_.on_local_frame(link, header, payload);
  }
  return true;
}

// Ranks for which a frame that begins here, or comes from outside of the ring, leaves by `link`.
uint64_t Router::entering(uint8_t link, FrameType type, uint64_t destinations) const {
  const uint64_t behind = links_[link].destinations() & destinations;
  const uint8_t other = other_way(link);
  if (!may_go_round(type) || other == kNoLink) return behind;
  const bool is_lost = !links_[link].accepts_frames();
  if (is_lost == !links_[other].accepts_frames()) return behind;
  return is_lost ? 0 : behind | (links_[other].destinations() & destinations);
}

// Ranks for which a frame that came by `from` leaves by `link`.
uint64_t Router::travelling(uint8_t link, uint8_t from, const FrameHeader& header) const {
  const uint64_t onward = header.destinations & ~rank_bit(config_.rank);
  const uint64_t behind = links_[link].destinations() & onward;
  const uint8_t next = other_way(from);
  if (!may_go_round(header.type) || next == kNoLink) {
    // Never back to where it came from: a wrong table would send it to and fro for ever.
    return link == from ? 0 : entering(link, header.type, onward);
  }
  if (header.offset > 0) {
    // Against the tables until it is there; a second cut on its way, or a whole round, ends it.
    if (link == from || header.offset >= config_.node_count) return 0;
    return link == next ? behind | (links_[from].destinations() & onward) : behind;
  }
  if (link != from) return behind;
  const bool turns = !links_[next].accepts_frames();
  return turns ? links_[next].destinations() & onward : 0;
}

bool Router::forward(uint8_t from, const FrameHeader& header) {
  const uint64_t onward = header.destinations & ~rank_bit(config_.rank);
  uint64_t reached = 0;
  uint8_t slot_id = FramePool::kNone;
  for (uint8_t i = 0; i < config_.link_count; ++i) {
    const uint64_t ranks = travelling(i, from, header);
    if (ranks == 0 || !links_[i].accepts_frames()) continue;
    if (slot_id == FramePool::kNone) {
      slot_id = pool_.adopt_landing(from, kHeaderBytes + header.length);
      if (slot_id == FramePool::kNone) return false;
    }
    const bool goes_round = may_go_round(header.type) && header.offset > 0;
    if (goes_round || (ranks & ~links_[i].destinations()) != 0) {
      FrameHeader counted = header;
      ++counted.offset;
      store_header(counted, pool_[slot_id].bytes);
    }
    links_[i].enqueue(slot_id);
    reached |= ranks;
  }
  if (slot_id != FramePool::kNone) pool_.release(slot_id);
  if (reached != onward) ++links_[from].counters().dropped;
  return true;
}

void Router::on_link_error(uint8_t link, ErrorCode code) { local_.on_link_error(link, code); }

}  // namespace split_core
