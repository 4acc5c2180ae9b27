// SPDX-License-Identifier: Apache-2.0
// Frames as docs/wire_format.md defines them:
//
//   wire:   00 | COBS( header 24 | payload 0..mtu-28 | crc32 4 ) | 00
//
// Nothing here owns a payload buffer: the decoder writes into the caller's, the encoder reads
// from the caller's.
#ifndef SPLIT_CORE_FRAME_H_
#define SPLIT_CORE_FRAME_H_

#include "split_core/byte_stream.h"
#include "split_core/span.h"

namespace split_core {

inline constexpr uint8_t kProtocolVersion = 2;
inline constexpr size_t kHeaderBytes = 24;
inline constexpr size_t kCrcBytes = 4;
inline constexpr size_t kFrameOverheadBytes = kHeaderBytes + kCrcBytes;
inline constexpr size_t kMinMtuBytes = 256;
inline constexpr size_t kMaxMtuBytes = 1024;
inline constexpr size_t kMaxNodes = 64;  // bits in a destination set

// The most payload bytes of a frame. A multiple of 4 when the MTU is, so that int32 elements are
// never cut between two frames.
constexpr size_t max_payload_bytes(size_t mtu_bytes) { return mtu_bytes - kFrameOverheadBytes; }

// The most bytes a frame of `raw_bytes` takes on the wire: COBS adds one per started 254, and
// two delimiters.
constexpr size_t max_encoded_bytes(size_t raw_bytes) { return raw_bytes + raw_bytes / 254 + 1 + 2; }

enum class FrameType : uint8_t {
  // Hop frames: between two neighbours, outside the sequence.
  kHello = 1,    // opens a session towards the peer; repeated until welcomed
  kWelcome = 2,  // answers kHello
  kRefuse = 3,   // answers a kHello that does not fit, with the reason
  kAck = 4,      // carries only ack and credit
  kNak = 5,      // a gap, or a damaged frame, was seen: send again what is lost
  kPoll = 6,     // asks for kStatus; `sequence` is the poll's number
  kStatus = 7,   // answers kPoll; `sequence` repeats its number
  // Sequenced frames: numbered per hop, delivered in order and exactly once per session.
  kData = 16,      // a piece of a message
  kGrant = 17,     // `source` has begun to receive `channel`; `offset` is the size it expects
  kDatagram = 18,  // one unsolicited application message
  kFault = 19,     // the inference `epoch` is lost; payload names why and whose fault
  // Outside of every session, for whoever hears it: docs/deployment.md.
  kSurvey = 32,
};

constexpr bool is_sequenced(FrameType type) {
  return type >= FrameType::kData && type != FrameType::kSurvey;
}
// Frames whose `offset` tells what was kept out of order.
constexpr bool tells_held(FrameType type) {
  return type >= FrameType::kAck && type <= FrameType::kStatus;
}
// Frames whose `offset` counts the hops that they have gone round the other way.
constexpr bool may_go_round(FrameType type) { return type == FrameType::kDatagram; }

struct FrameHeader {
  FrameType type = FrameType::kAck;
  uint8_t sequence = 0;  // per hop
  uint8_t ack = 0;       // per hop: next sequence expected from the peer
  uint8_t credit = 0;    // per hop: frames from `ack` on that the peer may have outstanding
  uint8_t source = 0;    // rank where the frame began; of hop frames, the neighbour's
  uint16_t channel = 0;
  uint64_t destinations = 0;  // bit r: rank r is to receive it; 0 in hop frames
  uint32_t offset = 0;        // bytes into the message; of kAck to kStatus: bit i, ack + i is here;
                              // of kDatagram: hops made against the tables
  uint16_t length = 0;        // payload bytes
  uint16_t epoch = 0;         // inference number, modulo 2^16
};

enum class HeaderError : uint8_t { kNone, kVersion, kType, kLength };

// COBS counts these: a block is a run without a zero.
size_t bytes_before_zero(ConstBytes bytes);

void store_header(const FrameHeader& header, uint8_t* to);
// Reads the header of a decoded frame of `frame_bytes` bytes (header + payload, no CRC).
HeaderError load_header(const uint8_t* from, size_t frame_bytes, FrameHeader* header);

struct DecoderCounters {
  uint32_t frames = 0;
  uint32_t crc_errors = 0;
  uint32_t cobs_errors = 0;  // a delimiter inside a COBS block: bytes were lost or garbage came
  uint32_t too_long = 0;
  uint32_t too_short = 0;
  uint32_t errors() const { return crc_errors + cobs_errors + too_long + too_short; }
};

// Takes bytes as they come and writes the decoded frame into the caller's buffer. Any garbage
// costs at most the frames that it touches: the next delimiter starts afresh.
class FrameDecoder {
 public:
  enum class Event : uint8_t { kNone, kFrame, kError };

