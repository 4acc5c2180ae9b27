// SPDX-License-Identifier: Apache-2.0
#include "split_deploy/survey_frame.h"

#include <cstring>

namespace split_deploy {

using split_core::ConstBytes;

bool SurveyFrame::load(ConstBytes payload) {
  size_ = 0;
  if (payload.size() < kSurveyHeadBytes || payload[0] != kSurveyVersion) return false;
  const size_t hops = payload[2];
  const size_t head = kSurveyHeadBytes + 2 * hops;
  if (hops > kMaxHops || payload[3] > hops || payload.size() < head) return false;
  if (payload.size() - head > kMaxBodyBytes) return false;
  size_ = static_cast<uint8_t>(payload.size());
  std::memcpy(bytes_, payload.data(), payload.size());
  return true;
}

void SurveyFrame::answer(const SurveyFrame& request, SurveyKind kind, ConstBytes body) {
  const size_t hops = request.hops();
  std::memcpy(bytes_, request.bytes_, kSurveyHeadBytes);
  bytes_[1] = static_cast<uint8_t>(kind);
  bytes_[3] = 0;
  uint8_t* const out = bytes_ + kSurveyHeadBytes;
  const uint8_t* const asked = request.bytes_ + kSurveyHeadBytes;
  // Both ways turned round: what was `back` leads to the host, what was `out` says which way it was.
  for (size_t i = 0; i < hops; ++i) {
    out[i] = asked[2 * hops - 1 - i];
    out[hops + i] = asked[hops - 1 - i];
  }
  if (!body.empty()) std::memcpy(out + 2 * hops, body.data(), body.size());
  size_ = static_cast<uint8_t>(kSurveyHeadBytes + 2 * hops + body.size());
}

ConstBytes SurveyFrame::body() const {
  return payload().subspan(kSurveyHeadBytes + 2 * size_t{hops()});
}

void SurveyFrame::note_arrival(uint8_t port) {
  if (is_answer(kind()) || hop() == 0) return;
  bytes_[kSurveyHeadBytes + hops() + hop() - 1] = port;
}

}  // namespace split_deploy
