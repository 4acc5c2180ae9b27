// SPDX-License-Identifier: Apache-2.0
// Frames against the table of vectors, and the decoder against anything that a wire may bring.
#include <string>
#include <vector>

#include "check.h"
#include "sim.h"
#include "split_core/crc32.h"
#include "split_core/endian.h"

struct FrameVector {
  const char* name;
  int type, sequence, ack, credit, source, channel;
  unsigned offset;
  int epoch;
  uint64_t destinations;
  const char* payload_hex;
  const char* wire_hex;
};
struct StreamVector {
  const char* name;
  int mtu_bytes;
  const char* stream_hex;
  const char* frames;
  unsigned crc_errors, cobs_errors, too_long, too_short;
};
#include "wire_vectors.h"

namespace {

using namespace split_core;

using Bytes = std::vector<uint8_t>;

int digit(char letter) { return letter <= '9' ? letter - '0' : letter - 'a' + 10; }

Bytes from_hex(const char* hex) {
  Bytes bytes;
  for (; hex[0] != '\0'; hex += 2) {
    bytes.push_back(static_cast<uint8_t>(digit(hex[0]) * 16 + digit(hex[1])));
  }
  return bytes;
}

FrameHeader header_of(const FrameVector& vector) {
  FrameHeader header;
  header.type = static_cast<FrameType>(vector.type);
  header.sequence = static_cast<uint8_t>(vector.sequence);
  header.ack = static_cast<uint8_t>(vector.ack);
  header.credit = static_cast<uint8_t>(vector.credit);
  header.source = static_cast<uint8_t>(vector.source);
  header.channel = static_cast<uint16_t>(vector.channel);
  header.destinations = vector.destinations;
  header.offset = vector.offset;
  header.epoch = static_cast<uint16_t>(vector.epoch);
  return header;
}

// Takes a random number of bytes at a time.
struct Collector final : ByteStream {
  explicit Collector(uint64_t seed) : random(seed) {}
  size_t read(MutableBytes) override { return 0; }
  size_t write(ConstBytes from) override {
    const size_t count = random.below(static_cast<uint32_t>(from.size()) + 1);
    bytes.insert(bytes.end(), from.begin(), from.begin() + count);
    return count;
  }
  sim::Random random;
  Bytes bytes;
};

Bytes encode(const FrameHeader& header, const Bytes& payload, uint64_t seed = 1) {
  Collector collector(seed);
  FrameEncoder encoder;
  encoder.start(header, ConstBytes(payload.data(), payload.size()));
  while (!encoder.done()) encoder.write_to(collector);
  return collector.bytes;
}

}  // namespace

uint32_t crc32_bit_by_bit(const uint8_t* bytes, size_t count) {
  uint32_t value = 0xFFFFFFFFu;
  for (size_t i = 0; i < 8 * count; ++i) {
    const uint32_t bit = (value ^ bytes[i / 8] >> i % 8) & 1u;
    value = value >> 1 ^ (bit ? 0xEDB88320u : 0u);
  }
  return ~value;
}

TEST(crc32_is_the_ieee_one) {
  const char* digits = "123456789";
  const auto* bytes = reinterpret_cast<const uint8_t*>(digits);
  EXPECT_EQ(crc32(ConstBytes(bytes, 9)), 0xCBF43926u);  // the catalogued check value
  EXPECT_EQ(crc32(ConstBytes(bytes + 4, 5), crc32(ConstBytes(bytes, 4))), 0xCBF43926u);
  EXPECT_EQ(crc32(ConstBytes()), 0u);
  // Words at any address, and bytes behind the last.
  uint8_t many[40];
  for (size_t i = 0; i < sizeof many; ++i) many[i] = static_cast<uint8_t>(i * 73 + 11);
  for (size_t start = 0; start < 5; ++start) {
    for (size_t count = 0; start + count <= sizeof many; ++count) {
      EXPECT_EQ(crc32(ConstBytes(many + start, count)), crc32_bit_by_bit(many + start, count));
    }
  }
}

TEST(frame_vectors_encode) {
  for (const FrameVector& vector : kFrameVectors) {
    const Bytes expected = from_hex(vector.wire_hex);
    const bool same = encode(header_of(vector), from_hex(vector.payload_hex)) == expected;
    if (!same) std::printf("vector %s\n", vector.name);
    EXPECT(same);
    EXPECT(expected.size() <=
           max_encoded_bytes(kFrameOverheadBytes + from_hex(vector.payload_hex).size()));
  }
}

