// SPDX-License-Identifier: Apache-2.0
// What a device answers in a survey, and what it does afterwards.
#ifndef SPLIT_DEPLOY_SURVEY_DESK_H_
#define SPLIT_DEPLOY_SURVEY_DESK_H_

#include "split_deploy/survey.h"
#include "split_deploy/survey_bodies.h"

namespace split_deploy {

// Of the work memory, for a session: the node, aligned to 16, and a chunk.
constexpr size_t session_bytes(const split_core::NodeConfig& config) {
  return (split_core::Node::required_bytes(config) + 15) / 16 * 16 + kChunkBytes;
}

enum class Mode : uint8_t { kSurvey, kSession, kPlan };

class SurveyDesk final : public SurveyHandler {
 public:
  // `why` is what a broken device says to RUN. Both, and its text, must outlive the desk.
  SurveyDesk(const Identity& identity, const Refusal& why) : identity_(identity), why_(why) {}

  Answer on_request(SurveyKind kind, split_core::ConstBytes request, uint8_t arrived,
                    uint8_t* body) override;

  // Until a survey ends: kSession or kPlan. A device that could compute goes back to its plan when
  // nobody has surveyed it for 5 seconds. `alive` is called at every turn.
  Mode serve(Survey& survey, split_core::Clock& clock, void (*alive)());

  // After kSession.
  const Adoption& adoption() const { return adoption_; }
  // After kPlan.
  uint8_t slice() const { return slice_; }

 private:
  Answer adopt(split_core::ConstBytes request, uint8_t* body);
  Answer run(split_core::ConstBytes request, uint8_t* body);
  bool can_run() const {
    return identity_.slices > 0 && identity_.state != DeployState::kBroken;
  }
  uint8_t last_slice() const { return identity_.slice < identity_.slices ? identity_.slice : 0; }

  const Identity& identity_;
  const Refusal& why_;
  Mode next_ = Mode::kSurvey;
  uint8_t slice_ = 0;
  Adoption adoption_;
};

}  // namespace split_deploy

#endif  // SPLIT_DEPLOY_SURVEY_DESK_H_
