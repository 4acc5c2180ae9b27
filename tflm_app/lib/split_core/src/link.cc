// SPDX-License-Identifier: Apache-2.0
// A link's session and window, and what it sends next. What arrives is in link_receive.cc, who the
// peer is in link_handshake.cc, what is lost and when to ask in link_recovery.cc.
#include "split_core/link.h"

#include <cstring>

namespace split_core {
namespace {

constexpr uint32_t kRefusedHelloFactor = 8;  // how much rarer a refused node knocks

bool elapsed(uint32_t now_us, uint32_t since_us, uint32_t interval_us) {
  return now_us - since_us >= interval_us;  // right across the wrap of the clock
}

}  // namespace

Link::Link(const NodeConfig& config, uint8_t index, ByteStream& stream, FramePool& pool,
           LinkListener& listener, uint8_t* queue)
    : config_(config),
      index_(index),
      stream_(stream),
      pool_(pool),
      listener_(listener),
      decoder_(MutableBytes(pool.landing(index), config.mtu_bytes)),
      queue_(queue),
      poll_interval_us_(config.timing.poll_interval_us) {
  for (uint8_t link = 0; link < config.link_count; ++link) {
    feeds_ring_ = feeds_ring_ || config.links[link].ring_next == index;
  }
}

// ---- Session ----

void Link::open_session(const FrameHeader& header, uint32_t now_us) {
  state_ = LinkState::kOpen;
  error_ = ErrorCode::kOk;
  refused_by_peer_ = false;
  acked_ = next_ = 0;
  arrived_ = passes_;
  credit_end_ = header.credit <= kMaxRxSlots ? header.credit : 0;
  ++counters_.sessions;
  heard_progress(now_us);
}

void Link::close_session(LinkState state, ErrorCode code) {
  const bool news = state_ != state || error_ != code;
  drop_frames();
  ++session_;
  state_ = state;
  error_ = code;
  hello_due_ = hello_due_ || state == LinkState::kLost;
  poll_open_ = poll_due_ = is_timing_ = false;
  polls_unanswered_ = 0;
  if (news) listener_.on_link_error(index_, code);
}

void Link::drop_frames() {
  if (data_in_encoder_) {
    encoder_.cancel();
    data_in_encoder_ = false;
    pool_.release(encoder_slot_);
  }
  while (acked_ != next_) {
    ++counters_.dropped;
    release_slot(window_[acked_++ % kWindow]);
  }
  for (uint8_t i = 0; i < queued_; ++i) {
    ++counters_.dropped;
    release_slot(queue_[i]);
  }
  queued_ = 0;
  lost_ = peer_held_ = 0;
}

void Link::release_slot(uint8_t slot_id) {
  if (pool_[slot_id].origin == kNoLink) --own_frames_;
  pool_.release(slot_id);
}

void Link::heard_progress(uint32_t now_us) {
  quiet_since_us_ = now_us;
  poll_interval_us_ = first_poll_us();
  if (trouble_ > 0) --trouble_;
}

void Link::enqueue(uint8_t slot_id) {
  if (!accepts_frames()) {
    ++counters_.dropped;
    return;
  }
  pool_.add_reference(slot_id);
  if (pool_[slot_id].origin == kNoLink) ++own_frames_;
  queue_[queued_++] = slot_id;
}

// ---- Sending ----

void Link::transmit(uint32_t now_us) {
  if (!started_) quiet_since_us_ = written_us_ = now_us;
  started_ = true;
  update_timers(now_us);
  do {
    write_frame(now_us);
  } while (encoder_.done() && start_next_frame(now_us));
}

void Link::write_frame(uint32_t now_us) {
  const size_t sent = encoder_.write_to(stream_);
  counters_.bytes_sent += static_cast<uint32_t>(sent);
  if (sent > 0 || encoder_.done()) written_us_ = now_us;
  if (!data_in_encoder_) return;
  // Only sequenced frames push the next poll away: a stream of our own ACKs must not hide that
  // our last frame was lost.
  if (sent > 0) quiet_since_us_ = now_us;
  if (!encoder_.done()) return;
  data_in_encoder_ = false;
  pool_.release(encoder_slot_);
  time_frame(now_us);
}

bool Link::start_next_frame(uint32_t now_us) {
  if (start_control_frame(now_us)) return true;
  if (state_ == LinkState::kOpen && start_sequenced_frame()) return true;
  if (!rx_open_) return false;
  // Nothing left to carry the news in its header.
  const uint8_t credit_end = static_cast<uint8_t>(expected_ + own_credit());
  if (!ack_due_ && told_ack_ == expected_ && told_credit_end_ == credit_end) return false;
  send_hop_frame(FrameType::kAck, 0, ConstBytes());
  return true;
}

bool Link::start_control_frame(uint32_t now_us) {
  if (refuse_due_) {
    refuse_due_ = false;
    send_refuse();
  } else if (welcome_due_) {
    welcome_due_ = false;
    send_hello(FrameType::kWelcome);
  } else if (hello_due_ && state_ != LinkState::kOpen) {
    hello_due_ = false;
    hello_sent_us_ = now_us;
    send_hello(FrameType::kHello);
  } else if (status_due_) {
    status_due_ = false;
    send_hop_frame(FrameType::kStatus, status_number_, ConstBytes());
  } else if (nak_due_) {
    nak_due_ = false;
    send_hop_frame(FrameType::kNak, 0, ConstBytes());
  } else if (poll_due_) {
    poll_due_ = false;
    poll_pass_ = passes_;
    send_hop_frame(FrameType::kPoll, poll_number_, ConstBytes());
  } else {
    return false;
  }
  return true;
}

bool Link::start_sequenced_frame() {
  if (lost_ != 0) {
    uint8_t sequence = acked_;
    while (((lost_ >> static_cast<uint8_t>(sequence - acked_)) & 1u) == 0) ++sequence;
    lost_ = static_cast<uint16_t>(lost_ & (lost_ - 1u));
    ++counters_.frames_resent;
    send_slot(window_[sequence % kWindow], sequence);
    return true;
  }
  if (send_first_eligible()) {
    was_stalled_ = false;
    return true;
  }
  if (queued_ > 0 && !was_stalled_) ++counters_.stalls;
  was_stalled_ = queued_ > 0;
  return false;
}

// A frame that enters a ring leaves one slot of the next node free; one that is already on the
// ring may take the last. This keeps a hole in every ring, so that its frames can always move
// (docs/wire_format.md, "Why the ring cannot lock up"). Frames on the ring overtake those that
// want to enter; the order within each flow stays. At a cut both directions are one ring: what turns
// back there is on it already.
bool Link::needs_two_credits(uint8_t slot_id) const {
  if (!feeds_ring_) return false;
  const uint8_t origin = pool_[slot_id].origin;
  return origin == kNoLink || (origin != index_ && config_.links[origin].ring_next != index_);
}

bool Link::send_first_eligible() {
  for (uint8_t i = 0; i < queued_; ++i) {
    const uint8_t slot_id = queue_[i];
    if (usable_credit() < (needs_two_credits(slot_id) ? 2 : 1)) continue;
    --queued_;
    std::memmove(queue_ + i, queue_ + i + 1, static_cast<size_t>(queued_ - i));
    window_[next_ % kWindow] = slot_id;
    ++counters_.frames_sent;
    send_slot(slot_id, next_++);
    return true;
  }
  return false;
}

void Link::send_slot(uint8_t slot_id, uint8_t sequence) {
  const FrameSlot& slot = pool_[slot_id];
  FrameHeader header;
  load_header(slot.bytes, slot.frame_bytes, &header);
  header.sequence = sequence;
  header.destinations &= reached_by(header);
  pool_.add_reference(slot_id);  // an ACK may come before the last byte of a repetition has left
  data_in_encoder_ = true;
  encoder_slot_ = slot_id;
  pass_[sequence % kWindow] = passes_++;
  encoder_.start(stamp(header), ConstBytes(slot.bytes + kHeaderBytes, header.length));
}

// A frame that goes round the other way goes to all ranks of the ring that it has left.
uint64_t Link::reached_by(const FrameHeader& header) const {
  const LinkConfig& here = link_config();
  const bool stays = here.ring_next == kNoLink || !may_go_round(header.type) || header.offset == 0;
  return here.destinations | (stays ? 0 : config_.links[here.ring_next].destinations);
}

FrameHeader Link::stamp(FrameHeader header) {
  header.ack = header.credit = 0;  // a frame in transit brings those of the hop that it came by
  if (!rx_open_) return header;
  header.ack = told_ack_ = expected_;
  header.credit = own_credit();
  if (tells_held(header.type)) header.offset = held_;
  told_credit_end_ = static_cast<uint8_t>(expected_ + header.credit);
  ack_due_ = false;
  return header;
}

void Link::send_hop_frame(FrameType type, uint8_t sequence, ConstBytes payload) {
  FrameHeader header;
  header.type = type;
  header.sequence = sequence;
  header.source = config_.rank;
  encoder_.start(stamp(header), payload);
}

bool Link::waits_for_peer() const { return unacknowledged() > 0 || queued_ > 0; }

void Link::update_timers(uint32_t now_us) {
  const Timing& timing = config_.timing;
  if (state_ == LinkState::kOpen) {
    // A stream that takes no byte, as one with hardware flow control to a dead board.
    const bool stuck = !encoder_.done() && elapsed(now_us, written_us_, timing.peer_timeout_us);
    if (stuck) return close_session(LinkState::kLost, ErrorCode::kPeerSilent);
    return update_poll_timer(now_us);
  }
  const uint32_t factor = state_ == LinkState::kRefused ? kRefusedHelloFactor : 1;
  if (elapsed(now_us, hello_sent_us_, timing.hello_interval_us * factor)) hello_due_ = true;
  const bool silent = elapsed(now_us, quiet_since_us_, timing.peer_timeout_us);
  if (state_ == LinkState::kConnecting && silent) {
    close_session(LinkState::kLost, ErrorCode::kPeerSilent);
  }
}

void Link::update_poll_timer(uint32_t now_us) {
  const Timing& timing = config_.timing;
  if (!waits_for_peer() || !elapsed(now_us, quiet_since_us_, poll_after_us())) return;
  if (polls_unanswered_ >= kPollsBeforeSilent &&
      elapsed(now_us, silent_since_us_, timing.peer_timeout_us)) {
    return close_session(LinkState::kLost, ErrorCode::kPeerSilent);
  }
  ask_in_vain(now_us);
}

}  // namespace split_core
