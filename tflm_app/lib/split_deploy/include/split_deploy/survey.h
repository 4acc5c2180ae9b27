// SPDX-License-Identifier: Apache-2.0
// A device that nobody has given a place yet, or whose place somebody asks for: passes SURVEY frames
// on by the ports that they name, and answers those that end here (docs/deployment.md).
#ifndef SPLIT_DEPLOY_SURVEY_H_
#define SPLIT_DEPLOY_SURVEY_H_

#include "split_deploy/survey_frame.h"

namespace split_deploy {

class SurveyHandler {
 public:
  struct Answer {
    SurveyKind kind;
    size_t body_bytes;
  };
  // A request for this device, which came by port `arrived`. Writes at most kMaxBodyBytes to `body`.
  virtual Answer on_request(SurveyKind kind, split_core::ConstBytes request, uint8_t arrived,
                            uint8_t* body) = 0;

 protected:
  ~SurveyHandler() = default;
};

// One port as the survey names it.
struct SurveyPort {
  split_core::ByteStream* stream = nullptr;
  uint8_t number = 0;  // kHostPort: the link to the host
};

class Survey {
 public:
  // Frames that wait to leave by one port, and where memory is short; a host whose frame found no room
  // asks again.
  static constexpr uint8_t kQueuedFrames = 4;
  static constexpr uint8_t kLeastQueuedFrames = 2;

  // Bytes of memory, aligned to 8. With the least queues never more than a node of as many links takes.
  static size_t required_bytes(size_t port_count, uint8_t queued_frames = kLeastQueuedFrames);
  // Null if the memory is too small. `ports` is copied; streams and handler must outlive the survey.
  static Survey* create(void* memory, size_t memory_bytes, const SurveyPort* ports,
                        size_t port_count, SurveyHandler& handler);

  // Moves bytes; call it as often as possible.
  void poll(uint32_t now_us);
  // Everything that was answered or is to be passed on has left.
  bool all_sent() const;
  // When the last sound SURVEY frame came, if one did since create().
  bool was_heard() const { return was_heard_; }
  uint32_t heard_us() const { return heard_us_; }

 private:
  struct Port {
    Port(const SurveyPort& from, SurveyFrame* its_queue)
        : stream(from.stream), queue(its_queue), number(from.number),
          decoder(split_core::MutableBytes(landing, sizeof landing)) {}
    split_core::ByteStream* stream;
    SurveyFrame* queue;
    uint8_t number;
    uint8_t queued = 0;
    bool is_writing = false;  // the first of the queue
    split_core::FrameDecoder decoder;
    split_core::FrameEncoder encoder;
    uint8_t landing[split_core::kMinMtuBytes];
  };

  Survey(Port* ports, uint8_t port_count, uint8_t queue_frames, SurveyHandler& handler)
      : ports_(ports), port_count_(port_count), queue_frames_(queue_frames), handler_(handler) {}
  void receive(Port& port, uint32_t now_us);
  void take_frame(Port& port, uint32_t now_us);
  void send(const SurveyFrame& frame);
  void queue(uint8_t number, const SurveyFrame& frame);
  void transmit(Port& port);

  Port* ports_;
  uint8_t port_count_;
  uint8_t queue_frames_;
  SurveyHandler& handler_;
  bool was_heard_ = false;
  uint32_t heard_us_ = 0;
};

}  // namespace split_deploy

#endif  // SPLIT_DEPLOY_SURVEY_H_
