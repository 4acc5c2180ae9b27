// SPDX-License-Identifier: Apache-2.0
// What docs/deployment.md says, by its table of vectors.
#include <algorithm>
#include <string>
#include <vector>

#include "check.h"
#include "sim.h"
#include "split_core/endian.h"
#include "split_deploy/image_store.h"
#include "split_deploy/session_messages.h"
#include "split_deploy/survey.h"

namespace vectors {

struct SurveyVector {
  const char* name;
  unsigned kind, h;
  const char *out_hex, *body_hex, *payload_hex, *wire_hex;
};
struct StepVector {
  const char* name;
  unsigned port, ports;
  const char *payload_hex, *does;
  unsigned leaves;
  const char* after_hex;
};
struct AnswerVector {
  const char *name, *request_hex;
  unsigned kind;
  const char *body_hex, *answer_hex;
};
struct IdentityVector {
  const char *id, *board;
  unsigned boot, arrived, ports, state, flags, store_bytes, work_bytes, baud, mtu_bytes;
  const char *deployment, *fingerprint;
  unsigned rank, world_size, slices, slice, rx_ring_bytes, tx_ring_bytes;
  const char* body_hex;
};
struct RequestVector {
  unsigned type, slice, image_bytes;
  const char *deployment, *sha256, *hmac, *payload_hex;
};
struct ReplyVector {
  unsigned type, state, chunk_bytes, received_bytes, slice, code, about, number;
  const char *text, *deployment, *payload_hex;
};
struct NamedVector {
  const char *name, *hex;
};
struct SliceVector {
  const char *fingerprint, *board, *mark, *model_hex, *links;
  unsigned rank, world_size, node_count, mtu_bytes, rx_slots, tx_slots, send_slots, recv_slots,
      grant_slots, flags, hello_interval_us, poll_interval_us, poll_interval_max_us, peer_timeout_us,
      multicast_hold_us, timeout_us, background_poll_us, arena_bytes, required_arena_bytes, baud, lost;
};
struct BadVector {
  const char *name, *field;
  unsigned at;
  const char* bytes_hex;
};
struct RecordVector {
  unsigned state, sequence, image_bytes;
  const char *deployment, *sha256, *record_hex;
};
struct HmacVector {
  const char *key_hex, *text_hex, *digest;
};
#include "deploy_vectors.h"

}  // namespace vectors

namespace {

using namespace split_deploy;
using namespace vectors;
using split_core::ConstBytes;
using split_core::MutableBytes;

using Bytes = std::vector<uint8_t>;

int digit_of(char letter) { return letter <= '9' ? letter - '0' : letter - 'a' + 10; }

Bytes bytes_of(const char* hex) {
  Bytes bytes;
  for (; hex[0] != '\0'; hex += 2) {
    bytes.push_back(static_cast<uint8_t>(digit_of(hex[0]) * 16 + digit_of(hex[1])));
  }
  return bytes;
}
ConstBytes view(const Bytes& bytes) { return ConstBytes(bytes.data(), bytes.size()); }
Bytes copy_of(ConstBytes bytes) { return Bytes(bytes.begin(), bytes.end()); }
bool equal(const uint8_t* bytes, const char* hex) {
  const Bytes wanted = bytes_of(hex);
  return std::equal(wanted.begin(), wanted.end(), bytes);
}
void copy_to(uint8_t* to, const char* hex) {
  const Bytes from = bytes_of(hex);
  std::copy(from.begin(), from.end(), to);
}

// A stream of what a test puts in and takes out.
struct TestWire final : split_core::ByteStream {
  size_t read(MutableBytes to) override {
    size_t count = 0;
    for (; count < to.size() && at < in.size(); ++count) to[count] = in[at++];
    return count;
  }
  size_t write(ConstBytes from) override {
    out.insert(out.end(), from.begin(), from.end());
    return from.size();
  }
  // The payload of the only frame that left; empty if none did.
  Bytes payload() const {
    uint8_t landing[split_core::kMinMtuBytes];
    split_core::FrameDecoder decoder(MutableBytes(landing, sizeof landing));
    for (const uint8_t byte : out) {
      if (decoder.push(byte) != split_core::FrameDecoder::Event::kFrame) continue;
      EXPECT_EQ(decoder.counters().errors(), 0u);
      return Bytes(landing + split_core::kHeaderBytes, landing + decoder.frame_bytes());
    }
    return {};
  }
  Bytes in, out;
  size_t at = 0;
};

// Answers with what it was asked, so that a test sees what arrived.
struct Recorder final : SurveyHandler {
  Answer on_request(SurveyKind, ConstBytes, uint8_t port, uint8_t*) override {
    ++requests;
    arrived = port;
    return {SurveyKind::kEchoed, 0};
  }
  int requests = 0;
  uint8_t arrived = 0;
};

Bytes framed(const Bytes& payload) {
  TestWire line;
  split_core::FrameHeader header;
  header.type = split_core::FrameType::kSurvey;
  header.source = 0xFF;
  header.channel = 0xFFFF;
  split_core::FrameEncoder encoder;
  encoder.start(header, view(payload));
  encoder.write_to(line);
  return line.out;
}

}  // namespace

