// SPDX-License-Identifier: Apache-2.0
#include "split_deploy/session_messages.h"

#include <cstring>

#include "split_core/endian.h"

namespace split_deploy {
namespace {

using split_core::ConstBytes;
using split_core::load_le;
using split_core::store_le;

constexpr size_t kOfferBytes = 88;
constexpr size_t kShortBytes = 20;
constexpr size_t kAcceptedBytes = 28;
constexpr char kSigned[] = "tflsplit deployment 1";

}  // namespace

bool unpack(ConstBytes payload, SessionRequest* request) {
  *request = SessionRequest{};
  if (payload.size() < 2 || payload[0] != kSessionVersion) return false;
  const auto type = static_cast<SessionType>(payload[1]);
  const bool is_offer = type == SessionType::kOffer;
  if (!is_offer && type != SessionType::kCommit && type != SessionType::kRun) return false;
  if (payload.size() != (is_offer ? kOfferBytes : kShortBytes)) return false;
  request->type = type;
  const uint8_t* const from = payload.data();
  if (is_offer) {
    request->image_bytes = load_le<uint32_t>(from + 4);
    std::memcpy(request->deployment, from + 8, kIdBytes);
    std::memcpy(request->sha256, from + 24, kDigestBytes);
    std::memcpy(request->hmac, from + 56, kDigestBytes);
  } else {
    request->slice = from[2];
    std::memcpy(request->deployment, from + 4, kIdBytes);
  }
  return true;
}

size_t pack(const Accepted& accepted, uint8_t* to) {
  to[0] = kSessionVersion;
  to[1] = static_cast<uint8_t>(SessionType::kAccepted);
  to[2] = static_cast<uint8_t>(accepted.state);
  to[3] = 0;
  store_le<uint32_t>(to + 4, accepted.chunk_bytes);
  store_le<uint32_t>(to + 8, accepted.received_bytes);
  std::memcpy(to + 12, accepted.deployment, kIdBytes);
  return kAcceptedBytes;
}

size_t pack_done(SessionType type, uint8_t slice, const uint8_t* deployment, uint8_t* to) {
  to[0] = kSessionVersion;
  to[1] = static_cast<uint8_t>(type);
  to[2] = slice;
  to[3] = 0;
  std::memcpy(to + 4, deployment, kIdBytes);
  return kShortBytes;
}

// A refusal as in a survey, behind version and type.
size_t pack_refused(const Refusal& refusal, SessionType about, uint8_t* to) {
  uint8_t body[kMaxBodyBytes];
  const size_t bytes = pack(refusal, body);
  to[0] = kSessionVersion;
  to[1] = static_cast<uint8_t>(SessionType::kRefused);
  to[2] = body[0];
  to[3] = static_cast<uint8_t>(about);
  std::memcpy(to + 4, body + 4, bytes - 4);
  return bytes;
}

void sign(ConstBytes key, const SessionRequest& offer, uint8_t* hmac) {
  HmacSha256 code(key);
  code.add(ConstBytes(reinterpret_cast<const uint8_t*>(kSigned), sizeof kSigned - 1));
  code.add(ConstBytes(offer.deployment, kIdBytes));
  uint8_t bytes[4];
  store_le<uint32_t>(bytes, offer.image_bytes);
  code.add(ConstBytes(bytes, sizeof bytes));
  code.add(ConstBytes(offer.sha256, kDigestBytes));
  code.finish(hmac);
}

}  // namespace split_deploy
