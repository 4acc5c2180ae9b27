// SPDX-License-Identifier: Apache-2.0
#include "split_device/cluster_protocol.h"

#include <cstring>

#include "split_core/endian.h"

namespace split_device {
namespace {

using split_core::ConstBytes;
using split_core::load_le;
using split_core::store_le;

constexpr size_t kQueryBytes = 8;
constexpr size_t kStartBytes = 12;

// Fields one after another, as the tables of the document list them.
class Packer {
 public:
  Packer(uint8_t* to, MessageType type) : begin_(to), to_(to) {
    put(kControlVersion);
    put(static_cast<uint8_t>(type));
  }
  template <typename T>
  Packer& put(T value) {
    store_le<T>(to_, value);
    to_ += sizeof(T);
    return *this;
  }
  uint8_t* at() { return to_; }
  size_t skip(size_t bytes) {
    to_ += bytes;
    return size();
  }
  size_t size() const { return static_cast<size_t>(to_ - begin_); }

 private:
  uint8_t* begin_;
  uint8_t* to_;
};

bool is(ConstBytes payload, MessageType wanted, size_t bytes) {
  MessageType type;
  return message_type(payload, &type) && type == wanted && payload.size() == bytes;
}

}  // namespace

bool message_type(ConstBytes payload, MessageType* type) {
  if (payload.size() < 2 || payload[0] != kControlVersion) return false;
  *type = static_cast<MessageType>(payload[1]);
  return true;
}

bool unpack(ConstBytes payload, Query* query) {
  if (!is(payload, MessageType::kQuery, kQueryBytes)) return false;
  query->what = load_le<uint16_t>(payload.data() + 2);
  query->token = load_le<uint32_t>(payload.data() + 4);
  return true;
}

bool unpack(ConstBytes payload, Start* start) {
  if (!is(payload, MessageType::kStart, kStartBytes)) return false;
  start->epoch = load_le<uint16_t>(payload.data() + 2);
  start->timeout_ms = load_le<uint32_t>(payload.data() + 4);
  start->flags = payload[8];
  return true;
}

bool unpack(ConstBytes payload, Info* info) {
  if (!is(payload, MessageType::kInfo, Info::kBytes)) return false;
  info->state = static_cast<DeviceState>(payload[2]);
  info->flags = payload[3];
  info->token = load_le<uint32_t>(payload.data() + 4);
  info->boot = load_le<uint32_t>(payload.data() + 8);
  info->epoch = load_le<uint16_t>(payload.data() + 12);
  return true;
}

bool unpack(ConstBytes payload, Report* report) {
  if (!is(payload, MessageType::kReport, Report::kBytes)) return false;
  report->status = static_cast<ReportStatus>(payload[2]);
  report->code = payload[3];
  report->token = load_le<uint32_t>(payload.data() + 4);
  report->epoch = load_le<uint16_t>(payload.data() + 8);
  report->channel = load_le<uint16_t>(payload.data() + 10);
  report->rank = payload[12];
  report->link = payload[13];
  report->reporter = payload[14];
  report->phase = static_cast<Phase>(payload[15]);
  return true;
}

size_t pack(const Query& query, uint8_t* to) {
  return Packer(to, MessageType::kQuery).put(query.what).put(query.token).size();
}

size_t pack(const Start& start, uint8_t* to) {
  Packer packer(to, MessageType::kStart);
  packer.put(start.epoch).put(start.timeout_ms).put(start.flags);
  return packer.put(uint8_t{0}).put(uint16_t{0}).size();
}

size_t pack(const Info& info, uint8_t* to) {
  Packer packer(to, MessageType::kInfo);
  packer.put(static_cast<uint8_t>(info.state)).put(info.flags).put(info.token).put(info.boot);
  packer.put(info.epoch).put(info.inputs).put(info.outputs).put(info.arena_bytes);
  packer.put(info.arena_used_bytes).put(info.model_bytes).put(info.ticks_per_second);
  packer.put(info.inferences).put(info.faults).put(info.uptime_ms).put(info.link_bytes);
  const size_t length = std::strlen(info.board);
  std::memset(packer.at(), 0, Info::kBoardBytes);
  std::memcpy(packer.at(), info.board, length < Info::kBoardBytes ? length : Info::kBoardBytes);
  packer.skip(Info::kBoardBytes);
  packer.put(info.reset_reason).put(uint8_t{0}).put(uint16_t{0});
  packer.put(info.console_lost_bytes).put(info.stack_bytes).put(info.stack_used_bytes);
  return packer.put(info.next_input_bytes).size();
}

size_t pack(const Report& report, uint8_t* to) {
  Packer packer(to, MessageType::kReport);
  packer.put(static_cast<uint8_t>(report.status)).put(report.code).put(report.token);
  packer.put(report.epoch).put(report.channel).put(report.rank).put(report.link);
  packer.put(report.reporter).put(static_cast<uint8_t>(report.phase)).put(report.input_us);
  packer.put(report.graph_us).put(report.wait_us).put(report.output_us);
  packer.put(report.graph_ticks).put(report.wait_ticks);
  return packer.put(report.sent_bytes).put(report.received_bytes).size();
}

size_t pack(const LinkReport& link, uint8_t* to) {
  Packer packer(to, MessageType::kLink);
  packer.put(link.link).put(link.peer).put(link.token).put(link.state).put(link.code);
  packer.put(link.links).put(link.claimed);
  for (const uint32_t counter : link.counters) packer.put(counter);
  return packer.put(link.lost_bytes).size();
}

size_t pack(const TextReport& text, uint8_t* to) {
  const size_t most = TextReport::kMaxTextBytes;
  const size_t length = text.text.size() < most ? text.text.size() : most;
  Packer packer(to, MessageType::kText);
  packer.put(static_cast<uint8_t>(length)).put(uint8_t{0}).put(text.token);
  if (length > 0) std::memcpy(packer.at(), text.text.data(), length);
  return packer.skip(length);
}

}  // namespace split_device