TEST(survey_vectors_are_read_and_framed) {
  for (const SurveyVector& vector : kSurveyVectors) {
    const Bytes payload = bytes_of(vector.payload_hex);
    SurveyFrame frame;
    EXPECT(frame.load(view(payload)));
    EXPECT_EQ(static_cast<unsigned>(frame.kind()), vector.kind);
    EXPECT_EQ(frame.hop(), vector.h);
    EXPECT_EQ(2u * frame.hops(), std::strlen(vector.out_hex));
    EXPECT(copy_of(frame.body()) == bytes_of(vector.body_hex));
    EXPECT(framed(payload) == bytes_of(vector.wire_hex));
  }
}

TEST(a_device_does_with_a_payload_what_the_vectors_say) {
  for (const StepVector& vector : kStepVectors) {
    std::vector<TestWire> lines(vector.ports + 1);
    std::vector<SurveyPort> ports;
    for (unsigned i = 0; i <= vector.ports; ++i) {
      ports.push_back({&lines[i], i == vector.ports ? kHostPort : static_cast<uint8_t>(i)});
    }
    const auto line_of = [&](unsigned port) -> TestWire& { return lines[port == 255 ? vector.ports : port]; };
    Recorder handler;
    std::vector<uint64_t> memory(Survey::required_bytes(ports.size()) / 8 + 1);
    Survey* const survey =
        Survey::create(memory.data(), memory.size() * 8, ports.data(), ports.size(), handler);
    line_of(vector.port).in = framed(bytes_of(vector.payload_hex));
    for (int turn = 0; turn < 3; ++turn) survey->poll(0);
    const std::string does = vector.does;
    EXPECT_EQ(handler.requests, does == "answer" ? 1 : 0);
    if (does == "answer") EXPECT_EQ(handler.arrived, vector.port);
    if (does == "forward") EXPECT(line_of(vector.leaves).payload() == bytes_of(vector.after_hex));
    size_t left = 0;
    for (const TestWire& line : lines) left += line.out.empty() ? 0 : 1;
    EXPECT_EQ(left, does == "drop" ? 0u : 1u);
  }
}

TEST(answers_are_those_of_the_vectors) {
  for (const AnswerVector& vector : kAnswerVectors) {
    SurveyFrame request, answer;
    EXPECT(request.load(view(bytes_of(vector.request_hex))));
    const Bytes body = bytes_of(vector.body_hex);
    answer.answer(request, static_cast<SurveyKind>(vector.kind), view(body));
    EXPECT(copy_of(answer.payload()) == bytes_of(vector.answer_hex));
  }
}