TEST(frame_vectors_decode) {
  for (const FrameVector& vector : kFrameVectors) {
    Bytes buffer(kMaxMtuBytes);
    FrameDecoder decoder(MutableBytes(buffer.data(), buffer.size()));
    int frames = 0;
    for (uint8_t byte : from_hex(vector.wire_hex)) {
      frames += decoder.push(byte) == FrameDecoder::Event::kFrame;
    }
    EXPECT_EQ(frames, 1);
    FrameHeader got;
    EXPECT(load_header(buffer.data(), decoder.frame_bytes(), &got) == HeaderError::kNone);
    uint8_t again[kHeaderBytes];
    FrameHeader expected = header_of(vector);
    const Bytes payload = from_hex(vector.payload_hex);
    expected.length = static_cast<uint16_t>(payload.size());
    store_header(expected, again);
    EXPECT(std::memcmp(again, buffer.data(), kHeaderBytes) == 0);
    store_header(got, again);
    EXPECT(std::memcmp(again, buffer.data(), kHeaderBytes) == 0);
    EXPECT(Bytes(buffer.begin() + kHeaderBytes,
                 buffer.begin() + static_cast<long>(decoder.frame_bytes())) == payload);
  }
}

TEST(stream_vectors) {
  for (const StreamVector& vector : kStreamVectors) {
    Bytes buffer(static_cast<size_t>(vector.mtu_bytes));
    FrameDecoder decoder(MutableBytes(buffer.data(), buffer.size()));
    std::string frames;
    for (uint8_t byte : from_hex(vector.stream_hex)) {
      if (decoder.push(byte) != FrameDecoder::Event::kFrame) continue;
      std::string name = buffer[0] == kProtocolVersion ? "?" : "(version)";
      for (const FrameVector& frame : kFrameVectors) {
        const Bytes payload = from_hex(frame.payload_hex);
        FrameHeader header = header_of(frame);
        header.length = static_cast<uint16_t>(payload.size());
        uint8_t raw[kHeaderBytes];
        store_header(header, raw);
        if (std::memcmp(raw, buffer.data(), kHeaderBytes) == 0) name = frame.name;
      }
      frames += (frames.empty() ? "" : " ") + name;
    }
    EXPECT_TEXT(frames.c_str(), vector.frames);
    const DecoderCounters& counters = decoder.counters();
    const bool same = counters.crc_errors == vector.crc_errors &&
                      counters.cobs_errors == vector.cobs_errors &&
                      counters.too_long == vector.too_long &&
                      counters.too_short == vector.too_short;
    if (!same) {
      std::printf("stream %s: crc %u cobs %u long %u short %u\n", vector.name, counters.crc_errors,
                  counters.cobs_errors, counters.too_long, counters.too_short);
    }
    EXPECT(same);
  }
}

TEST(headers_that_make_no_sense) {
  uint8_t raw[kHeaderBytes + 10] = {};
  FrameHeader header;
  header.length = 10;
  store_header(header, raw);
  FrameHeader got;
  EXPECT(load_header(raw, sizeof(raw), &got) == HeaderError::kNone);
  EXPECT(load_header(raw, sizeof(raw) - 1, &got) == HeaderError::kLength);
  raw[1] = 8;
  EXPECT(load_header(raw, sizeof(raw), &got) == HeaderError::kType);
  raw[1] = 20;
  EXPECT(load_header(raw, sizeof(raw), &got) == HeaderError::kType);
  raw[1] = 0;
  EXPECT(load_header(raw, sizeof(raw), &got) == HeaderError::kType);
  raw[1] = 32;
  EXPECT(load_header(raw, sizeof(raw), &got) == HeaderError::kNone);
  EXPECT(got.type == FrameType::kSurvey && !is_sequenced(got.type) && !tells_held(got.type));
  raw[0] = 1;
  EXPECT(load_header(raw, sizeof(raw), &got) == HeaderError::kVersion);
}

