// SPDX-License-Identifier: Apache-2.0
// What requests and answers of a survey say (docs/deployment.md).
#ifndef SPLIT_DEPLOY_SURVEY_BODIES_H_
#define SPLIT_DEPLOY_SURVEY_BODIES_H_

#include "split_core/node.h"
#include "split_deploy/survey_frame.h"

namespace split_deploy {

inline constexpr uint8_t kDeployVersion = 2;
inline constexpr size_t kIdBytes = 16;
inline constexpr size_t kChunkBytes = 4096;  // of an image, one message; kept beside the session's node
inline constexpr size_t kBoardBytes = 16;
inline constexpr uint32_t kMostUs = INT32_MAX;  // of any time in a configuration

enum class DeployState : uint8_t { kBlank = 0, kHoldsImage = 1, kFixed = 2, kBroken = 3 };

struct Identity {
  static constexpr size_t kBytes = 96;
  static constexpr uint8_t kSurvives = 1;  // the store keeps what it has without power
  static constexpr uint8_t kWantsKey = 2;
  static constexpr uint8_t kCmsisNn = 4;
  static constexpr uint8_t kPrepared = 8;  // an image that waits to be committed
  static constexpr uint8_t kSpi = 16;      // its links are SPI, not UARTs

  uint8_t id[kIdBytes] = {};
  const char* board = "";
  uint32_t boot = 0;
  uint8_t arrived = kHostPort;
  uint8_t ports = 0;
  DeployState state = DeployState::kBlank;
  uint8_t flags = 0;
  uint32_t store_bytes = 0;
  uint32_t work_bytes = 0;
  uint32_t baud = 0;
  uint16_t mtu_bytes = split_core::kMaxMtuBytes;
  uint8_t deployment[kIdBytes] = {};
  uint8_t fingerprint[split_core::kFingerprintBytes] = {};
  uint8_t rank = split_core::kNoRank;
  uint8_t world_size = 0;
  uint8_t slices = 0;
  uint8_t slice = 0xFF;
  // Of the ring buffers of a link to a neighbour; 0: nothing that comes is lost for want of room.
  uint16_t rx_ring_bytes = 0;
  uint16_t tx_ring_bytes = 0;
};

// A ring's size as Identity tells it.
constexpr uint16_t told_ring(uint32_t bytes) {
  return static_cast<uint16_t>(bytes < UINT16_MAX ? bytes : UINT16_MAX);
}

// The numbers travel: docs/deployment.md lists them; never renumber.
enum class RefusalCode : uint8_t {
  kNone = 0,
  kBadMessage = 1,
  kBadConfiguration = 2,
  kTooLittleMemory = 3,
  kNoSuchImage = 4,
  kFixed = 5,
  kUnknownKind = 6,
  kTooLargeForStore = 7,
  kBadSignature = 8,
  kStoreFailed = 9,
  kBadDigest = 10,
  kBadImage = 11,
  kNotPrepared = 12,
  kBusy = 13,
};

struct Refusal {
  static constexpr size_t kHeadBytes = 8;
  static constexpr size_t kMaxTextBytes = 80;

  RefusalCode code = RefusalCode::kNone;
  uint32_t number = 0;    // bytes that are missing
  const char* text = "";  // ASCII; cut at kMaxTextBytes
  bool ok() const { return code == RefusalCode::kNone; }
};

// A place in a session. `config` points to `links` once take() is called.
struct Adoption {
  static constexpr size_t kHeadBytes = 32;
  static constexpr size_t kLinkBytes = 11;

  split_core::NodeConfig config;
  split_core::LinkConfig links[split_core::kMaxLinks];
  uint8_t ports[split_core::kMaxLinks] = {};
};

// Each writes at most kMaxBodyBytes and returns how many.
size_t pack(const Identity& identity, uint8_t* to);
size_t pack(const Refusal& refusal, uint8_t* to);
// `board_ports` are links to neighbours that exist. Not ok: why not.
Refusal unpack(split_core::ConstBytes body, uint8_t board_ports, Adoption* adoption);

}  // namespace split_deploy

#endif  // SPLIT_DEPLOY_SURVEY_BODIES_H_
