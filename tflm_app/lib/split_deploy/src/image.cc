// SPDX-License-Identifier: Apache-2.0
#include "split_deploy/image.h"

#include <cstring>

#include "split_core/endian.h"

namespace split_deploy {
namespace {

using split_core::ConstBytes;
using split_core::LinkConfig;
using split_core::NodeConfig;
using split_core::load_le;

constexpr size_t kHeadBytes = 16;
constexpr size_t kEntryBytes = 32;
constexpr size_t kConfigBytes = 104;
constexpr size_t kLinkBytes = 12;
constexpr size_t kMaxMarkBytes = 200;
constexpr size_t kSmallestSliceBytes = 160;
constexpr size_t kSpareRingBytes = 256;  // for what needs no credit (docs/wire_format.md, "Credits")

constexpr uint64_t rounded_up(uint64_t bytes) {
  return (bytes + kImageAlignmentBytes - 1) / kImageAlignmentBytes * kImageAlignmentBytes;
}

bool all_zero(const uint8_t* from, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (from[i] != 0) return false;
  }
  return true;
}

bool is_printable(uint8_t letter) { return letter >= 0x20 && letter < 0x7F; }

Refusal not_for_it(const char* field) {
  Refusal refusal;
  refusal.code = RefusalCode::kBadImage;
  refusal.text = field;
  return refusal;
}

const uint8_t* entry_of(ConstBytes image, size_t index) {
  return image.data() + kHeadBytes + index * kEntryBytes;
}

ConstBytes slice_of(ConstBytes image, size_t index) {
  const uint8_t* const entry = entry_of(image, index);
  return image.subspan(load_le<uint32_t>(entry)).first(load_le<uint32_t>(entry + 4));
}

// Without those that must agree with the table.
const char* check_numbers(const uint8_t* from) {
  struct Number {
    const char* name;
    uint8_t offset;
    uint32_t least;
  };
  static constexpr Number kTimes[] = {
      {"hello_interval_us", 20, 1},     {"poll_interval_us", 24, 1}, {"poll_interval_max_us", 28, 1},
      {"peer_timeout_us", 32, 1},       {"multicast_hold_us", 36, 1}, {"timeout_us", 40, 1},
      {"background_poll_us", 44, 0}};
  static constexpr Number kSlots[] = {
      {"tx_slots", 15, 1}, {"send_slots", 16, 1}, {"recv_slots", 17, 1}, {"grant_slots", 18, 1}};
  const uint16_t mtu_bytes = load_le<uint16_t>(from + 12);
  const uint32_t arena_bytes = load_le<uint32_t>(from + 48);
  if (from[10] != from[9] + 1) return "node_count";
  if (mtu_bytes < split_core::kMinMtuBytes || mtu_bytes > split_core::kMaxMtuBytes ||
      mtu_bytes % 4 != 0) {
    return "mtu_bytes";
  }
  if (from[14] < 2 || from[14] > split_core::kMaxRxSlots) return "rx_slots";
  for (const Number& slots : kSlots) {
    if (from[slots.offset] < slots.least) return slots.name;
  }
  if (from[19] > Slice::kCmsisNnArena) return "flags";
  for (const Number& time : kTimes) {
    const uint32_t us = load_le<uint32_t>(from + time.offset);
    if (us < time.least || us > kMostUs) return time.name;
  }
  if (arena_bytes == 0 || arena_bytes % kImageAlignmentBytes != 0) return "arena_bytes";
  if (load_le<uint32_t>(from + 52) > arena_bytes) return "required_arena_bytes";
  return load_le<uint16_t>(from + 62) == 0 && all_zero(from + 96, 8) ? nullptr : "reserved";
}

const char* check_links(const uint8_t* from) {
  const uint8_t rank = from[8], node_count = from[10], link_count = from[11];
  uint64_t reached = split_core::rank_bit(rank);
  for (uint8_t i = 0; i < link_count; ++i) {
    const uint8_t* const at = from + kConfigBytes + i * kLinkBytes;
    const uint64_t destinations = load_le<uint64_t>(at + 4);
    const bool ring_ok = at[2] == split_core::kNoLink || (at[2] < link_count && at[2] != i);
    const bool peer_ok = at[1] < node_count && at[1] != rank;
    const bool none_beyond =
        node_count == split_core::kMaxNodes || destinations >> node_count == 0;
    if (at[3] != 0 || !ring_ok || !peer_ok || !none_beyond || (reached & destinations) != 0) {
      return "links";
    }
    for (uint8_t other = 0; other < i; ++other) {
      if (from[kConfigBytes + other * kLinkBytes] == at[0]) return "links";
    }
    reached |= destinations;
  }
  return nullptr;
}

const char* check_texts(const uint8_t* from, size_t used, size_t mark_bytes, size_t config_bytes) {
  const uint8_t* const board = from + 80;
  size_t length = kBoardBytes;
  while (length > 0 && board[length - 1] == 0) --length;
  if (length == 0) return "board";
  for (size_t i = 0; i < length; ++i) {
    if (!is_printable(board[i])) return "board";
  }
  const uint8_t* const mark = from + used - 1 - mark_bytes;
  for (size_t i = 0; i < mark_bytes; ++i) {
    if (!is_printable(mark[i])) return "mark";
  }
  return all_zero(mark + mark_bytes, config_bytes - (used - 1)) ? nullptr : "mark";
}

const char* check_slice(ConstBytes slice, const uint8_t* entry) {
  const uint8_t* const from = slice.data();
  if (load_le<uint16_t>(from) != kImageVersion) return "version";
  const size_t config_bytes = load_le<uint16_t>(from + 2);
  const uint32_t model_bytes = load_le<uint32_t>(from + 4);
  const size_t link_count = from[11];
  const size_t mark_bytes = load_le<uint16_t>(from + 60);
  if (link_count < 1 || link_count > split_core::kMaxLinks) return "link_count";
  if (mark_bytes < 1 || mark_bytes > kMaxMarkBytes) return "mark_bytes";
  const size_t used = kConfigBytes + kLinkBytes * link_count + mark_bytes + 1;
  if (config_bytes != rounded_up(used)) return "config_bytes";
  if (model_bytes == 0 || uint64_t{config_bytes} + model_bytes != slice.size()) return "model_bytes";
  if (from[9] != entry[25] || from[9] < 1 || from[9] >= split_core::kMaxNodes) return "world_size";
  if (from[8] != entry[24] || from[8] >= from[9]) return "rank";
  if (std::memcmp(from + 64, entry + 8, split_core::kFingerprintBytes) != 0) return "fingerprint";
  if (const char* const field = check_numbers(from)) return field;
  if (const char* const field = check_links(from)) return field;
  return check_texts(from, used, mark_bytes, config_bytes);
}

}  // namespace