  // checks_crc: false where the bytes have crossed no wire yet.
  explicit FrameDecoder(MutableBytes buffer, bool checks_crc = true)
      : buffer_(buffer), checks_crc_(checks_crc) {}

  // Takes bytes up to the end of a frame, an error, or the last; returns how many. After kFrame the
  // frame (header and payload; the CRC, checked, stands behind it) is in the first frame_bytes() bytes of the
  // buffer, until the next push().
  size_t push(ConstBytes bytes, Event* event);
  Event push(uint8_t byte) {
    Event event;
    push(ConstBytes(&byte, 1), &event);
    return event;
  }
  size_t frame_bytes() const { return frame_bytes_; }
  // Lets the decoder fill another buffer of the same size. Only between kFrame and push().
  void set_buffer(uint8_t* data) { buffer_ = MutableBytes(data, buffer_.size()); }
  const DecoderCounters& counters() const { return counters_; }

 private:
  Event fail(uint32_t* counter);
  Event end_frame();
  Event finish();
  Event open_block(uint8_t code);
  Event append(const uint8_t* from, size_t count);
  void restart();

  bool is_sound(size_t body) const;

  MutableBytes buffer_;
  bool checks_crc_;
  size_t used_ = 0;
  size_t frame_bytes_ = 0;
  uint8_t block_left_ = 0;     // bytes still to come in the current COBS block
  bool owes_zero_ = false;     // a zero follows the current block if another block does
  bool started_ = false;       // a code byte came since the last delimiter
  bool skipping_ = false;      // an error was reported; wait for a delimiter
  DecoderCounters counters_;
};

// Turns one frame at a time into wire bytes, as fast as the stream takes them, with no buffer
// for the encoded frame: COBS is produced while reading header, payload and CRC in place.
class FrameEncoder {
 public:
  // `payload` must stay until done(). header.length is set from it.
  void start(FrameHeader header, ConstBytes payload);
  bool done() const { return state_ == State::kIdle && pending_ == pending_end_; }
  // Writes what the stream takes; returns the bytes written.
  size_t write_to(ByteStream& stream);
  // Forgets the rest of the frame. The peer drops the torn frame at the next delimiter.
  void cancel();

 private:
  enum class State : uint8_t { kIdle, kOpen, kCode, kBytes, kClose };
  void fill_chunk();
  void append_run();
  void pass(size_t count);
  ConstBytes run_ahead() const;
  uint8_t control_byte();
  uint8_t open_block();
  State after_block();
  ConstBytes piece_at(size_t index) const;
  size_t raw_bytes() const { return kHeaderBytes + payload_.size() + kCrcBytes; }

  uint8_t header_[kHeaderBytes] = {};
  uint8_t crc_[kCrcBytes] = {};
  ConstBytes payload_;
  size_t position_ = 0;
  size_t block_end_ = 0;
  bool skip_zero_ = false;
  State state_ = State::kIdle;
  uint8_t chunk_[64] = {};
  uint8_t pending_ = 0;
  uint8_t pending_end_ = 0;
};

}  // namespace split_core

#endif  // SPLIT_CORE_FRAME_H_
