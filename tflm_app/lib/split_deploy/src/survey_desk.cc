// SPDX-License-Identifier: Apache-2.0
#include "split_deploy/survey_desk.h"

#include "split_deploy/image.h"

namespace split_deploy {
namespace {

using split_core::ConstBytes;

constexpr uint32_t kAnswerUs = 20'000;     // for an answer to leave
constexpr uint32_t kQuietUs = 5'000'000;  // then nobody surveys any more
constexpr uint8_t kLastSlice = 0xFF;

SurveyHandler::Answer refuse(const Refusal& refusal, uint8_t* body) {
  return {SurveyKind::kRefused, pack(refusal, body)};
}

SurveyHandler::Answer refuse(RefusalCode code, uint8_t* body, const char* text = "",
                             uint32_t number = 0) {
  Refusal refusal;
  refusal.code = code;
  refusal.text = text;
  refusal.number = number;
  return refuse(refusal, body);
}

}  // namespace

SurveyHandler::Answer SurveyDesk::on_request(SurveyKind kind, ConstBytes request, uint8_t arrived,
                                             uint8_t* body) {
  if (kind == SurveyKind::kAdopt) return adopt(request, body);
  if (kind == SurveyKind::kRun) return run(request, body);
  if (kind != SurveyKind::kIdentify && kind != SurveyKind::kEcho) {
    return refuse(RefusalCode::kUnknownKind, body);
  }
  if (!request.empty()) return refuse(RefusalCode::kBadMessage, body);
  if (kind == SurveyKind::kEcho) return {SurveyKind::kEchoed, 0};
  Identity identity = identity_;
  identity.arrived = arrived;
  return {SurveyKind::kIdentity, pack(identity, body)};
}

SurveyHandler::Answer SurveyDesk::adopt(ConstBytes request, uint8_t* body) {
  if (identity_.state == DeployState::kFixed) return refuse(RefusalCode::kFixed, body);
  const Refusal refusal = unpack(request, identity_.ports, &adoption_);
  if (!refusal.ok()) return refuse(refusal, body);
  if (!fits_ring(adoption_.config, identity_.rx_ring_bytes)) {
    return refuse(RefusalCode::kBadConfiguration, body, "rx_slots");
  }
  const size_t wanted = session_bytes(adoption_.config);
  if (wanted > identity_.work_bytes) {
    const auto missing = static_cast<uint32_t>(wanted - identity_.work_bytes);
    return refuse(RefusalCode::kTooLittleMemory, body, "", missing);
  }
  next_ = Mode::kSession;
  return {SurveyKind::kAdopted, 0};
}

SurveyHandler::Answer SurveyDesk::run(ConstBytes request, uint8_t* body) {
  if (request.size() != 1) return refuse(RefusalCode::kBadMessage, body);
  if (identity_.state == DeployState::kBroken) return refuse(why_, body);
  const uint8_t wanted = request[0] == kLastSlice ? last_slice() : request[0];
  if (wanted >= identity_.slices) return refuse(RefusalCode::kNoSuchImage, body);
  slice_ = wanted;
  next_ = Mode::kPlan;
  return {SurveyKind::kRunning, 0};
}

Mode SurveyDesk::serve(Survey& survey, split_core::Clock& clock, void (*alive)()) {
  const uint32_t begun_us = clock.now_us();
  uint32_t decided_us = 0;
  next_ = Mode::kSurvey;
  for (bool decided = false;; clock.idle()) {
    alive();
    const uint32_t now_us = clock.now_us();
    survey.poll(now_us);
    if (next_ != Mode::kSurvey && !decided) decided_us = now_us;
    decided = next_ != Mode::kSurvey;
    if (decided && now_us - decided_us >= kAnswerUs) return next_;
    const uint32_t since_us = survey.was_heard() ? survey.heard_us() : begun_us;
    if (!decided && can_run() && now_us - since_us >= kQuietUs) break;
  }
  slice_ = last_slice();
  return Mode::kPlan;
}

}  // namespace split_deploy
