// SPDX-License-Identifier: Apache-2.0
// The control messages of docs/cluster_protocol.md. tests/control_vectors.json tests this file and
// rewriter/tflsplit/wire/control.py.
#ifndef SPLIT_DEVICE_CLUSTER_PROTOCOL_H_
#define SPLIT_DEVICE_CLUSTER_PROTOCOL_H_

#include "split_core/config.h"
#include "split_core/span.h"

namespace split_device {

inline constexpr uint8_t kControlVersion = 4;
inline constexpr uint16_t kControlChannel = 1;  // of DATAGRAM frames
inline constexpr uint16_t kInputChannel = 0xF000;
inline constexpr uint16_t kOutputChannel = 0xF800;
inline constexpr uint16_t kMaxOperands = 2048;  // graph inputs, and outputs, of a device
inline constexpr size_t kMaxControlBytes = 168;

enum class MessageType : uint8_t {
  kQuery = 1,
  kStart = 2,
  kInfo = 129,
  kReport = 130,
  kLink = 131,
  kText = 132,
};

enum QueryBits : uint16_t { kAskInfo = 1, kAskReport = 2, kAskLinks = 4, kAskText = 8 };

struct Query {
  uint16_t what = 0;
  uint32_t token = 0;
};

struct Start {
  static constexpr uint8_t kAhead = 1;

  uint16_t epoch = 0;
  uint32_t timeout_ms = 0;
  uint8_t flags = 0;
  // Begins when the inference before it has ended, and ends nothing.
  bool is_ahead() const { return (flags & kAhead) != 0; }
};

enum class DeviceState : uint8_t { kIdle = 0, kBusy = 1, kBroken = 2 };

struct Info {
  static constexpr size_t kBytes = 84;
  static constexpr uint8_t kEpochValid = 1;
  static constexpr uint8_t kLinksUp = 2;
  static constexpr size_t kBoardBytes = 16;

  DeviceState state = DeviceState::kIdle;
  uint8_t flags = 0;
  uint32_t token = 0;
  uint32_t boot = 0;
  uint16_t epoch = 0;  // in a message: the last that a START was heeded for, begun or not
  uint8_t inputs = 0;
  uint8_t outputs = 0;
  uint32_t arena_bytes = 0;
  uint32_t arena_used_bytes = 0;
  uint32_t model_bytes = 0;
  uint32_t ticks_per_second = 0;
  uint32_t inferences = 0;
  uint32_t faults = 0;
  uint32_t uptime_ms = 0;
  uint32_t link_bytes = 0;
  const char* board = "";
  uint8_t reset_reason = 0;  // as split_port::ResetReason
  uint32_t console_lost_bytes = 0;
  uint32_t stack_bytes = 0;  // 0: the board does not know
  uint32_t stack_used_bytes = 0;
  uint32_t next_input_bytes = 0;  // memory for the input of the next inference; 0: none
};

enum class ReportStatus : uint8_t {
  kDone = 0,
  kFault = 1,
  kNone = 2,
  kStale = 3,
  kBroken = 4,
  kSuperseded = 5,
};

enum class Phase : uint8_t { kNone = 0, kInput = 1, kGraph = 2, kOutput = 3 };

struct Report {
  static constexpr size_t kBytes = 56;

  ReportStatus status = ReportStatus::kNone;
  uint8_t code = 0;
  uint32_t token = 0;
  uint16_t epoch = 0;
  uint16_t channel = split_core::kNoChannel;
  uint8_t rank = split_core::kNoRank;
  uint8_t link = split_core::kNoLink;
  uint8_t reporter = split_core::kNoRank;
  Phase phase = Phase::kNone;
  uint32_t input_us = 0;
  uint32_t graph_us = 0;
  uint32_t wait_us = 0;
  uint32_t output_us = 0;
  uint64_t graph_ticks = 0;
  uint64_t wait_ticks = 0;
  uint32_t sent_bytes = 0;
  uint32_t received_bytes = 0;
};

struct LinkReport {
  static constexpr size_t kBytes = 88;
  static constexpr size_t kCounters = 18;

  uint8_t link = 0;
  uint8_t peer = split_core::kNoRank;
  uint32_t token = 0;
  uint8_t state = 0;  // 0 down, 1 up, 2 refused
  uint8_t code = 0;
  uint8_t links = 0;
  uint8_t claimed = split_core::kNoRank;  // the rank that the other end says it is
  uint32_t counters[kCounters] = {};
  uint32_t lost_bytes = 0;
};

struct TextReport {
  static constexpr size_t kHeaderBytes = 8;
  static constexpr size_t kMaxTextBytes = 160;

  uint32_t token = 0;
  split_core::ConstBytes text;
};

// False for another version, type or size; `type` tells which message it would be.
bool message_type(split_core::ConstBytes payload, MessageType* type);
bool unpack(split_core::ConstBytes payload, Query* query);
bool unpack(split_core::ConstBytes payload, Start* start);
// Of an INFO what a host needs to begin: state, flags, epoch. Of a REPORT what went wrong.
bool unpack(split_core::ConstBytes payload, Info* info);
bool unpack(split_core::ConstBytes payload, Report* report);

// Each writes to kMaxControlBytes and returns how many bytes the message has.
size_t pack(const Query& query, uint8_t* to);
size_t pack(const Start& start, uint8_t* to);
size_t pack(const Info& info, uint8_t* to);
size_t pack(const Report& report, uint8_t* to);
size_t pack(const LinkReport& link, uint8_t* to);
size_t pack(const TextReport& text, uint8_t* to);

// Whether epoch `later` comes after `earlier`, across the wrap at 2^16.
constexpr bool is_later(uint16_t later, uint16_t earlier) {
  return static_cast<int16_t>(static_cast<uint16_t>(later - earlier)) > 0;
}

}  // namespace split_device

#endif  // SPLIT_DEVICE_CLUSTER_PROTOCOL_H_
