// SPDX-License-Identifier: Apache-2.0
#include "split_port/segment_sender.h"

namespace split_port {

using split_core::ConstBytes;
using split_core::FrameDecoder;
using split_core::MutableBytes;

size_t SegmentSender::write(uint8_t rank, ConstBytes from) {
  size_t taken = 0;
  while (taken < from.size()) {
    // Another link in the middle of a frame: that one was given up.
    if (writer_ != rank && !begin_frame(rank)) break;
    FrameDecoder::Event event;
    taken += decoder_.push(from.subspan(taken), &event);
    if (event == FrameDecoder::Event::kFrame) end_frame();
    if (event != FrameDecoder::Event::kNone) writer_ = kNobody;
  }
  return taken;
}

bool SegmentSender::begin_frame(uint8_t rank) {
  writer_ = kNobody;
  const bool has_room = count_ < kMaxWaiting && memory_.size() - used_bytes_ >= most_bytes();
  if (!has_room) flush();
  if (count_ == kMaxWaiting || memory_.size() - used_bytes_ < most_bytes()) return false;
  uint8_t* const raw = memory_.data() + used_bytes_ + kSegmentHeaderBytes;
  decoder_ = FrameDecoder(MutableBytes(raw, place_.mtu_bytes), false);
  writer_ = rank;
  return true;
}

// Of a frame that was given up between two COBS blocks a part has come.
bool SegmentSender::is_whole() const {
  split_core::FrameHeader header;
  const uint8_t* const raw = memory_.data() + used_bytes_ + kSegmentHeaderBytes;
  const auto error = split_core::load_header(raw, decoder_.frame_bytes(), &header);
  return error == split_core::HeaderError::kNone;
}

void SegmentSender::end_frame() {
  if (!is_whole()) return;
  Outgoing fresh;
  fresh.bytes = memory_.data() + used_bytes_;
  fresh.raw_bytes = static_cast<uint16_t>(decoder_.frame_bytes() + split_core::kCrcBytes);
  address_to(writer_, &fresh);
  if (join_twin(fresh, writer_)) return;
  waiting_[count_++] = fresh;
  used_bytes_ += ethernet_bytes(fresh.raw_bytes, kMaxReceivers);
}

// Not past another frame to the same rank: a link's frames keep their order.
bool SegmentSender::join_twin(const Outgoing& fresh, uint8_t rank) {
  const size_t first = copy_ > 0 ? sent_ + 1 : sent_;  // some copies have left
  for (size_t index = count_; index > first; --index) {
    Outgoing& earlier = waiting_[index - 1];
    if (is_for(earlier, rank)) return false;
    if (!is_shareable(earlier, fresh)) continue;
    return share(fresh, &earlier);
  }
  return false;
}

void SegmentSender::flush() {
  while (sent_ < count_) {
    Outgoing& next = waiting_[sent_];
    const size_t bytes = seal(place_, copy_, &next);
    if (!driver_.send(ConstBytes(next.bytes, bytes))) return;
    ++counters_.frames;
    if (++copy_ < copies(place_, next)) continue;
    counters_.spared += next.receivers - copy_;
    copy_ = 0;
    ++sent_;
  }
  // A frame that is being written stands where it is.
  if (writer_ != kNobody) return;
  count_ = sent_ = used_bytes_ = 0;
}

}  // namespace split_port
