// SPDX-License-Identifier: Apache-2.0
// The payload of a SURVEY frame (docs/deployment.md): a request that finds its way by the ports that
// stand in it, and its answer on the same way back. Needs no plan, no rank, no session.
#ifndef SPLIT_DEPLOY_SURVEY_FRAME_H_
#define SPLIT_DEPLOY_SURVEY_FRAME_H_

#include "split_core/frame.h"

namespace split_deploy {

inline constexpr uint8_t kSurveyVersion = 1;
inline constexpr uint8_t kMaxHops = 62;
inline constexpr uint8_t kHostPort = 0xFF;  // the link to the host computer, wherever a board has it
inline constexpr size_t kMaxBodyBytes = 96;
inline constexpr size_t kSurveyHeadBytes = 8;
// What fits the smallest MTU.
inline constexpr size_t kMaxSurveyBytes = kSurveyHeadBytes + 2 * kMaxHops + kMaxBodyBytes;
static_assert(kMaxSurveyBytes == split_core::max_payload_bytes(split_core::kMinMtuBytes));

enum class SurveyKind : uint8_t {
  kIdentify = 1,
  kAdopt = 2,
  kRun = 3,
  kEcho = 4,
  kIdentity = 129,
  kAdopted = 130,
  kRunning = 131,
  kEchoed = 132,
  kRefused = 255,
};

constexpr bool is_answer(SurveyKind kind) { return static_cast<uint8_t>(kind) >= 128; }

class SurveyFrame {
 public:
  // False, and this frame is empty, for what is no sound frame of this version.
  bool load(split_core::ConstBytes payload);
  // The answer to a request that is at the end of its way; `body` has at most kMaxBodyBytes.
  void answer(const SurveyFrame& request, SurveyKind kind, split_core::ConstBytes body);

  SurveyKind kind() const { return static_cast<SurveyKind>(bytes_[1]); }
  uint8_t hops() const { return bytes_[2]; }
  uint8_t hop() const { return bytes_[3]; }
  bool has_arrived() const { return hop() == hops(); }
  // The port by which the device leaves that `hop` hops have led to. Only if !has_arrived().
  uint8_t next_port() const { return bytes_[kSurveyHeadBytes + hop()]; }
  split_core::ConstBytes body() const;
  split_core::ConstBytes payload() const { return split_core::ConstBytes(bytes_, size_); }

  // A request notes on its way the port by which it came.
  void note_arrival(uint8_t port);
  void make_hop() { ++bytes_[3]; }

 private:
  uint8_t size_ = 0;
  uint8_t bytes_[kMaxSurveyBytes] = {};
};
static_assert(kMaxSurveyBytes <= UINT8_MAX);

}  // namespace split_deploy

#endif  // SPLIT_DEPLOY_SURVEY_FRAME_H_
