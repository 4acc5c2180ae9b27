// SPDX-License-Identifier: Apache-2.0
#ifndef SPLIT_CORE_ERROR_H_
#define SPLIT_CORE_ERROR_H_

#include <cstddef>
#include <cstdint>

namespace split_core {

inline constexpr uint8_t kNoRank = 0xFF;
inline constexpr uint8_t kNoLink = 0xFF;
inline constexpr uint16_t kNoChannel = 0xFFFF;

// The numbers travel in REFUSE and FAULT frames: docs/wire_format.md lists them; never renumber.
enum class ErrorCode : uint8_t {
  kOk = 0,
  // A peer that does not belong here.
  kVersionMismatch = 1,
  kFingerprintMismatch = 2,
  kRankMismatch = 3,
  kWorldSizeMismatch = 4,
  kMtuMismatch = 5,
  // A peer that went away.
  kPeerSilent = 16,
  kPeerReset = 17,
  kTimeout = 18,
  // Data that was not agreed on.
  kSizeMismatch = 32,
  kUnexpectedData = 33,
  kBadOffset = 34,
  // Wrong use of this node.
  kBadArgument = 48,
  kSendSlotsFull = 49,
  kRecvSlotsFull = 50,
  kGrantSlotsFull = 51,
  kMemoryTooSmall = 52,
  // Beyond the links.
  kOperatorFailed = 64,
};

// What went wrong and where. `rank` is the rank at fault; `reporter` the rank that noticed.
struct Error {
  ErrorCode code = ErrorCode::kOk;
  uint8_t rank = kNoRank;
  uint8_t link = kNoLink;
  uint8_t reporter = kNoRank;
  uint16_t channel = kNoChannel;
  bool ok() const { return code == ErrorCode::kOk; }
};

// Writes one line such as "rank 3 (link 1, channel 17): no answer in time" and a final zero.
// Returns the length. Never writes more than `capacity` bytes.
size_t format_error(const Error& error, char* to, size_t capacity);

}  // namespace split_core

#endif  // SPLIT_CORE_ERROR_H_
