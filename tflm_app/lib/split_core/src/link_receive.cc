// SPDX-License-Identifier: Apache-2.0
// What a link makes of the frames that arrive.
#include "split_core/link.h"

namespace split_core {

void Link::receive(uint32_t now_us) {
  uint8_t chunk[64];
  size_t budget = (size_t{config_.rx_slots} + 1) * max_encoded_bytes(config_.mtu_bytes);
  while (budget > 0) {
    const size_t count = stream_.read(MutableBytes(chunk, sizeof(chunk)));
    if (count == 0) return;
    counters_.bytes_received += static_cast<uint32_t>(count);
    for (size_t taken = 0; taken < count;) {
      FrameDecoder::Event event;
      taken += decoder_.push(ConstBytes(chunk + taken, count - taken), &event);
      if (event == FrameDecoder::Event::kError) handle_damage(now_us);
      if (event != FrameDecoder::Event::kFrame) continue;
      handle_frame(now_us);
      decoder_.set_buffer(pool_.landing(index_));  // the old one may have been kept
    }
    budget -= count < budget ? count : budget;
  }
}

void Link::handle_frame(uint32_t now_us) {
  const uint8_t* const bytes = pool_.landing(index_);
  FrameHeader header;
  const HeaderError error = load_header(bytes, decoder_.frame_bytes(), &header);
  if (error != HeaderError::kNone) {
    ++counters_.bad_headers;
    if (error == HeaderError::kVersion) handle_stranger(header);
    return;
  }
  // Whoever owns the node answers it, once it has the streams to itself.
  if (header.type == FrameType::kSurvey) {
    was_surveyed_ = true;
    return;
  }
  polls_unanswered_ = 0;
  const ConstBytes payload(bytes + kHeaderBytes, header.length);
  if (header.type == FrameType::kHello) return handle_hello(header, payload, now_us);
  if (header.type == FrameType::kWelcome) return handle_welcome(header, payload, now_us);
  if (header.type == FrameType::kRefuse) return handle_refuse(header, payload);
  // In mid-session another neighbour: somebody has exchanged cables.
  const bool is_hop = !is_sequenced(header.type);
  if (is_hop && rx_open_ && header.source != link_config().peer_rank) {
    return turn_away(header.source, ErrorCode::kRankMismatch);
  }
  if (state_ == LinkState::kOpen) handle_ack(header, now_us);
  if (is_sequenced(header.type)) return handle_sequenced(header, payload);
  // A NAK that tells of no frame behind the gap: something came broken. If none follows, ask.
  const bool is_vague = header.type == FrameType::kNak && header.offset == 0;
  if (is_vague && !data_in_encoder_) ask_at_once(now_us);
  if (header.type == FrameType::kStatus) handle_status(header, now_us);
  if (header.type == FrameType::kPoll && rx_open_) {
    status_due_ = true;
    status_number_ = header.sequence;
  }
}

void Link::handle_sequenced(const FrameHeader& header, ConstBytes payload) {
  if (!rx_open_) return;
  const uint8_t ahead = static_cast<uint8_t>(header.sequence - expected_);
  if (ahead >= 128 || (ahead < kWindow && holds(ahead))) {
    // Behind: our ACK was lost, or the wire has repeated bytes.
    ++counters_.duplicates;
    ack_due_ = true;
    return;
  }
  if (ahead > 0) {
    ++counters_.gaps;
    nak_due_ = true;
    hold(header, ahead);
    return;
  }
  if (accept(header, payload)) accept_held();
}

bool Link::accept(const FrameHeader& header, ConstBytes payload) {
  if (!listener_.on_frame(index_, header, payload)) {
    ++counters_.over_credit;
    return false;
  }
  ++counters_.frames_received;
  ++expected_;
  held_ = static_cast<uint16_t>(held_ >> 1);
  return true;
}

// A frame within the credit has a slot, and the missing ones before it have theirs.
void Link::hold(const FrameHeader& header, uint8_t ahead) {
  if (ahead >= own_credit()) return;
  const uint8_t slot_id = pool_.adopt_landing(index_, kHeaderBytes + header.length);
  if (slot_id == FramePool::kNone) return;
  held_ = static_cast<uint16_t>(held_ | 1u << ahead);
  held_slot_[header.sequence % kWindow] = slot_id;
  ++held_count_;
}

// The missing frame has come: what was held behind it follows, as if it came now.
void Link::accept_held() {
  while (holds(0)) {
    held_ = static_cast<uint16_t>(held_ & ~1u);
    --held_count_;
    const uint8_t slot_id = held_slot_[expected_ % kWindow];
    const uint16_t frame_bytes = pool_[slot_id].frame_bytes;
    pool_.return_to_landing(index_, slot_id);
    FrameHeader header;
    load_header(pool_.landing(index_), frame_bytes, &header);
    const ConstBytes payload(pool_.landing(index_) + kHeaderBytes, header.length);
    if (!accept(header, payload)) return;
  }
}

void Link::forget_held() {
  for (uint8_t ahead = 0; ahead < kWindow; ++ahead) {
    if (holds(ahead)) pool_.release(held_slot_[static_cast<uint8_t>(expected_ + ahead) % kWindow]);
  }
  held_ = 0;
  held_count_ = 0;
}

void Link::handle_ack(const FrameHeader& header, uint32_t now_us) {
  const uint8_t count = static_cast<uint8_t>(header.ack - acked_);
  const uint32_t held = tells_held(header.type) ? header.offset : 0;
  if (count > unacknowledged() || header.credit > kMaxRxSlots ||
      held >> static_cast<uint8_t>(unacknowledged() - count) != 0 || (held & 1) != 0) {
    ++counters_.bad_acks;
    return;
  }
  const uint8_t credit_end = static_cast<uint8_t>(header.ack + header.credit);
  const bool more_credit = static_cast<int8_t>(credit_end - credit_end_) > 0;
  if (more_credit) credit_end_ = credit_end;
  acknowledge(count, now_us);
  if (tells_held(header.type)) peer_held_ = static_cast<uint16_t>(held);
  find_lost(now_us);
  if (count > 0 || more_credit) heard_progress(now_us);
}

void Link::handle_status(const FrameHeader& header, uint32_t now_us) {
  if (state_ != LinkState::kOpen || !poll_open_ || header.sequence != poll_number_) return;
  poll_open_ = false;
  // What was sent before the poll and is not here with its answer did not arrive.
  has_arrived(poll_pass_, now_us);
  find_lost(now_us);
}

// Something came broken: perhaps a frame of the peer's, perhaps an answer that we wait for.
void Link::handle_damage(uint32_t now_us) {
  if (!rx_open_) return;
  nak_due_ = true;
  ask_at_once(now_us);
}

}  // namespace split_core
