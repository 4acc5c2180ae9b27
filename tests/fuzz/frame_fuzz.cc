// SPDX-License-Identifier: Apache-2.0
// The frame decoder and encoder. Input: MTU, how a stream cuts what it carries, then wire bytes.
#include <vector>

#include "input.h"
#include "split_core/frame.h"

namespace {

using namespace split_core;
using fuzz::Input;

constexpr size_t kMostBytes = 16 * 1024;

struct Decoded {
  std::vector<uint8_t> frames;  // one after the other, each behind its size
  uint32_t errors = 0;
  bool operator==(const Decoded& other) const {
    return frames == other.frames && errors == other.errors;
  }
};

// A decoder over a buffer of exactly one MTU.
class Receiver {
 public:
  explicit Receiver(size_t mtu_bytes)
      : mtu_bytes_(mtu_bytes),
        buffer_(fuzz::exactly<uint8_t>(mtu_bytes)),
        decoder_(MutableBytes(buffer_.get(), mtu_bytes)) {}

  // At most `step` bytes at a time.
  void push(const uint8_t* bytes, size_t size, size_t step) {
    for (size_t at = 0; at < size;) {
      const size_t count = size - at < step ? size - at : step;
      FrameDecoder::Event event;
      const size_t taken = decoder_.push(ConstBytes(bytes + at, count), &event);
      REQUIRE(taken > 0 && taken <= count);
      at += taken;
      if (event == FrameDecoder::Event::kError) ++decoded.errors;
      if (event == FrameDecoder::Event::kFrame) keep();
    }
  }

  Decoded decoded;

 private:
  void keep() {
    const size_t size = decoder_.frame_bytes();
    REQUIRE(size >= kHeaderBytes && size + kCrcBytes <= mtu_bytes_);
    decoded.frames.push_back(static_cast<uint8_t>(size & 0xFF));
    decoded.frames.push_back(static_cast<uint8_t>(size >> 8));
    decoded.frames.insert(decoded.frames.end(), buffer_.get(), buffer_.get() + size);
    FrameHeader header;
    if (load_header(buffer_.get(), size, &header) != HeaderError::kNone) return;
    uint8_t again[kHeaderBytes];
    store_header(header, again);
    REQUIRE(std::memcmp(again, buffer_.get(), kHeaderBytes) == 0);
  }

  size_t mtu_bytes_;
  std::unique_ptr<uint8_t[]> buffer_;
  FrameDecoder decoder_;
};

// Takes as many bytes at a time as the input says, none now and then.
class Sink final : public ByteStream {
 public:
  explicit Sink(uint8_t pattern) : pattern_(pattern) {}
  size_t read(MutableBytes) override { return 0; }
  size_t write(ConstBytes from) override {
    const size_t most = pattern_ == 0 ? from.size() : (pattern_ % 36u + 1) * ++calls_ % 37;
    const size_t count = from.size() < most ? from.size() : most;
    bytes.insert(bytes.end(), from.begin(), from.begin() + count);
    return count;
  }
  std::vector<uint8_t> bytes;

 private:
  uint8_t pattern_;
  size_t calls_ = 0;
};

// Whatever came before, a delimiter and a sound frame come out as they went in.
void send_sound_frame(Input input, size_t mtu_bytes, uint8_t pattern, Receiver* receiver) {
  FrameHeader header;
  header.type = FrameType::kData;
  header.sequence = pattern;
  header.destinations = input.size();
  const size_t most = max_payload_bytes(mtu_bytes);
  const ConstBytes payload(input.rest(), input.size() < most ? input.size() : most);
  FrameEncoder encoder;
  Sink sink(pattern);
  encoder.start(header, payload);
  for (size_t turn = 0; !encoder.done() && turn < 40 * mtu_bytes; ++turn) encoder.write_to(sink);
  REQUIRE(encoder.done());
  REQUIRE(sink.bytes.size() <= max_encoded_bytes(payload.size() + kFrameOverheadBytes));
  receiver->push(sink.bytes.data(), 1, 1);  // the delimiter ends what came before
  receiver->decoded = Decoded();
  receiver->push(sink.bytes.data() + 1, sink.bytes.size() - 1, 1 + pattern);
  const std::vector<uint8_t>& got = receiver->decoded.frames;
  REQUIRE(receiver->decoded.errors == 0);
  REQUIRE(got.size() == 2 + kHeaderBytes + payload.size());
  REQUIRE(payload.empty() ||
          std::memcmp(got.data() + 2 + kHeaderBytes, payload.data(), payload.size()) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  const size_t mtu_bytes = kMinMtuBytes + 4 * (input.u8() % 193u);
  const uint8_t pattern = input.u8();
  if (input.size() > kMostBytes) return 0;
  Receiver whole(mtu_bytes), cut(mtu_bytes);
  whole.push(input.rest(), input.size(), input.size());
  cut.push(input.rest(), input.size(), 1 + pattern % 70u);
  REQUIRE(whole.decoded == cut.decoded);
  send_sound_frame(input, mtu_bytes, pattern, &cut);
  return 0;
}
