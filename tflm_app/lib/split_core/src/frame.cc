// SPDX-License-Identifier: Apache-2.0
#include "split_core/frame.h"

#include "split_core/crc32.h"
#include "split_core/endian.h"

namespace split_core {

void store_header(const FrameHeader& header, uint8_t* to) {
  to[0] = kProtocolVersion;
  to[1] = static_cast<uint8_t>(header.type);
  to[2] = header.sequence;
  to[3] = header.ack;
  to[4] = header.credit;
  to[5] = header.source;
  store_le<uint16_t>(to + 6, header.channel);
  store_le<uint64_t>(to + 8, header.destinations);
  store_le<uint32_t>(to + 16, header.offset);
  store_le<uint16_t>(to + 20, header.length);
  store_le<uint16_t>(to + 22, header.epoch);
}

namespace {

bool is_known(uint8_t type) {
  return (type >= static_cast<uint8_t>(FrameType::kHello) &&
          type <= static_cast<uint8_t>(FrameType::kStatus)) ||
         (type >= static_cast<uint8_t>(FrameType::kData) &&
          type <= static_cast<uint8_t>(FrameType::kFault));
}

}  // namespace

HeaderError load_header(const uint8_t* from, size_t frame_bytes, FrameHeader* header) {
  // Type and source lie at the same place in every version, so that a stranger can be named.
  header->type = static_cast<FrameType>(from[1]);
  header->source = from[5];
  if (from[0] != kProtocolVersion) return HeaderError::kVersion;
  if (!is_known(from[1])) return HeaderError::kType;
  header->sequence = from[2];
  header->ack = from[3];
  header->credit = from[4];
  header->channel = load_le<uint16_t>(from + 6);
  header->destinations = load_le<uint64_t>(from + 8);
  header->offset = load_le<uint32_t>(from + 16);
  header->length = load_le<uint16_t>(from + 20);
  header->epoch = load_le<uint16_t>(from + 22);
  return header->length == frame_bytes - kHeaderBytes ? HeaderError::kNone : HeaderError::kLength;
}

// ---- Decoder ----

void FrameDecoder::restart() {
  used_ = 0;
  block_left_ = 0;
  owes_zero_ = false;
  started_ = false;
  skipping_ = false;
}

FrameDecoder::Event FrameDecoder::fail(uint32_t* counter) {
  ++*counter;
  return Event::kError;
}

bool FrameDecoder::append(uint8_t byte) {
  if (used_ == buffer_.size()) return false;
  buffer_[used_++] = byte;
  return true;
}

FrameDecoder::Event FrameDecoder::finish() {
  if (used_ < kFrameOverheadBytes) return fail(&counters_.too_short);
  const size_t body = used_ - kCrcBytes;
  if (crc32(ConstBytes(buffer_.data(), body)) != load_le<uint32_t>(buffer_.data() + body)) {
    return fail(&counters_.crc_errors);
  }
  frame_bytes_ = body;
  ++counters_.frames;
  return Event::kFrame;
}

FrameDecoder::Event FrameDecoder::push(uint8_t byte) {
  if (byte == 0) {
    const bool idle = !started_ || skipping_;
    const bool torn = block_left_ != 0;
    const Event event = idle ? Event::kNone : torn ? fail(&counters_.cobs_errors) : finish();
    restart();
    return event;
  }
  if (skipping_) return Event::kNone;
  bool fits = true;
  if (block_left_ == 0) {  // a code byte
    if (started_ && owes_zero_) fits = append(0);
    started_ = true;
    block_left_ = static_cast<uint8_t>(byte - 1);
    owes_zero_ = byte != 0xFF;
  } else {
    --block_left_;
    fits = append(byte);
  }
  if (fits) return Event::kNone;
  skipping_ = true;
  return fail(&counters_.too_long);
}

// ---- Encoder ----

void FrameEncoder::start(FrameHeader header, ConstBytes payload) {
  header.length = static_cast<uint16_t>(payload.size());
  store_header(header, header_);
  payload_ = payload;
  store_le<uint32_t>(crc_, crc32(payload, crc32(ConstBytes(header_, kHeaderBytes))));
  position_ = 0;
  state_ = State::kOpen;
}

void FrameEncoder::cancel() {
  state_ = State::kIdle;
  pending_ = pending_end_ = 0;
}

uint8_t FrameEncoder::at(size_t index) const {
  if (index < kHeaderBytes) return header_[index];
  index -= kHeaderBytes;
  return index < payload_.size() ? payload_[index] : crc_[index - payload_.size()];
}

FrameEncoder::State FrameEncoder::after_block() {
  if (position_ == raw_bytes()) return State::kClose;
  if (skip_zero_) ++position_;
  return State::kCode;
}

uint8_t FrameEncoder::open_block() {
  constexpr size_t kLongest = 254;
  block_end_ = position_;
  while (block_end_ < raw_bytes() && block_end_ - position_ < kLongest && at(block_end_) != 0) {
    ++block_end_;
  }
  const size_t count = block_end_ - position_;
  // A full block stands for its bytes alone; any other also for the zero behind it (imaginary
  // behind the last byte of the frame).
  skip_zero_ = count < kLongest;
  state_ = count > 0 ? State::kBytes : after_block();
  return static_cast<uint8_t>(count + 1);
}

uint8_t FrameEncoder::next_byte() {
  if (state_ == State::kCode) return open_block();
  if (state_ == State::kBytes) {
    const uint8_t byte = at(position_++);
    if (position_ == block_end_) state_ = after_block();
    return byte;
  }
  state_ = state_ == State::kOpen ? State::kCode : State::kIdle;
  return 0;  // the delimiter
}

size_t FrameEncoder::write_to(ByteStream& stream) {
  size_t total = 0;
  while (!done()) {
    if (pending_ == pending_end_) {
      pending_ = pending_end_ = 0;
      while (state_ != State::kIdle && pending_end_ < sizeof(chunk_)) {
        chunk_[pending_end_++] = next_byte();
      }
    }
    const size_t wanted = static_cast<size_t>(pending_end_ - pending_);
    const size_t taken = stream.write(ConstBytes(chunk_ + pending_, wanted));
    pending_ = static_cast<uint8_t>(pending_ + taken);
    total += taken;
    if (taken < wanted) break;
  }
  return total;
}

}  // namespace split_core
