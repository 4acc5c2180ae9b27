// SPDX-License-Identifier: Apache-2.0
// A device that was adopted: takes images from the host and commits one of them (docs/deployment.md,
// "Sessions"). Links, credits and messages are those of any node.
#ifndef SPLIT_DEPLOY_SESSION_H_
#define SPLIT_DEPLOY_SESSION_H_

#include "split_deploy/image_store.h"
#include "split_deploy/session_messages.h"
#include "split_deploy/survey_desk.h"

namespace split_deploy {

// What a session needs of its device; all of it outlives the session.
struct SessionParts {
  split_core::Clock* clock;
  ImageStore* images;
  BoardLimits limits;
  split_core::ConstBytes key;      // empty: whoever has the wires may deploy
  split_core::MutableBytes chunk;  // its size is a multiple of 16, from 256 to 65,536 bytes
  void (*alive)();                 // called at every turn, and now and then in what takes long
};

class Session final : public split_core::DatagramHandler {
 public:
  explicit Session(const SessionParts& parts) : parts_(parts) {}

  void attach(split_core::Node* node) { node_ = node; }
  void on_datagram(uint8_t source, uint16_t channel, split_core::ConstBytes payload) override;

  // Until the session is over: kPlan if the host said RUN, else kSurvey.
  Mode serve();
  // The same turn by turn: begin() once, then step() until it is true.
  void begin();
  bool step(Mode* next);
  uint8_t slice() const { return slice_; }

 private:
  enum class Stage : uint8_t { kNothing, kReceiving, kHeld, kFailed };

  void turn();
  void take_offer();
  Refusal check_offer() const;
  void receive();
  void end_image();
  void fail_image(RefusalCode code, const char* text, uint32_t number = 0);
  void take_commit();
  void take_run();
  void answer();
  void refuse(SessionType about, RefusalCode code, const char* text = "", uint32_t number = 0);
  void queue(size_t bytes) { reply_bytes_ = bytes; }
  bool is_same_offer() const;
  bool has_link() const;

  SessionParts parts_;
  split_core::Node* node_ = nullptr;

  // One request of each type that came and is not answered yet.
  SessionRequest offer_due_, commit_due_, run_due_;

  SessionRequest offer_;  // the last that was taken
  Stage stage_ = Stage::kNothing;
  uint8_t slot_ = kNoSlot;     // holds the image, once it is held
  bool is_receiving_ = false;  // a RECV of the next chunk is under way
  uint32_t chunk_bytes_ = 0;
  bool tells_ = false;         // the state of the image is to be told
  Refusal failure_;

  size_t reply_bytes_ = 0;  // waits for room
  uint8_t reply_[kMaxSessionBytes];
  bool runs_ = false;
  uint8_t slice_ = 0;
  uint32_t run_us_ = 0;
  uint32_t begun_us_ = 0;
  uint32_t linked_us_ = 0;
};

}  // namespace split_deploy

#endif  // SPLIT_DEPLOY_SESSION_H_
