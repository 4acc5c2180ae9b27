// SPDX-License-Identifier: Apache-2.0
#include "split_core/frame.h"

#include <cstring>

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
          type <= static_cast<uint8_t>(FrameType::kFault)) ||
         type == static_cast<uint8_t>(FrameType::kSurvey);
}

size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

constexpr size_t kWorthNoCopy = 32;  // a run that the stream is given where it lies

}  // namespace

size_t bytes_before_zero(ConstBytes bytes) {
  const void* const zero = std::memchr(bytes.data(), 0, bytes.size());
  if (zero == nullptr) return bytes.size();
  return static_cast<size_t>(static_cast<const uint8_t*>(zero) - bytes.data());
}

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

FrameDecoder::Event FrameDecoder::append(const uint8_t* from, size_t count) {
  if (count > buffer_.size() - used_) {
    skipping_ = true;
    return fail(&counters_.too_long);
  }
  std::memcpy(buffer_.data() + used_, from, count);
  used_ += count;
  return Event::kNone;
}

bool FrameDecoder::is_sound(size_t body) const {
  return crc32(ConstBytes(buffer_.data(), body)) == load_le<uint32_t>(buffer_.data() + body);
}

FrameDecoder::Event FrameDecoder::finish() {
  if (used_ < kFrameOverheadBytes) return fail(&counters_.too_short);
  const size_t body = used_ - kCrcBytes;
  if (checks_crc_ && !is_sound(body)) return fail(&counters_.crc_errors);
  frame_bytes_ = body;
  ++counters_.frames;
  return Event::kFrame;
}

FrameDecoder::Event FrameDecoder::end_frame() {
  const bool idle = !started_ || skipping_;
  const bool torn = block_left_ != 0;
  const Event event = idle ? Event::kNone : torn ? fail(&counters_.cobs_errors) : finish();
  restart();
  return event;
}

FrameDecoder::Event FrameDecoder::open_block(uint8_t code) {
  const bool zero_due = started_ && owes_zero_;
  started_ = true;
  block_left_ = static_cast<uint8_t>(code - 1);
  owes_zero_ = code != 0xFF;
  constexpr uint8_t kZero = 0;
  return zero_due ? append(&kZero, 1) : Event::kNone;
}

size_t FrameDecoder::push(ConstBytes bytes, Event* event) {
  const uint8_t* at = bytes.begin();
  *event = Event::kNone;
  while (at != bytes.end() && *event == Event::kNone) {
    if (*at == 0) {
      ++at;
      *event = end_frame();
    } else if (block_left_ == 0 && !skipping_) {
      *event = open_block(*at++);
    } else {
      const auto left = static_cast<size_t>(bytes.end() - at);
      const size_t run = bytes_before_zero(ConstBytes(at, skipping_ ? left : smaller(left, block_left_)));
      if (!skipping_) {
        block_left_ = static_cast<uint8_t>(block_left_ - run);
        *event = append(at, run);
      }
      at += run;
    }
  }
  return static_cast<size_t>(at - bytes.begin());
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

// What lies in one piece, in header, payload or CRC, from an index of the raw frame on.
ConstBytes FrameEncoder::piece_at(size_t index) const {
  if (index < kHeaderBytes) return ConstBytes(header_, kHeaderBytes).subspan(index);
  index -= kHeaderBytes;
  if (index < payload_.size()) return payload_.subspan(index);
  return ConstBytes(crc_, kCrcBytes).subspan(index - payload_.size());
}

FrameEncoder::State FrameEncoder::after_block() {
  if (position_ == raw_bytes()) return State::kClose;
  if (skip_zero_) ++position_;
  return State::kCode;
}

uint8_t FrameEncoder::open_block() {
  constexpr size_t kLongest = 254;
  size_t count = 0;
  while (count < kLongest && position_ + count < raw_bytes()) {
    const ConstBytes piece = piece_at(position_ + count);
    const size_t most = smaller(piece.size(), kLongest - count);
    const size_t run = bytes_before_zero(piece.first(most));
    count += run;
    if (run < most) break;
  }
  block_end_ = position_ + count;
  // A full block stands for its bytes alone; any other also for the zero behind it (imaginary
  // behind the last byte of the frame).
  skip_zero_ = count < kLongest;
  state_ = count > 0 ? State::kBytes : after_block();
  return static_cast<uint8_t>(count + 1);
}

uint8_t FrameEncoder::control_byte() {
  if (state_ == State::kCode) return open_block();
  state_ = state_ == State::kOpen ? State::kCode : State::kIdle;
  return 0;  // the delimiter
}

// What stands behind position_ in one place, up to the end of the block.
ConstBytes FrameEncoder::run_ahead() const {
  const ConstBytes piece = piece_at(position_);
  return piece.first(smaller(piece.size(), block_end_ - position_));
}

void FrameEncoder::pass(size_t count) {
  position_ += count;
  if (position_ == block_end_) state_ = after_block();
}

void FrameEncoder::append_run() {
  const ConstBytes run = run_ahead();
  const size_t count = smaller(run.size(), sizeof(chunk_) - pending_end_);
  std::memcpy(chunk_ + pending_end_, run.data(), count);
  pending_end_ = static_cast<uint8_t>(pending_end_ + count);
  pass(count);
}

void FrameEncoder::fill_chunk() {
  pending_ = pending_end_ = 0;
  while (state_ != State::kIdle && pending_end_ < sizeof(chunk_)) {
    if (state_ == State::kBytes) {
      if (pending_end_ > 0 && run_ahead().size() >= kWorthNoCopy) return;
      append_run();
    } else {
      chunk_[pending_end_++] = control_byte();
    }
  }
}

size_t FrameEncoder::write_to(ByteStream& stream) {
  size_t total = 0;
  while (!done()) {
    if (pending_ == pending_end_) {
      if (state_ == State::kBytes && run_ahead().size() >= kWorthNoCopy) {
        const ConstBytes run = run_ahead();
        const size_t taken = stream.write(run);
        pass(taken);
        total += taken;
        if (taken < run.size()) break;
        continue;
      }
      fill_chunk();
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
