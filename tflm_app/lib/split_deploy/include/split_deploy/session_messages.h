// SPDX-License-Identifier: Apache-2.0
// The messages of a session (docs/deployment.md): payloads of DATAGRAM frames.
#ifndef SPLIT_DEPLOY_SESSION_MESSAGES_H_
#define SPLIT_DEPLOY_SESSION_MESSAGES_H_

#include "split_deploy/sha256.h"
#include "split_deploy/survey_bodies.h"

namespace split_deploy {

inline constexpr uint8_t kSessionVersion = 1;
inline constexpr uint16_t kSessionChannel = 2;  // of DATAGRAM frames
inline constexpr uint16_t kImageChannel = 0xE000;
inline constexpr uint16_t kSessionEpoch = 1;
inline constexpr size_t kMaxSessionBytes = 88;

enum class SessionType : uint8_t {
  kNone = 0,
  kOffer = 1,
  kCommit = 2,
  kRun = 3,
  kAccepted = 129,
  kCommitted = 130,
  kRunning = 131,
  kRefused = 255,
};

// A request of the host; what its type has not is zero.
struct SessionRequest {
  SessionType type = SessionType::kNone;
  uint8_t slice = 0;
  uint32_t image_bytes = 0;
  uint8_t deployment[kIdBytes] = {};
  uint8_t sha256[kDigestBytes] = {};
  uint8_t hmac[kDigestBytes] = {};
};

// False for another version or size, and for what a device does not take.
bool unpack(split_core::ConstBytes payload, SessionRequest* request);

enum class Holding : uint8_t { kWanted = 0, kPrepared = 1, kActive = 2 };

struct Accepted {
  Holding state = Holding::kWanted;
  uint32_t chunk_bytes = 0;
  uint32_t received_bytes = 0;
  const uint8_t* deployment = nullptr;
};

// Each writes at most kMaxSessionBytes and returns how many.
size_t pack(const Accepted& accepted, uint8_t* to);
// kCommitted or kRunning.
size_t pack_done(SessionType type, uint8_t slice, const uint8_t* deployment, uint8_t* to);
size_t pack_refused(const Refusal& refusal, SessionType about, uint8_t* to);

// Of an OFFER, with a key.
void sign(split_core::ConstBytes key, const SessionRequest& offer, uint8_t* hmac);

}  // namespace split_deploy

#endif  // SPLIT_DEPLOY_SESSION_MESSAGES_H_
