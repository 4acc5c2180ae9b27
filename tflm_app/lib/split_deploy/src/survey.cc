// SPDX-License-Identifier: Apache-2.0
#include "split_deploy/survey.h"

#include <new>

#include "split_core/error.h"

namespace split_deploy {
namespace {

using split_core::ConstBytes;
using split_core::FrameDecoder;
using split_core::FrameHeader;
using split_core::FrameType;
using split_core::HeaderError;
using split_core::MutableBytes;
using split_core::kHeaderBytes;

constexpr size_t kMostBytesAtOnce = 1024;  // of one port, so that a busy one keeps none waiting
constexpr uint8_t kNobody = 0xFF;

constexpr size_t aligned(size_t bytes) { return (bytes + 7) & ~size_t{7}; }

FrameHeader survey_header() {
  FrameHeader header;
  header.type = FrameType::kSurvey;
  header.source = kNobody;
  header.channel = split_core::kNoChannel;
  return header;
}

}  // namespace

size_t Survey::required_bytes(size_t port_count, uint8_t queued_frames) {
  const size_t queue_bytes = aligned(queued_frames * sizeof(SurveyFrame));
  return aligned(sizeof(Survey)) + port_count * (aligned(sizeof(Port)) + queue_bytes);
}

Survey* Survey::create(void* memory, size_t memory_bytes, const SurveyPort* ports,
                       size_t port_count, SurveyHandler& handler) {
  if (port_count > UINT8_MAX || memory_bytes < required_bytes(port_count)) return nullptr;
  const bool has_room = memory_bytes >= required_bytes(port_count, kQueuedFrames);
  const uint8_t frames = has_room ? kQueuedFrames : kLeastQueuedFrames;
  auto* const bytes = static_cast<uint8_t*>(memory);
  auto* const first = reinterpret_cast<Port*>(bytes + aligned(sizeof(Survey)));
  uint8_t* queue = bytes + aligned(sizeof(Survey)) + port_count * aligned(sizeof(Port));
  for (size_t i = 0; i < port_count; ++i, queue += aligned(frames * sizeof(SurveyFrame))) {
    auto* const own = reinterpret_cast<SurveyFrame*>(queue);
    for (uint8_t slot = 0; slot < frames; ++slot) new (own + slot) SurveyFrame;
    new (first + i) Port(ports[i], own);
  }
  return new (bytes) Survey(first, static_cast<uint8_t>(port_count), frames, handler);
}

void Survey::poll(uint32_t now_us) {
  for (uint8_t i = 0; i < port_count_; ++i) receive(ports_[i], now_us);
  for (uint8_t i = 0; i < port_count_; ++i) transmit(ports_[i]);
}

bool Survey::all_sent() const {
  for (uint8_t i = 0; i < port_count_; ++i) {
    if (ports_[i].queued > 0) return false;
  }
  return true;
}

void Survey::receive(Port& port, uint32_t now_us) {
  uint8_t chunk[64];
  for (size_t budget = kMostBytesAtOnce; budget > 0; budget -= sizeof chunk) {
    const size_t count = port.stream->read(MutableBytes(chunk, sizeof chunk));
    for (size_t taken = 0; taken < count;) {
      FrameDecoder::Event event;
      taken += port.decoder.push(ConstBytes(chunk + taken, count - taken), &event);
      if (event == FrameDecoder::Event::kFrame) take_frame(port, now_us);
    }
    if (count < sizeof chunk) return;
  }
}

// What else comes is of a session that this device has left, or is not in.
void Survey::take_frame(Port& port, uint32_t now_us) {
  FrameHeader header;
  const HeaderError error = load_header(port.landing, port.decoder.frame_bytes(), &header);
  if (error != HeaderError::kNone || header.type != FrameType::kSurvey) return;
  SurveyFrame frame;
  if (!frame.load(ConstBytes(port.landing + kHeaderBytes, header.length))) return;
  const bool asks = !is_answer(frame.kind());
  // Only a request begins at the host.
  if ((port.number == kHostPort) != (asks && frame.hop() == 0)) return;
  was_heard_ = true;
  heard_us_ = now_us;
  frame.note_arrival(port.number);
  if (!frame.has_arrived() || !asks) return send(frame);
  uint8_t body[kMaxBodyBytes];
  const SurveyHandler::Answer answer =
      handler_.on_request(frame.kind(), frame.body(), port.number, body);
  SurveyFrame reply;
  reply.answer(frame, answer.kind, ConstBytes(body, answer.body_bytes));
  send(reply);
}

// An answer that has made all hops is at the gateway; its last way is to the host. No request ever
// goes there.
void Survey::send(const SurveyFrame& frame) {
  if (frame.has_arrived()) return queue(kHostPort, frame);
  const uint8_t number = frame.next_port();
  if (number == kHostPort) return;
  SurveyFrame next = frame;
  next.make_hop();
  queue(number, next);
}

void Survey::queue(uint8_t number, const SurveyFrame& frame) {
  for (uint8_t i = 0; i < port_count_; ++i) {
    Port& port = ports_[i];
    if (port.number == number && port.queued < queue_frames_) port.queue[port.queued++] = frame;
  }
}

void Survey::transmit(Port& port) {
  while (true) {
    port.encoder.write_to(*port.stream);
    if (!port.encoder.done()) return;
    if (port.is_writing) {
      port.is_writing = false;
      --port.queued;
      for (uint8_t i = 0; i < port.queued; ++i) port.queue[i] = port.queue[i + 1];
    }
    if (port.queued == 0) return;
    port.is_writing = true;
    port.encoder.start(survey_header(), port.queue[0].payload());
  }
}

}  // namespace split_deploy