TEST(identities_are_those_of_the_vectors) {
  for (const IdentityVector& vector : kIdentityVectors) {
    Identity identity;
    copy_to(identity.id, vector.id);
    identity.board = vector.board;
    identity.boot = vector.boot;
    identity.arrived = static_cast<uint8_t>(vector.arrived);
    identity.ports = static_cast<uint8_t>(vector.ports);
    identity.state = static_cast<DeployState>(vector.state);
    identity.flags = static_cast<uint8_t>(vector.flags);
    identity.store_bytes = vector.store_bytes;
    identity.work_bytes = vector.work_bytes;
    identity.baud = vector.baud;
    identity.mtu_bytes = static_cast<uint16_t>(vector.mtu_bytes);
    identity.rx_ring_bytes = told_ring(vector.rx_ring_bytes);
    identity.tx_ring_bytes = told_ring(vector.tx_ring_bytes);
    copy_to(identity.deployment, vector.deployment);
    copy_to(identity.fingerprint, vector.fingerprint);
    identity.rank = static_cast<uint8_t>(vector.rank);
    identity.world_size = static_cast<uint8_t>(vector.world_size);
    identity.slices = static_cast<uint8_t>(vector.slices);
    identity.slice = static_cast<uint8_t>(vector.slice);
    uint8_t body[kMaxBodyBytes];
    EXPECT_EQ(pack(identity, body), Identity::kBytes);
    EXPECT(equal(body, vector.body_hex));
  }
}

TEST(an_adoption_and_refusals_are_those_of_the_vectors) {
  for (const SurveyVector& vector : kSurveyVectors) {
    const std::string name = vector.name;
    const Bytes body = bytes_of(vector.body_hex);
    if (name == "adopt") {
      Adoption adoption;
      EXPECT(unpack(view(body), 2, &adoption).ok());
      EXPECT_EQ(adoption.config.rank, 2);
      EXPECT_EQ(adoption.config.node_count, 9);
      EXPECT_EQ(adoption.config.mtu_bytes, 512);
      EXPECT_EQ(adoption.config.timing.peer_timeout_us, 10'000'000u);
      EXPECT_EQ(adoption.config.fingerprint[15], 15);
      EXPECT_EQ(adoption.ports[1], 1);
      EXPECT_EQ(adoption.links[0].ring_next, 1);
      EXPECT_EQ(adoption.links[1].destinations, 0xF8u);
    }
    if (name.rfind("refused", 0) == 0) {
      const std::string text(body.begin() + 8, body.end());
      Refusal refusal;
      refusal.code = static_cast<RefusalCode>(body[0]);
      refusal.number = split_core::load_le<uint32_t>(body.data() + 4);
      refusal.text = text.c_str();
      uint8_t packed[kMaxBodyBytes];
      EXPECT_EQ(pack(refusal, packed), body.size());
      EXPECT(std::memcmp(packed, body.data(), body.size()) == 0);
    }
  }
}

TEST(requests_of_a_session_are_read) {
  for (const RequestVector& vector : kRequestVectors) {
    SessionRequest request;
    EXPECT(unpack(view(bytes_of(vector.payload_hex)), &request));
    EXPECT_EQ(static_cast<unsigned>(request.type), vector.type);
    EXPECT_EQ(request.slice, vector.slice);
    EXPECT_EQ(request.image_bytes, vector.image_bytes);
    EXPECT(equal(request.deployment, vector.deployment));
    EXPECT(equal(request.sha256, vector.sha256) && equal(request.hmac, vector.hmac));
    if (vector.type != 1 || request.hmac[0] == 0) continue;
    uint8_t hmac[kDigestBytes];
    const Bytes key = bytes_of(kKeyHex);
    sign(view(key), request, hmac);
    EXPECT(equal(hmac, vector.hmac));
  }
  SessionRequest request;
  for (const NamedVector& vector : kIgnoredVectors) {
    EXPECT(!unpack(view(bytes_of(vector.hex)), &request));
    EXPECT(request.type == SessionType::kNone);
  }
  for (const ReplyVector& vector : kReplyVectors) {
    EXPECT(!unpack(view(bytes_of(vector.payload_hex)), &request));
  }
}

TEST(replies_of_a_session_are_written) {
  for (const ReplyVector& vector : kReplyVectors) {
    uint8_t to[kMaxSessionBytes];
    const Bytes id = bytes_of(vector.deployment);
    const auto type = static_cast<SessionType>(vector.type);
    size_t bytes = 0;
    if (type == SessionType::kAccepted) {
      const Accepted accepted = {static_cast<Holding>(vector.state), vector.chunk_bytes,
                                 vector.received_bytes, id.data()};
      bytes = pack(accepted, to);
    } else if (type == SessionType::kRefused) {
      Refusal refusal;
      refusal.code = static_cast<RefusalCode>(vector.code);
      refusal.number = vector.number;
      refusal.text = vector.text;
      bytes = pack_refused(refusal, static_cast<SessionType>(vector.about), to);
    } else {
      bytes = pack_done(type, static_cast<uint8_t>(vector.slice), id.data(), to);
    }
    EXPECT_EQ(bytes, std::strlen(vector.payload_hex) / 2);
    EXPECT(equal(to, vector.payload_hex));
  }
}

