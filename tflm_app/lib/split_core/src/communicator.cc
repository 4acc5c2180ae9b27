// SPDX-License-Identifier: Apache-2.0
#include "split_core/communicator.h"

#include "split_core/epochs.h"

namespace split_core {
namespace {

constexpr int16_t kForgetDeadEpochAfter = 1024;

uint8_t lowest_rank(uint64_t ranks) {
  uint8_t rank = 0;
  while ((ranks & 1u) == 0) {
    ranks >>= 1;
    ++rank;
  }
  return rank;
}

}  // namespace

// ---- Inferences ----

void Communicator::begin_epoch(uint16_t epoch) {
  const bool is_another = epoch != epoch_;
  epoch_ = epoch;
  begun_ = true;
  error_ = Error{};
  for (uint8_t i = 0; i < config_.send_slots; ++i) sends_[i].remaining = 0;
  // An abort has dropped what was asked for the inference behind it.
  for (uint8_t i = 0; i < config_.recv_slots; ++i) {
    const bool stays = is_another && recvs_[i].ahead && recvs_[i].epoch == epoch;
    if (!stays) recvs_[i] = RecvSlot{};
  }
  // Those who are ahead of us wait already; their grants stay.
  for (uint8_t i = 0; i < config_.grant_slots; ++i) {
    if (epochs_after(grants_[i].epoch, epoch) < 0) grants_[i].ranks = 0;
  }
  // Long before the numbers wrap around to it.
  if (epochs_after(epoch, dead_epoch_) > kForgetDeadEpochAfter) has_dead_epoch_ = false;
  if (has_dead_epoch_ && epochs_after(epoch, dead_epoch_) <= 0) has_dead_epoch_ = false;
}

void Communicator::abort(const Error& error) {
  if (error_.ok()) error_ = error;
  begun_ = false;
  has_dead_epoch_ = true;
  dead_epoch_ = epoch_;
  for (uint8_t i = 0; i < config_.send_slots; ++i) sends_[i].remaining = 0;
  for (uint8_t i = 0; i < config_.recv_slots; ++i) recvs_[i] = RecvSlot{};
}

void Communicator::fail(ErrorCode code, uint8_t rank, uint8_t link, uint16_t channel) {
  Error error;
  error.code = code;
  error.rank = rank;
  error.link = link;
  error.channel = channel;
  error.reporter = config_.rank;
  if (!fault_due_) fault_ = error;
  fault_due_ = true;
  fault_epoch_ = epoch_;
  if (begun_) abort(error);
}

void Communicator::fail_with_timeout() {
  for (uint8_t i = 0; i < config_.recv_slots; ++i) {
    const RecvSlot& recv = recvs_[i];
    if (!recv.active || recv.ahead) continue;
    return fail(ErrorCode::kTimeout, recv.source, router_.link_to(recv.source), recv.channel);
  }
  for (uint8_t i = 0; i < config_.send_slots; ++i) {
    if (sends_[i].remaining == 0) continue;
    const uint8_t rank = lowest_rank(sends_[i].remaining);
    return fail(ErrorCode::kTimeout, rank, router_.link_to(rank), sends_[i].channel);
  }
}

bool Communicator::is_dead(const FrameHeader& header) const {
  const bool counts = header.type == FrameType::kData || header.type == FrameType::kGrant;
  return counts && has_dead_epoch_ && epochs_after(header.epoch, dead_epoch_) <= 0;
}

bool Communicator::is_stale(uint16_t epoch) const {
  return !begun_ || epochs_after(epoch, epoch_) < 0;
}

void Communicator::on_link_error(uint8_t link, ErrorCode code) {
  // Before the first inference nothing can be lost, and afterwards a peer that was reset matters
  // even to a rank that is done: others may still wait for it.
  if (begun_) fail(code, config_.links[link].peer_rank, link, kNoChannel);
}

// ---- Posting ----

bool Communicator::destinations_ok(uint64_t destinations) const {
  return destinations != 0 && (destinations & ~router_.others()) == 0;
}

Error Communicator::argument_error(ErrorCode code, uint16_t channel) const {
  Error error;
  error.code = code;
  error.rank = config_.rank;
  error.channel = channel;
  return error;
}

Error Communicator::post_send(uint16_t channel, uint64_t destinations, const StridedBox& box) {
  return open_send(channel, destinations, box, nullptr);
}

Error Communicator::post_source(uint16_t channel, uint64_t destinations, uint32_t size_bytes,
                                MessageSource& source) {
  static uint8_t nowhere;  // never read: the source is
  return open_send(channel, destinations, StridedBox::flat(&nowhere, size_bytes), &source);
}

Error Communicator::open_send(uint16_t channel, uint64_t destinations, const StridedBox& box,
                              MessageSource* source) {
  if (!error_.ok()) return error_;
  if (!begun_ || !destinations_ok(destinations) || box.base == nullptr) {
    return argument_error(ErrorCode::kBadArgument, channel);
  }
  if (box.size_bytes() == 0) return Error{};
  for (uint8_t i = 0; i < config_.send_slots; ++i) {
    SendSlot& send = sends_[i];
    if (send.remaining != 0) continue;
    send = SendSlot{};
    send.box = box;
    send.source = source;
    send.remaining = destinations;
    send.total_bytes = box.size_bytes();
    send.channel = channel;
    send.order = order_++;
    uint8_t culprit = kNoRank;
    const ErrorCode code = claim_early_grants(&send, &culprit);
    if (code != ErrorCode::kOk) fail(code, culprit, router_.link_to(culprit), channel);
    return error_;
  }
  return argument_error(ErrorCode::kSendSlotsFull, channel);
}

// Grants that came before the SEND was posted. A rank that an earlier SEND on this channel has not
// served yet has no grant here: its grant went to that one.
ErrorCode Communicator::claim_early_grants(SendSlot* send, uint8_t* culprit) {
  for (uint8_t i = 0; i < config_.grant_slots; ++i) {
    EarlyGrant& grant = grants_[i];
    const uint64_t ready = grant.ranks & send->remaining;
    if (ready == 0 || grant.channel != send->channel || grant.epoch != epoch_) continue;
    *culprit = lowest_rank(ready);
    if (grant.total_bytes != send->total_bytes) return ErrorCode::kSizeMismatch;
    grant.ranks &= ~ready;
    if (send->granted == 0) send->first_grant_us = now_us_;
    send->granted |= ready;
  }
  return ErrorCode::kOk;
}

bool Communicator::send_released(uint16_t channel) const {
  for (uint8_t i = 0; i < config_.send_slots; ++i) {
    if (sends_[i].remaining != 0 && sends_[i].channel == channel) return false;
  }
  return true;
}

bool Communicator::all_sends_released() const {
  for (uint8_t i = 0; i < config_.send_slots; ++i) {
    if (sends_[i].remaining != 0) return false;
  }
  return true;
}

Error Communicator::begin_recv(uint16_t channel, uint8_t source, const StridedBox& box) {
  return open_recv(channel, source, box, epoch_, false);
}

Error Communicator::ask_ahead(uint16_t channel, uint8_t source, const StridedBox& box) {
  return open_recv(channel, source, box, epoch_, true);
}

Error Communicator::ask_next(uint16_t channel, uint8_t source, const StridedBox& box) {
  return open_recv(channel, source, box, static_cast<uint16_t>(epoch_ + 1), true);
}

Error Communicator::open_recv(uint16_t channel, uint8_t source, const StridedBox& box,
                              uint16_t epoch, bool ahead) {
  if (!error_.ok()) return error_;
  if (!begun_ || source >= config_.node_count || source == config_.rank || box.base == nullptr) {
    return argument_error(ErrorCode::kBadArgument, channel);
  }
  RecvSlot* free_slot = nullptr;
  for (uint8_t i = 0; i < config_.recv_slots; ++i) {
    RecvSlot& recv = recvs_[i];
    const bool same =
        recv.channel == channel && recv.source == source && recv.epoch == epoch;
    if (!recv.active && !recv.ahead) {
      free_slot = &recv;
    } else if (same) {
      if (recv.ahead && !ahead) return take_ahead(&recv, box);
      return argument_error(ErrorCode::kBadArgument, channel);
    }
  }
  if (box.size_bytes() == 0) return Error{};
  if (free_slot == nullptr) return argument_error(ErrorCode::kRecvSlotsFull, channel);
  *free_slot = RecvSlot{};
  free_slot->box = box;
  free_slot->total_bytes = box.size_bytes();
  free_slot->channel = channel;
  free_slot->epoch = epoch;
  free_slot->source = source;
  free_slot->active = true;
  free_slot->ahead = ahead;
  return Error{};
}

// Both boxes hold the message, in the order of its bytes.
Error Communicator::take_ahead(RecvSlot* recv, const StridedBox& box) {
  if (box.size_bytes() != recv->total_bytes || box.adds || recv->box.adds) {
    return argument_error(ErrorCode::kSizeMismatch, recv->channel);
  }
  uint8_t piece[64];
  for (uint32_t at = 0; at < recv->received; at += sizeof piece) {
    const uint32_t left = recv->received - at;
    const uint32_t count = left < sizeof piece ? left : static_cast<uint32_t>(sizeof piece);
    read_box(recv->box, at, piece, count);
    write_box(box, at, piece, count);
  }
  recv->box = box;
  recv->ahead = false;
  return Error{};
}

bool Communicator::recvs_complete() const {
  for (uint8_t i = 0; i < config_.recv_slots; ++i) {
    if (recvs_[i].active && !recvs_[i].ahead) return false;
  }
  return true;
}

bool Communicator::is_receiving(const void* begin, size_t bytes) const {
  const auto first = reinterpret_cast<uintptr_t>(begin);
  for (uint8_t i = 0; i < config_.recv_slots; ++i) {
    const RecvSlot& recv = recvs_[i];
    if (!recv.active) continue;
    const auto base = reinterpret_cast<uintptr_t>(recv.box.base);
    const uint32_t span = recv.box.span_bytes();
    // A message without gaps in memory fills it from the first byte on.
    const uint32_t done = span == recv.total_bytes ? recv.received : 0;
    if (first < base + span && first + bytes > base + done) return true;
  }
  return false;
}

}  // namespace split_core