const char* check_image(ConstBytes image) {
  if (image.size() < kHeadBytes) return "total_bytes";
  const uint8_t* const head = image.data();
  const size_t count = load_le<uint16_t>(head + 6);
  const uint32_t total_bytes = load_le<uint32_t>(head + 8);
  if (std::memcmp(head, "TFSI", 4) != 0) return "magic";
  if (load_le<uint16_t>(head + 4) != kImageVersion) return "version";
  if (count < 1 || count > kMaxSlices) return "slices";
  if (total_bytes != image.size() || total_bytes % kImageAlignmentBytes != 0) return "total_bytes";
  if (!all_zero(head + 12, 4)) return "reserved";
  uint64_t next = kHeadBytes + kEntryBytes * count;
  if (next > total_bytes) return "slices";
  for (size_t index = 0; index < count; ++index) {
    const uint8_t* const entry = entry_of(image, index);
    const uint32_t offset = load_le<uint32_t>(entry);
    const uint32_t bytes = load_le<uint32_t>(entry + 4);
    const uint8_t lost = entry[26];
    if (offset != next) return "offset";
    if (bytes < kSmallestSliceBytes || bytes > total_bytes - offset) return "bytes";
    if ((lost == kNoBoard) != (index == 0)) return "lost";
    if (lost != kNoBoard && lost >= split_core::kMaxNodes - 1) return "lost";
    if (!all_zero(entry + 27, 5)) return "reserved";
    if (const char* const field = check_slice(slice_of(image, index), entry)) return field;
    next = offset + rounded_up(bytes);
    if (next > total_bytes) return "total_bytes";
    if (!all_zero(head + offset + bytes, static_cast<size_t>(next - offset - bytes))) {
      return "reserved";
    }
  }
  return next == total_bytes ? nullptr : "total_bytes";
}

uint8_t slices_of(ConstBytes image) { return image[6]; }

