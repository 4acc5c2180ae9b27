// SPDX-License-Identifier: Apache-2.0
// What comes from an Ethernet segment. Input: rank, devices, whether the host is reached by us, MTU; then
// again and again how, a length, and so many bytes of an Ethernet frame: as they are, or (how & 1) with
// what stands around a frame of this plan, or (how & 2) with the CRC of the frame in it, too.
#include <vector>

#include "input.h"
#include "split_core/config.h"
#include "split_core/crc32.h"
#include "split_core/endian.h"
#include "split_port/ethernet_segment.h"

namespace {

using namespace split_core;
using namespace split_port;
using fuzz::Input;

constexpr size_t kMostDevices = 16, kMostFrames = 8, kLengthAt = 18;
constexpr uint8_t kPlan[kPlanBytes] = {0xA1, 0xB2, 0xC3};  // as in the vectors

struct NoDriver final : EthernetDriver {
  bool send(ConstBytes) override { return false; }
};

using Segment = EthernetSegment<kMostDevices - 1, 2048, segment_tx_bytes(kMaxMtuBytes, 1)>;

// As it is said to begin; `how` chooses among own address and group, and the sender.
void store_surroundings(const SegmentPlace& place, uint8_t how, uint8_t* bytes) {
  const auto sender = static_cast<uint8_t>((how >> 4) % place.world_size);
  if ((how & 4) != 0) {
    store_group_address(place, bytes);
  } else {
    store_address(place, place.rank, bytes);
  }
  store_address(place, sender, bytes + kAddressBytes);
  const uint8_t rest[] = {kEtherType >> 8, kEtherType & 0xFF, kSegmentVersion, sender};
  std::memcpy(bytes + 2 * kAddressBytes, rest, sizeof rest);
}

void store_sound_crc(uint8_t* bytes, size_t size) {
  const size_t raw_bytes = load_le<uint16_t>(bytes + kLengthAt);
  if (raw_bytes < kCrcBytes || raw_bytes > size - kSegmentHeaderBytes) return;
  uint8_t* const raw = bytes + kSegmentHeaderBytes;
  const size_t body = raw_bytes - kCrcBytes;
  store_le<uint32_t>(raw + body, crc32(ConstBytes(raw, body)));
}

std::vector<uint8_t> next_frame(const SegmentPlace& place, Input* input) {
  const uint8_t how = input->u8();
  const size_t wanted = input->u16() % (kMaxEthernetBytes + 8u);
  const size_t size = wanted < input->size() ? wanted : input->size();
  std::vector<uint8_t> frame(input->rest(), input->rest() + size);
  for (size_t taken = 0; taken < size; ++taken) input->u8();
  if (size < kLeastEthernetBytes) return frame;
  if ((how & 1) != 0) store_surroundings(place, how, frame.data());
  if ((how & 2) != 0) store_sound_crc(frame.data(), size);
  return frame;
}

// What is opened lies in what came, and is for this rank alone.
std::vector<uint8_t> check_opened(const SegmentPlace& place, const std::vector<uint8_t>& frame,
                                  uint8_t* source) {
  const auto copy = fuzz::copy_of(frame.data(), frame.size());
  const ConstBytes raw = open_frame(place, MutableBytes(copy.get(), frame.size()), source);
  if (raw.empty()) return {};
  REQUIRE(raw.size() >= kFrameOverheadBytes && raw.size() <= place.mtu_bytes);
  REQUIRE(raw.begin() == copy.get() + kSegmentHeaderBytes);
  REQUIRE(raw.end() <= copy.get() + frame.size());
  REQUIRE(*source < place.world_size && *source != place.rank);
  if (frame[16] > 1) {  // shared by several
    const uint64_t host = place.has_host ? rank_bit(place.world_size) : 0;
    const size_t body = raw.size() - kCrcBytes;
    REQUIRE(crc32(raw.first(body)) == load_le<uint32_t>(raw.data() + body));
    REQUIRE((load_le<uint64_t>(raw.data() + 8) & ~(rank_bit(place.rank) | host)) == 0);
  }
  return std::vector<uint8_t>(raw.begin(), raw.end());
}

// The streams together give this frame, and nothing else.
void check_streams(Segment* segment, const SegmentPlace& place, const std::vector<uint8_t>& raw,
                   uint8_t source) {
  std::vector<uint8_t> landing(kMaxMtuBytes + kCrcBytes);
  for (uint8_t rank = 0; rank < place.world_size; ++rank) {
    if (rank == place.rank) continue;
    uint8_t came[2048];
    const size_t index = rank < place.rank ? rank : rank - 1u;
    const size_t count = segment->stream(index).read(MutableBytes(came, sizeof came));
    const bool is_expected = !raw.empty() && rank == source;
    REQUIRE((count > 0) == is_expected);
    if (!is_expected) continue;
    REQUIRE(count <= max_encoded_bytes(raw.size()));
    FrameDecoder decoder(MutableBytes(landing.data(), landing.size()), false);
    FrameDecoder::Event event = FrameDecoder::Event::kNone;
    size_t taken = 0;
    while (taken < count && event == FrameDecoder::Event::kNone) {
      taken += decoder.push(ConstBytes(came + taken, count - taken), &event);
    }
    REQUIRE(event == FrameDecoder::Event::kFrame && taken == count);
    REQUIRE(decoder.frame_bytes() + kCrcBytes == raw.size());
    REQUIRE(std::memcmp(landing.data(), raw.data(), raw.size()) == 0);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  SegmentPlace place;
  place.world_size = static_cast<uint8_t>(2 + input.u8() % (kMostDevices - 1));
  place.rank = static_cast<uint8_t>(input.u8() % place.world_size);
  place.has_host = input.flag();
  place.mtu_bytes = static_cast<uint16_t>(kMinMtuBytes + 4 * (input.u8() % 193u));
  std::memcpy(place.plan, kPlan, sizeof kPlan);
  NoDriver driver;
  const auto segment = std::make_unique<Segment>(driver);
  REQUIRE(segment->begin(place));
  for (size_t count = 0; count < kMostFrames && !input.empty(); ++count) {
    std::vector<uint8_t> frame = next_frame(place, &input);
    uint8_t source = 0;
    const std::vector<uint8_t> raw = check_opened(place, frame, &source);
    segment->take(MutableBytes(frame.data(), frame.size()));
    check_streams(segment.get(), place, raw, source);
  }
  return 0;
}
