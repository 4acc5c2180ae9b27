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
  polls_unanswered_ = 0;
  const ConstBytes payload(bytes + kHeaderBytes, header.length);
  if (header.type == FrameType::kHello) return handle_hello(header, payload, now_us);
  if (header.type == FrameType::kWelcome) return handle_welcome(header, payload, now_us);
  if (header.type == FrameType::kRefuse) return handle_refuse(header, payload);
  if (state_ == LinkState::kOpen) handle_ack(header, now_us);
  if (is_sequenced(header.type)) return handle_sequenced(header, payload);
  if (header.type == FrameType::kNak && state_ == LinkState::kOpen) go_back();
  if (header.type == FrameType::kStatus) handle_status(header);
  if (header.type == FrameType::kPoll && rx_open_) {
    status_due_ = true;
    status_number_ = header.sequence;
  }
}

void Link::handle_sequenced(const FrameHeader& header, ConstBytes payload) {
  if (!rx_open_) return;
  const uint8_t ahead = static_cast<uint8_t>(header.sequence - expected_);
  if (ahead >= 128) {  // behind: our ACK was lost, or the peer went back too far
    ++counters_.duplicates;
    ack_due_ = true;
    return;
  }
  if (ahead > 0) {
    ++counters_.gaps;
    nak_due_ = nak_due_ || !nak_sent_;
    nak_sent_ = true;
    return;
  }
  if (!listener_.on_frame(index_, header, payload)) {
    ++counters_.over_credit;
    return;
  }
  ++counters_.frames_received;
  ++expected_;
  nak_due_ = nak_sent_ = false;
}

void Link::handle_ack(const FrameHeader& header, uint32_t now_us) {
  const uint8_t count = static_cast<uint8_t>(header.ack - acked_);
  if (count > unacknowledged() || header.credit > kMaxRxSlots) {
    ++counters_.bad_acks;
    return;
  }
  const uint8_t credit_end = static_cast<uint8_t>(header.ack + header.credit);
  const bool more_credit = static_cast<int8_t>(credit_end - credit_end_) > 0;
  if (more_credit) credit_end_ = credit_end;
  if (count == 0 && !more_credit) return;
  for (uint8_t i = 0; i < count; ++i) release_slot(window_[acked_++ % kWindow]);
  // The peer may acknowledge, late, what we are about to send again.
  if (static_cast<int8_t>(resend_ - acked_) < 0) resend_ = acked_;
  heard_progress(now_us);
}

void Link::handle_status(const FrameHeader& header) {
  if (state_ != LinkState::kOpen || !poll_open_ || header.sequence != poll_number_) return;
  poll_open_ = false;
  // What was sent before the poll and is not acknowledged by its answer did not arrive.
  if (poll_is_exact_ && static_cast<int8_t>(poll_next_ - acked_) > 0) go_back();
}

}  // namespace split_core
