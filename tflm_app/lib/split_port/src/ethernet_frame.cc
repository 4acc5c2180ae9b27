// SPDX-License-Identifier: Apache-2.0
#include "split_port/ethernet_frame.h"

#include <cstring>

#include "split_core/config.h"
#include "split_core/crc32.h"
#include "split_core/endian.h"

namespace split_port {
namespace {

using split_core::ConstBytes;
using split_core::load_le;
using split_core::MutableBytes;
using split_core::store_le;

// Of addresses that their owners give themselves: 2; of groups: 1.
constexpr uint8_t kOfOne = 0x02;
constexpr uint8_t kOfGroup = 0x03;
constexpr uint8_t kMark = 0x54;
constexpr uint8_t kAllRanks = 0xFF;

// In the Ethernet frame.
constexpr size_t kTypeAt = 2 * kAddressBytes;
constexpr size_t kVersionAt = kEthernetHeaderBytes;
constexpr size_t kRankAt = kVersionAt + 1;
constexpr size_t kReceiversAt = kVersionAt + 2;
constexpr size_t kUnusedAt = kVersionAt + 3;
constexpr size_t kLengthAt = kVersionAt + 4;

// In the frame of a link (docs/wire_format.md).
constexpr size_t kFrameTypeAt = 1;
constexpr size_t kHopAt = 2;  // sequence, ack, credit
constexpr size_t kHopBytes = 3;
constexpr size_t kBehindHop = kHopAt + kHopBytes;
constexpr size_t kDestinationsAt = 8;
constexpr size_t kBehindDestinations = 16;

uint8_t* raw_of(const Outgoing& frame) { return frame.bytes + kSegmentHeaderBytes; }
uint8_t* receiver_of(const Outgoing& frame, size_t index) {
  return raw_of(frame) + frame.raw_bytes + index * kReceiverBytes;
}

bool same(const uint8_t* a, const uint8_t* b, size_t from, size_t to) {
  return std::memcmp(a + from, b + from, to - from) == 0;
}

void store_crc(uint8_t* raw, size_t raw_bytes) {
  const size_t body = raw_bytes - split_core::kCrcBytes;
  store_le<uint32_t>(raw + body, split_core::crc32(ConstBytes(raw, body)));
}

bool has_crc(const uint8_t* raw, size_t raw_bytes) {
  const size_t body = raw_bytes - split_core::kCrcBytes;
  return load_le<uint32_t>(raw + body) == split_core::crc32(ConstBytes(raw, body));
}

void store_any_address(const SegmentPlace& place, uint8_t first, uint8_t last, uint8_t* to) {
  to[0] = first;
  to[1] = kMark;
  std::memcpy(to + 2, place.plan, kPlanBytes);
  to[5] = last;
}

// A switch passes on what it does not know to all ports, and not every receiver looks at addresses.
bool is_to_us(const SegmentPlace& place, const uint8_t* to) {
  uint8_t own[kAddressBytes], group[kAddressBytes];
  store_address(place, place.rank, own);
  store_group_address(place, group);
  return std::memcmp(to, own, kAddressBytes) == 0 || std::memcmp(to, group, kAddressBytes) == 0;
}

// Of this plan, from another of its ranks, and as long as it says.
bool is_ours(const SegmentPlace& place, ConstBytes ethernet) {
  if (ethernet.size() < kLeastEthernetBytes) return false;
  const uint8_t* const bytes = ethernet.data();
  if (!is_to_us(place, bytes)) return false;
  const bool is_type = bytes[kTypeAt] == kEtherType >> 8 && bytes[kTypeAt + 1] == (kEtherType & 0xFF);
  if (!is_type || bytes[kVersionAt] != kSegmentVersion) return false;
  const uint8_t rank = bytes[kRankAt], receivers = bytes[kReceiversAt];
  uint8_t sender[kAddressBytes];
  store_address(place, rank, sender);
  if (rank >= place.world_size || rank == place.rank) return false;
  if (std::memcmp(sender, bytes + kAddressBytes, kAddressBytes) != 0) return false;
  const size_t raw_bytes = load_le<uint16_t>(bytes + kLengthAt);
  if (raw_bytes < split_core::kFrameOverheadBytes || raw_bytes > place.mtu_bytes) return false;
  if (receivers == 0 || receivers > kMaxReceivers) return false;
  return kSegmentHeaderBytes + raw_bytes + kReceiverBytes * receivers <= ethernet.size();
}

// What the frame would be if its link had written it for this rank alone.
bool restore(const SegmentPlace& place, const uint8_t* receiver, uint8_t* raw, size_t raw_bytes) {
  if (!has_crc(raw, raw_bytes)) return false;
  const uint64_t host = place.has_host ? split_core::rank_bit(place.world_size) : 0;
  const uint64_t mine = split_core::rank_bit(place.rank) | host;
  std::memcpy(raw + kHopAt, receiver + 1, kHopBytes);
  store_le<uint64_t>(raw + kDestinationsAt, load_le<uint64_t>(raw + kDestinationsAt) & mine);
  store_crc(raw, raw_bytes);
  return true;
}

}  // namespace

void store_address(const SegmentPlace& place, uint8_t rank, uint8_t* to) {
  store_any_address(place, kOfOne, rank, to);
}

void store_group_address(const SegmentPlace& place, uint8_t* to) {
  store_any_address(place, kOfGroup, kAllRanks, to);
}

void address_to(uint8_t rank, Outgoing* frame) {
  frame->receivers = 1;
  uint8_t* const receiver = receiver_of(*frame, 0);
  receiver[0] = rank;
  std::memset(receiver + 1, 0, kHopBytes);
}

bool is_for(const Outgoing& frame, uint8_t rank) {
  for (size_t index = 0; index < frame.receivers; ++index) {
    if (receiver_of(frame, index)[0] == rank) return true;
  }
  return false;
}

bool is_shareable(const Outgoing& a, const Outgoing& b) {
  if (a.raw_bytes != b.raw_bytes) return false;
  const uint8_t *const x = raw_of(a), *const y = raw_of(b);
  return split_core::is_sequenced(static_cast<split_core::FrameType>(x[kFrameTypeAt])) &&
         same(x, y, 0, kHopAt) && same(x, y, kBehindHop, kDestinationsAt) &&
         same(x, y, kBehindDestinations, a.raw_bytes - split_core::kCrcBytes);
}

bool share(const Outgoing& twin, Outgoing* frame) {
  if (frame->receivers == kMaxReceivers) return false;
  uint8_t* const raw = raw_of(*frame);
  const uint8_t* const other = raw_of(twin);
  const uint8_t rank = receiver_of(twin, 0)[0];
  if (frame->receivers == 1) {
    std::memcpy(receiver_of(*frame, 0) + 1, raw + kHopAt, kHopBytes);
    std::memset(raw + kHopAt, 0, kHopBytes);
  }
  uint8_t* const receiver = receiver_of(*frame, frame->receivers++);
  receiver[0] = rank;
  std::memcpy(receiver + 1, other + kHopAt, kHopBytes);
  store_le<uint64_t>(raw + kDestinationsAt, load_le<uint64_t>(raw + kDestinationsAt) |
                                                load_le<uint64_t>(other + kDestinationsAt));
  return true;
}

uint8_t copies(const SegmentPlace& place, const Outgoing& frame) {
  const int others = place.world_size - 1;
  return frame.receivers > 1 && 2 * frame.receivers > others ? 1 : frame.receivers;
}

size_t seal(const SegmentPlace& place, uint8_t copy, Outgoing* frame) {
  uint8_t* const bytes = frame->bytes;
  if (frame->receivers > 1) store_crc(raw_of(*frame), frame->raw_bytes);
  if (copies(place, *frame) < frame->receivers) {
    store_group_address(place, bytes);
  } else {
    store_address(place, receiver_of(*frame, copy)[0], bytes);
  }
  store_address(place, place.rank, bytes + kAddressBytes);
  bytes[kTypeAt] = kEtherType >> 8;
  bytes[kTypeAt + 1] = kEtherType & 0xFF;
  bytes[kVersionAt] = kSegmentVersion;
  bytes[kRankAt] = place.rank;
  bytes[kReceiversAt] = frame->receivers;
  bytes[kUnusedAt] = 0;
  store_le<uint16_t>(bytes + kLengthAt, frame->raw_bytes);
  const size_t total = ethernet_bytes(frame->raw_bytes, frame->receivers);
  const auto used = static_cast<size_t>(receiver_of(*frame, frame->receivers) - bytes);
  std::memset(bytes + used, 0, total - used);
  return total;
}

ConstBytes open_frame(const SegmentPlace& place, MutableBytes ethernet, uint8_t* source) {
  uint8_t* const bytes = ethernet.data();
  if (!is_ours(place, ConstBytes(bytes, ethernet.size()))) return ConstBytes();
  const size_t raw_bytes = load_le<uint16_t>(bytes + kLengthAt);
  const Outgoing frame{bytes, static_cast<uint16_t>(raw_bytes), bytes[kReceiversAt]};
  for (size_t index = 0; index < frame.receivers; ++index) {
    const uint8_t* const receiver = receiver_of(frame, index);
    if (receiver[0] != place.rank) continue;
    const bool is_alone = frame.receivers == 1;
    if (!is_alone && !restore(place, receiver, raw_of(frame), raw_bytes)) break;
    *source = bytes[kRankAt];
    return ConstBytes(raw_of(frame), raw_bytes);
  }
  return ConstBytes();
}

}  // namespace split_port