TEST(images_are_read) {
  for (const NamedVector& vector : kImageVectors) {
    EXPECT(check_image(view(bytes_of(vector.hex))) == nullptr);
  }
  const Bytes image = bytes_of(kImageVectors[0].hex);
  EXPECT_EQ(slices_of(view(image)), 2);
  for (uint8_t index = 0; index < 2; ++index) {
    const SliceVector& vector = kSliceVectors[index];
    Slice slice;
    read_slice(view(image), index, &slice);
    EXPECT_TEXT(slice.board, vector.board);
    EXPECT_TEXT(slice.mark, vector.mark);
    EXPECT(equal(slice.node.fingerprint, vector.fingerprint));
    EXPECT_EQ(slice.model_bytes, std::strlen(vector.model_hex) / 2);
    EXPECT(equal(slice.model, vector.model_hex));
    EXPECT_EQ((slice.model - image.data()) % 16, 0);
    EXPECT_EQ(slice.node.rank, vector.rank);
    EXPECT_EQ(slice.node.world_size, vector.world_size);
    EXPECT_EQ(slice.node.node_count, vector.node_count);
    EXPECT_EQ(slice.node.mtu_bytes, vector.mtu_bytes);
    EXPECT_EQ(slice.node.rx_slots, vector.rx_slots);
    EXPECT_EQ(slice.node.tx_slots, vector.tx_slots);
    EXPECT_EQ(slice.node.send_slots, vector.send_slots);
    EXPECT_EQ(slice.node.recv_slots, vector.recv_slots);
    EXPECT_EQ(slice.node.grant_slots, vector.grant_slots);
    EXPECT_EQ(slice.flags, vector.flags);
    EXPECT_EQ(slice.node.timing.hello_interval_us, vector.hello_interval_us);
    EXPECT_EQ(slice.node.timing.poll_interval_us, vector.poll_interval_us);
    EXPECT_EQ(slice.node.timing.poll_interval_max_us, vector.poll_interval_max_us);
    EXPECT_EQ(slice.node.timing.peer_timeout_us, vector.peer_timeout_us);
    EXPECT_EQ(slice.node.timing.multicast_hold_us, vector.multicast_hold_us);
    EXPECT_EQ(slice.timeout_us, vector.timeout_us);
    EXPECT_EQ(slice.background_poll_us, vector.background_poll_us);
    EXPECT_EQ(slice.arena_bytes, vector.arena_bytes);
    EXPECT_EQ(slice.required_arena_bytes, vector.required_arena_bytes);
    EXPECT_EQ(slice.baud, vector.baud);
    EXPECT_EQ(slice.lost, vector.lost);
    std::string links;
    for (uint8_t i = 0; i < slice.node.link_count; ++i) {
      char text[32];
      std::snprintf(text, sizeof text, "%02x%02x%02x%016llx", slice.ports[i], slice.links[i].peer_rank,
                    slice.links[i].ring_next,
                    static_cast<unsigned long long>(slice.links[i].destinations));
      links += text;
    }
    EXPECT_TEXT(links.c_str(), vector.links);
  }
}

TEST(what_is_wrong_with_an_image_is_named) {
  const Bytes sound = bytes_of(kImageVectors[1].hex);
  for (const BadVector& vector : kBadVectors) {
    Bytes image = sound;
    const Bytes change = bytes_of(vector.bytes_hex);
    std::copy(change.begin(), change.end(), image.begin() + vector.at);
    const char* const field = check_image(view(image));
    if (field == nullptr || std::strcmp(field, vector.field) != 0) std::printf("%s\n", vector.name);
    EXPECT_TEXT(field == nullptr ? "nothing" : field, vector.field);
  }
  for (size_t size = 0; size < sound.size(); ++size) {
    Bytes image(sound.begin(), sound.begin() + static_cast<long>(size));
    EXPECT(check_image(view(image)) != nullptr);
  }
}