void read_slice(ConstBytes image, uint8_t index, Slice* slice) {
  const uint8_t* const from = slice_of(image, index).data();
  NodeConfig& node = slice->node;
  node = NodeConfig{};
  node.rank = from[8];
  node.world_size = from[9];
  node.node_count = from[10];
  node.link_count = from[11];
  node.mtu_bytes = load_le<uint16_t>(from + 12);
  node.rx_slots = from[14];
  node.tx_slots = from[15];
  node.send_slots = from[16];
  node.recv_slots = from[17];
  node.grant_slots = from[18];
  node.timing.hello_interval_us = load_le<uint32_t>(from + 20);
  node.timing.poll_interval_us = load_le<uint32_t>(from + 24);
  node.timing.poll_interval_max_us = load_le<uint32_t>(from + 28);
  node.timing.peer_timeout_us = load_le<uint32_t>(from + 32);
  node.timing.multicast_hold_us = load_le<uint32_t>(from + 36);
  std::memcpy(node.fingerprint, from + 64, split_core::kFingerprintBytes);
  node.links = slice->links;
  for (uint8_t i = 0; i < node.link_count; ++i) {
    const uint8_t* const at = from + kConfigBytes + i * kLinkBytes;
    slice->ports[i] = at[0];
    slice->links[i] = LinkConfig{at[1], at[2], load_le<uint64_t>(at + 4)};
  }
  slice->flags = from[19];
  slice->lost = entry_of(image, index)[26];
  slice->timeout_us = load_le<uint32_t>(from + 40);
  slice->background_poll_us = load_le<uint32_t>(from + 44);
  slice->arena_bytes = load_le<uint32_t>(from + 48);
  slice->required_arena_bytes = load_le<uint32_t>(from + 52);
  slice->baud = load_le<uint32_t>(from + 56);
  std::memcpy(slice->board, from + 80, kBoardBytes);
  slice->mark = reinterpret_cast<const char*>(from + kConfigBytes + kLinkBytes * node.link_count);
  slice->model = from + load_le<uint16_t>(from + 2);
  slice->model_bytes = load_le<uint32_t>(from + 4);
}

uint64_t work_bytes_of(const Slice& slice, const BoardLimits& limits) {
  return uint64_t{slice.arena_bytes} + rounded_up(split_core::Node::required_bytes(slice.node)) +
         rounded_up(uint64_t{slice.node.send_slots} * limits.posted_bytes);
}

bool fits_ring(const NodeConfig& node, uint16_t rx_ring_bytes) {
  const size_t window = node.rx_slots * split_core::max_encoded_bytes(node.mtu_bytes);
  return rx_ring_bytes == 0 || window + kSpareRingBytes <= rx_ring_bytes;
}

Refusal check_fit(const Slice& slice, const BoardLimits& limits) {
  if (std::strcmp(slice.board, limits.board) != 0) return not_for_it("board");
  if (slice.flags != limits.flags) return not_for_it("flags");
  if (slice.node.mtu_bytes > limits.mtu_bytes) return not_for_it("mtu_bytes");
  if (!fits_ring(slice.node, limits.rx_ring_bytes)) return not_for_it("rx_slots");
  if (slice.baud != 0 && slice.baud != limits.baud) return not_for_it("baud");
  for (uint8_t i = 0; i < slice.node.link_count; ++i) {
    if (slice.ports[i] != kHostPort && slice.ports[i] >= limits.ports) return not_for_it("links");
  }
  if (split_core::Node::check(slice.node) != split_core::ErrorCode::kOk) return not_for_it("tx_slots");
  Refusal refusal;
  const uint64_t wanted = work_bytes_of(slice, limits);
  if (wanted > limits.work_bytes) {
    const uint64_t missing = wanted - limits.work_bytes;
    refusal.code = RefusalCode::kTooLittleMemory;
    refusal.number = static_cast<uint32_t>(missing < UINT32_MAX ? missing : UINT32_MAX);
  }
  return refusal;
}

Refusal check_fit(ConstBytes image, const BoardLimits& limits) {
  Refusal refusal;
  for (uint8_t index = 0; refusal.ok() && index < slices_of(image); ++index) {
    Slice slice;
    read_slice(image, index, &slice);
    refusal = check_fit(slice, limits);
  }
  return refusal;
}

}  // namespace split_deploy