TEST(any_payload_survives_the_round_trip) {
  sim::Random random(5);
  for (int round = 0; round < 400; ++round) {
    Bytes payload(random.below(997));
    const uint32_t zeros = random.between(1, 300);  // from mostly zeros to none for long
    for (uint8_t& byte : payload) {
      byte = random.below(zeros) == 0 ? uint8_t{0} : static_cast<uint8_t>(random.below(256));
    }
    FrameHeader header;
    header.type = FrameType::kData;
    header.offset = static_cast<uint32_t>(random.next());
    const Bytes wire = encode(header, payload, random.next());
    EXPECT(wire.size() <= max_encoded_bytes(kFrameOverheadBytes + payload.size()));
    for (size_t i = 1; i + 1 < wire.size(); ++i) EXPECT(wire[i] != 0);
    Bytes buffer(kFrameOverheadBytes + payload.size());  // exactly enough
    FrameDecoder decoder(MutableBytes(buffer.data(), buffer.size()));
    for (uint8_t byte : wire) decoder.push(byte);
    EXPECT_EQ(decoder.counters().frames, 1u);
    EXPECT(Bytes(buffer.begin() + kHeaderBytes, buffer.end() - kCrcBytes) == payload);
  }
}

TEST(cancelled_frame_is_dropped_and_the_next_one_arrives) {
  const Bytes payload(200, 3);
  FrameHeader header;
  header.type = FrameType::kData;
  Collector collector(8);
  FrameEncoder encoder;
  encoder.start(header, ConstBytes(payload.data(), payload.size()));
  while (collector.bytes.size() < 100) encoder.write_to(collector);
  encoder.cancel();
  EXPECT(encoder.done());
  encoder.start(header, ConstBytes(payload.data(), payload.size()));
  while (!encoder.done()) encoder.write_to(collector);
  Bytes buffer(256);
  FrameDecoder decoder(MutableBytes(buffer.data(), buffer.size()));
  for (uint8_t byte : collector.bytes) decoder.push(byte);
  EXPECT_EQ(decoder.counters().frames, 1u);
  EXPECT_EQ(decoder.counters().cobs_errors, 1u);
}

// Seeded mutation fuzz: streams of real frames, damaged at random. The sanitizers watch the
// buffer's edges; whatever the damage, a sound frame behind it must come through, and a decoded
// frame is one that was sent (a CRC-32 lets one in 2^32 through: none here).
TEST(fuzz_decoder_with_damaged_streams) {
  sim::Random random(2024);
  const size_t vectors = sizeof(kFrameVectors) / sizeof(kFrameVectors[0]);
  for (int round = 0; round < 6000; ++round) {
    Bytes stream;
    for (uint32_t i = random.between(1, 4); i > 0; --i) {
      const Bytes wire = from_hex(kFrameVectors[random.below(vectors)].wire_hex);
      stream.insert(stream.end(), wire.begin(), wire.end());
    }
    for (uint32_t i = random.below(8); i > 0; --i) {
      const auto at = static_cast<long>(random.below(static_cast<uint32_t>(stream.size())));
      switch (random.below(5)) {
        case 0: stream[static_cast<size_t>(at)] ^= static_cast<uint8_t>(1 << random.below(8)); break;
        case 1: stream[static_cast<size_t>(at)] = static_cast<uint8_t>(random.below(256)); break;
        case 2: stream.erase(stream.begin() + at); break;
        case 3: stream.insert(stream.begin() + at, random.below(400), 0xFF); break;
        default: stream.insert(stream.begin() + at, static_cast<uint8_t>(random.below(3))); break;
      }
      if (stream.empty()) stream.push_back(1);
    }
    const Bytes sentinel = from_hex(kFrameVectors[3].wire_hex);
    stream.insert(stream.end(), sentinel.begin(), sentinel.end());
    const auto size = random.between(kFrameOverheadBytes, kMaxMtuBytes);
    Bytes buffer(size);
    FrameDecoder decoder(MutableBytes(buffer.data(), buffer.size()));
    FrameDecoder::Event last = FrameDecoder::Event::kNone;
    for (uint8_t byte : stream) {
      last = decoder.push(byte);
      if (last != FrameDecoder::Event::kFrame) continue;
      FrameHeader header;
      const HeaderError error = load_header(buffer.data(), decoder.frame_bytes(), &header);
      EXPECT(error == HeaderError::kNone);
    }
    EXPECT(last == FrameDecoder::Event::kFrame);
    EXPECT_EQ(buffer[1], 4);  // the sentinel, an ACK
  }
}
