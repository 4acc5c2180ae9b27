// SPDX-License-Identifier: Apache-2.0
#include "split_deploy/session.h"

#include <cstring>

namespace split_deploy {
namespace {

using split_core::Communicator;
using split_core::ConstBytes;
using split_core::StridedBox;

constexpr uint32_t kForwardUs = 300'000;      // after RUN, so that others get theirs
constexpr uint32_t kWithoutLinkUs = 10'000'000;

bool same_id(const uint8_t* a, const uint8_t* b) { return std::memcmp(a, b, kIdBytes) == 0; }

}  // namespace

void Session::on_datagram(uint8_t source, uint16_t channel, ConstBytes payload) {
  if (source != node_->config().world_size || channel != kSessionChannel) return;
  SessionRequest request;
  if (!unpack(payload, &request)) return;
  SessionRequest& due = request.type == SessionType::kOffer    ? offer_due_
                        : request.type == SessionType::kCommit ? commit_due_
                                                               : run_due_;
  due = request;
}

bool Session::has_link() const {
  for (uint8_t i = 0; i < node_->config().link_count; ++i) {
    if (node_->link(i).is_up()) return true;
  }
  return false;
}

Mode Session::serve() {
  Mode next;
  for (begin(); !step(&next);) parts_.clock->idle();
  return next;
}

void Session::begin() {
  begun_us_ = linked_us_ = parts_.clock->now_us();
  node_->communicator().begin_epoch(kSessionEpoch);
}

bool Session::step(Mode* next) {
  turn();
  const uint32_t now_us = parts_.clock->now_us();
  if (has_link()) linked_us_ = now_us;
  const bool runs = runs_ && now_us - run_us_ >= kForwardUs;
  *next = runs ? Mode::kPlan : Mode::kSurvey;
  return runs || node_->was_surveyed(begun_us_) || now_us - linked_us_ >= kWithoutLinkUs;
}

void Session::turn() {
  parts_.alive();
  node_->poll();
  if (stage_ == Stage::kReceiving) receive();
  answer();
  if (reply_bytes_ > 0) return;  // one at a time
  if (offer_due_.type != SessionType::kNone) {
    take_offer();
  } else if (commit_due_.type != SessionType::kNone) {
    take_commit();
  } else if (run_due_.type != SessionType::kNone) {
    take_run();
  } else if (tells_) {
    tells_ = false;
    if (stage_ == Stage::kFailed) {
      queue(pack_refused(failure_, SessionType::kOffer, reply_));
    } else {
      Accepted accepted;
      const bool is_held = stage_ == Stage::kHeld;
      if (is_held) {
        accepted.state = slot_ == parts_.images->active() ? Holding::kActive : Holding::kPrepared;
      }
      accepted.chunk_bytes = static_cast<uint32_t>(parts_.chunk.size());
      accepted.received_bytes = is_held ? offer_.image_bytes : parts_.images->written_bytes();
      accepted.deployment = offer_.deployment;
      queue(pack(accepted, reply_));
    }
  }
  answer();
}

void Session::answer() {
  if (reply_bytes_ == 0) return;
  const uint64_t host = split_core::rank_bit(node_->config().world_size);
  const ConstBytes payload(reply_, reply_bytes_);
  if (node_->communicator().send_datagram(host, kSessionChannel, payload)) reply_bytes_ = 0;
}

void Session::refuse(SessionType about, RefusalCode code, const char* text, uint32_t number) {
  Refusal refusal;
  refusal.code = code;
  refusal.text = text;
  refusal.number = number;
  queue(pack_refused(refusal, about, reply_));
}

// ---- OFFER ----

bool Session::is_same_offer() const {
  return offer_.type != SessionType::kNone && same_id(offer_.deployment, offer_due_.deployment) &&
         offer_.image_bytes == offer_due_.image_bytes &&
         same_digest(offer_.sha256, offer_due_.sha256);
}

Refusal Session::check_offer() const {
  Refusal refusal;
  uint8_t hmac[kDigestBytes];
  if (!parts_.key.empty()) {
    sign(parts_.key, offer_due_, hmac);
    if (!same_digest(hmac, offer_due_.hmac)) {
      refusal.code = RefusalCode::kBadSignature;
      return refusal;
    }
  }
  const uint32_t capacity = parts_.images->capacity();
  if (offer_due_.image_bytes == 0 || offer_due_.image_bytes % kImageAlignmentBytes != 0) {
    refusal.code = RefusalCode::kBadMessage;
  } else if (offer_due_.image_bytes > capacity) {
    refusal.code = RefusalCode::kTooLargeForStore;
    refusal.number = offer_due_.image_bytes - capacity;
  } else if (stage_ == Stage::kReceiving && !is_same_offer()) {
    refusal.code = RefusalCode::kBusy;
  }
  return refusal;
}

void Session::take_offer() {
  const Refusal refusal = check_offer();
  const bool is_same = is_same_offer();
  const SessionRequest offer = offer_due_;
  offer_due_ = SessionRequest{};
  if (!refusal.ok()) {
    queue(pack_refused(refusal, SessionType::kOffer, reply_));
    return;
  }
  tells_ = true;
  Communicator& communicator = node_->communicator();
  if (is_same && stage_ == Stage::kReceiving) {
    // A link was lost in between: both sides begin anew, with the next chunk that is not written.
    if (!communicator.error().ok()) {
      communicator.begin_epoch(kSessionEpoch);
      is_receiving_ = false;
    }
    return;
  }
  if (is_same && stage_ == Stage::kHeld) return;
  offer_ = offer;
  failure_ = Refusal{};
  slot_ = parts_.images->find(offer.image_bytes, offer.sha256);
  stage_ = Stage::kHeld;
  if (slot_ != kNoSlot) return;
  communicator.begin_epoch(kSessionEpoch);
  is_receiving_ = false;
  stage_ = Stage::kReceiving;
  if (!parts_.images->begin(offer.image_bytes, offer.deployment, offer.sha256)) {
    fail_image(RefusalCode::kStoreFailed, "");
  }
}

void Session::fail_image(RefusalCode code, const char* text, uint32_t number) {
  failure_.code = code;
  failure_.text = text;
  failure_.number = number;
  stage_ = Stage::kFailed;
  tells_ = true;
}

void Session::receive() {
  Communicator& communicator = node_->communicator();
  ImageStore& images = *parts_.images;
  if (!communicator.error().ok()) return;  // until the host offers again
  if (is_receiving_) {
    if (!communicator.recvs_complete()) return;
    is_receiving_ = false;
    if (!images.append(parts_.chunk.data(), chunk_bytes_, parts_.alive)) {
      return fail_image(RefusalCode::kStoreFailed, "");
    }
  }
  const uint32_t left = offer_.image_bytes - images.written_bytes();
  if (left == 0) return end_image();
  const auto most = static_cast<uint32_t>(parts_.chunk.size());
  chunk_bytes_ = left < most ? left : most;
  const StridedBox box = StridedBox::flat(parts_.chunk.data(), chunk_bytes_);
  is_receiving_ = communicator.begin_recv(kImageChannel, node_->config().world_size, box).ok();
}

void Session::end_image() {
  ImageStore& images = *parts_.images;
  const RefusalCode code = images.finish(parts_.alive);
  if (code != RefusalCode::kNone) return fail_image(code, "");
  const char* const field = check_image(images.written());
  if (field != nullptr) return fail_image(RefusalCode::kBadImage, field);
  const Refusal unfit = check_fit(images.written(), parts_.limits);
  if (!unfit.ok()) return fail_image(unfit.code, unfit.text, unfit.number);
  if (!images.prepare()) return fail_image(RefusalCode::kStoreFailed, "");
  slot_ = images.find(offer_.image_bytes, offer_.sha256);
  stage_ = Stage::kHeld;
  tells_ = true;
}

// ---- COMMIT, RUN ----

void Session::take_commit() {
  const SessionRequest commit = commit_due_;
  commit_due_ = SessionRequest{};
  const bool is_held = stage_ == Stage::kHeld && same_id(offer_.deployment, commit.deployment);
  if (!is_held) return refuse(SessionType::kCommit, RefusalCode::kNotPrepared);
  if (!parts_.images->commit(slot_)) return refuse(SessionType::kCommit, RefusalCode::kStoreFailed);
  queue(pack_done(SessionType::kCommitted, 0, commit.deployment, reply_));
}

void Session::take_run() {
  const SessionRequest run = run_due_;
  run_due_ = SessionRequest{};
  const ImageStore& images = *parts_.images;
  const uint8_t active = images.active();
  if (active == kNoSlot) return refuse(SessionType::kRun, RefusalCode::kNoSuchImage);
  const bool is_offered =
      stage_ == Stage::kHeld && slot_ == active && same_id(offer_.deployment, run.deployment);
  if (!is_offered && !same_id(images.deployment(active), run.deployment)) {
    return refuse(SessionType::kRun, RefusalCode::kNotPrepared);
  }
  if (run.slice >= slices_of(images.image(active))) {
    return refuse(SessionType::kRun, RefusalCode::kNoSuchImage, "slice");
  }
  slice_ = run.slice;
  if (!runs_) run_us_ = parts_.clock->now_us();
  runs_ = true;
  queue(pack_done(SessionType::kRunning, run.slice, run.deployment, reply_));
}

}  // namespace split_deploy