TEST(a_slice_that_is_not_for_this_board_is_refused) {
  const Bytes image = bytes_of(kImageVectors[1].hex);
  BoardLimits limits;
  limits.board = "teensy41";
  limits.ports = 2;
  limits.flags = 1;
  limits.baud = 6'000'000;
  limits.posted_bytes = 16;
  Slice slice;
  read_slice(view(image), 0, &slice);
  limits.work_bytes = static_cast<uint32_t>(work_bytes_of(slice, limits));
  EXPECT(limits.work_bytes > slice.arena_bytes + split_core::Node::required_bytes(slice.node));
  EXPECT(check_fit(view(image), limits).ok());
  const auto field = [&](auto change) {
    BoardLimits other = limits;
    change(other);
    const Refusal found = check_fit(view(image), other);
    EXPECT(found.code == RefusalCode::kBadImage);
    return found.text;
  };
  EXPECT_TEXT(field([](BoardLimits& other) { other.board = "teensy40"; }), "board");
  EXPECT_TEXT(field([](BoardLimits& other) { other.flags = 0; }), "flags");
  EXPECT_TEXT(field([](BoardLimits& other) { other.mtu_bytes = 256; }), "mtu_bytes");
  EXPECT_TEXT(field([](BoardLimits& other) { other.baud = 1; }), "baud");
  EXPECT_TEXT(field([](BoardLimits& other) { other.ports = 1; }), "links");
  // Four frames of 512 bytes as they are on a wire, and 256 bytes for what needs no credit.
  limits.rx_ring_bytes = 4 * (512 + 2 + 3) + 256;
  EXPECT(check_fit(view(image), limits).ok());
  EXPECT_TEXT(field([](BoardLimits& other) { --other.rx_ring_bytes; }), "rx_slots");
  limits.work_bytes -= 77;
  const Refusal refusal = check_fit(view(image), limits);
  EXPECT(refusal.code == RefusalCode::kTooLittleMemory);
  EXPECT_EQ(refusal.number, 77u);
  EXPECT_TEXT(refusal.text, "");
}

TEST(records_are_those_of_the_vectors) {
  for (const RecordVector& vector : kRecordVectors) {
    Record record;
    const Bytes wanted = bytes_of(vector.record_hex);
    EXPECT_EQ(wanted.size(), kRecordBytes);
    EXPECT(record.load(wanted.data()));
    EXPECT_EQ(static_cast<unsigned>(record.state), vector.state);
    EXPECT_EQ(record.sequence, vector.sequence);
    EXPECT_EQ(record.image_bytes, vector.image_bytes);
    EXPECT(equal(record.deployment, vector.deployment) && equal(record.sha256, vector.sha256));
    uint8_t bytes[kRecordBytes];
    record.store(bytes);
    EXPECT(std::memcmp(bytes, wanted.data(), kRecordBytes) == 0);
    for (size_t at = 0; at < kRecordBytes; ++at) {
      Bytes changed = wanted;
      changed[at] ^= 4;
      EXPECT(!record.load(changed.data()));
    }
  }
}

TEST(digests_are_those_of_the_standards) {
  for (const NamedVector& vector : kShaVectors) {
    const Bytes text = bytes_of(vector.name);
    for (const size_t step : {size_t{1}, size_t{7}, size_t{64}, text.size() + 1}) {
      Sha256 digest;
      for (size_t at = 0; at < text.size(); at += step) {
        digest.add(ConstBytes(text.data() + at, at + step < text.size() ? step : text.size() - at));
      }
      uint8_t found[kDigestBytes];
      digest.finish(found);
      EXPECT(equal(found, vector.hex));
    }
  }
  for (const HmacVector& vector : kHmacVectors) {
    const Bytes key = bytes_of(vector.key_hex), text = bytes_of(vector.text_hex);
    HmacSha256 code(view(key));
    code.add(view(text));
    uint8_t found[kDigestBytes];
    code.finish(found);
    EXPECT(equal(found, vector.digest));
  }
}
