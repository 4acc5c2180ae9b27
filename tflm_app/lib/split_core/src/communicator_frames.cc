// SPDX-License-Identifier: Apache-2.0
// The communicator's frames: those that arrive for this rank, and those that it makes.
#include <cstring>

#include "split_core/communicator.h"
#include "split_core/epochs.h"

namespace split_core {
namespace {

constexpr size_t kFaultBytes = 4;  // code, rank, reporter, reserved; the channel is in the header

}  // namespace

// ---- Arrivals ----

void Communicator::on_local_frame(uint8_t link, const FrameHeader& header, ConstBytes payload) {
  if (header.type == FrameType::kData) on_data(link, header, payload);
  if (header.type == FrameType::kGrant) on_grant(link, header);
  if (header.type == FrameType::kFault) on_fault(link, header, payload);
  if (header.type == FrameType::kDatagram && datagrams_ != nullptr) {
    datagrams_->on_datagram(header.source, header.channel, payload);
  }
}

void Communicator::on_data(uint8_t link, const FrameHeader& header, ConstBytes payload) {
  if (is_stale(header.epoch)) return;
  for (uint8_t i = 0; i < config_.recv_slots; ++i) {
    RecvSlot& recv = recvs_[i];
    if (!recv.active || recv.channel != header.channel || recv.source != header.source) continue;
    if (header.epoch != recv.epoch) continue;  // the same input of this inference, or of the next
    if (!recv.grant_sent) break;
    const uint32_t left = recv.total_bytes - recv.received;
    const bool cut_word = recv.box.adds && payload.size() % recv.box.element_bytes != 0;
    if (header.offset != recv.received || payload.empty() || payload.size() > left || cut_word) {
      return fail(ErrorCode::kBadOffset, header.source, link, header.channel);
    }
    write_box(recv.box, recv.received, payload.data(), header.length);
    recv.received += header.length;
    recv.active = recv.received < recv.total_bytes;
    return;
  }
  fail(ErrorCode::kUnexpectedData, header.source, link, header.channel);
}

// The oldest SEND on `channel` that `rank` has not granted yet.
SendSlot* Communicator::find_send(uint16_t channel, uint8_t rank) {
  SendSlot* found = nullptr;
  for (uint8_t i = 0; i < config_.send_slots; ++i) {
    SendSlot& send = sends_[i];
    const bool waits = (send.remaining & ~send.granted & rank_bit(rank)) != 0;
    if (!waits || send.channel != channel) continue;
    if (found == nullptr || static_cast<int8_t>(send.order - found->order) < 0) found = &send;
  }
  return found;
}

void Communicator::on_grant(uint8_t link, const FrameHeader& header) {
  if (begun_ && epochs_after(header.epoch, epoch_) < 0) return;
  SendSlot* const send =
      begun_ && header.epoch == epoch_ ? find_send(header.channel, header.source) : nullptr;
  if (send == nullptr) return keep_grant(header);
  if (header.offset != send->total_bytes) {
    return fail(ErrorCode::kSizeMismatch, header.source, link, header.channel);
  }
  if (send->granted == 0) send->first_grant_us = now_us_;
  send->granted |= rank_bit(header.source);
}

void Communicator::keep_grant(const FrameHeader& header) {
  EarlyGrant* place = nullptr;
  for (uint8_t i = 0; i < config_.grant_slots; ++i) {
    EarlyGrant& grant = grants_[i];
    const bool same = grant.channel == header.channel && grant.epoch == header.epoch &&
                      grant.total_bytes == header.offset;
    // What was granted for an inference that failed takes no room from a later one's, which the host
    // begins when that is over everywhere.
    const bool is_over = epochs_after(grant.epoch, header.epoch) < 0;
    if (grant.ranks == 0 || same || (is_over && place == nullptr)) place = &grant;
    if (grant.ranks != 0 && same) break;
  }
  if (place == nullptr) {
    fail(ErrorCode::kGrantSlotsFull, config_.rank, kNoLink, header.channel);
    fault_epoch_ = header.epoch;  // whose sender has begun, even if we have not
    return;
  }
  if (place->epoch != header.epoch) place->ranks = 0;
  place->ranks |= rank_bit(header.source);
  place->total_bytes = header.offset;
  place->channel = header.channel;
  place->epoch = header.epoch;
}

void Communicator::on_fault(uint8_t link, const FrameHeader& header, ConstBytes payload) {
  if (payload.size() != kFaultBytes || !begun_) return;
  if (epochs_after(epoch_, header.epoch) > 0) return;  // of an inference that is over
  Error error;
  error.code = static_cast<ErrorCode>(payload[0]);
  error.rank = payload[1];
  error.reporter = payload[2];
  error.channel = header.channel;
  error.link = link;
  if (error.ok()) return;
  abort(error);
}

// ---- Sending ----

FrameHeader Communicator::header_for(FrameType type, uint64_t destinations,
                                     uint16_t channel) const {
  FrameHeader header;
  header.type = type;
  header.source = config_.rank;
  header.channel = channel;
  header.destinations = destinations;
  header.epoch = epoch_;
  return header;
}

bool Communicator::send_datagram(uint64_t destinations, uint16_t channel, ConstBytes payload) {
  if (!destinations_ok(destinations) || payload.size() > max_payload_bytes(config_.mtu_bytes)) {
    return false;
  }
  uint8_t* const to = router_.claim(FrameType::kDatagram, destinations);
  if (to == nullptr) return false;
  if (!payload.empty()) std::memcpy(to, payload.data(), payload.size());
  FrameHeader header = header_for(FrameType::kDatagram, destinations, channel);
  header.length = static_cast<uint16_t>(payload.size());
  router_.send(header);
  return true;
}

void Communicator::pump(uint32_t now_us) {
  now_us_ = now_us;
  if (!pump_fault() || !begun_) return;
  for (uint8_t i = 0; i < config_.recv_slots; ++i) {
    if (recvs_[i].active && !recvs_[i].grant_sent && !pump_grant(&recvs_[i])) return;
  }
  // One frame from each send in turn, so that a long message does not hold up the short ones.
  for (uint8_t idle = 0; idle < config_.send_slots;) {
    SendSlot& send = sends_[next_send_];
    next_send_ = static_cast<uint8_t>((next_send_ + 1) % config_.send_slots);
    idle = pump_send(&send, now_us) ? uint8_t{0} : static_cast<uint8_t>(idle + 1);
  }
}

bool Communicator::pump_fault() {
  if (!fault_due_) return true;
  uint8_t* const to = router_.claim(FrameType::kFault, router_.others());
  if (to == nullptr) return false;
  to[0] = static_cast<uint8_t>(fault_.code);
  to[1] = fault_.rank;
  to[2] = fault_.reporter;
  to[3] = 0;
  FrameHeader header = header_for(FrameType::kFault, router_.others(), fault_.channel);
  header.epoch = fault_epoch_;
  header.length = kFaultBytes;
  router_.send(header);
  fault_due_ = false;
  return true;
}

bool Communicator::pump_grant(RecvSlot* recv) {
  const uint64_t destination = rank_bit(recv->source);
  if (router_.claim(FrameType::kGrant, destination) == nullptr) return false;
  FrameHeader header = header_for(FrameType::kGrant, destination, recv->channel);
  header.offset = recv->total_bytes;
  header.epoch = recv->epoch;
  router_.send(header);
  recv->grant_sent = true;
  return true;
}

// A multicast waits for all of its receivers, so that it crosses each wire once; but not for ever:
// one of them may be waiting for what another can only send after it got this message.
bool Communicator::start_batch(SendSlot* send, uint32_t now_us) {
  const uint64_t ready = send->remaining & send->granted;
  if (ready == 0) return false;
  const bool held = ready != send->remaining &&
                    now_us - send->first_grant_us < config_.timing.multicast_hold_us;
  if (held) return false;
  send->batch = ready;
  send->offset = 0;
  return true;
}

bool Communicator::pump_send(SendSlot* send, uint32_t now_us) {
  if (send->remaining == 0) return false;
  if (send->batch == 0 && !start_batch(send, now_us)) return false;
  uint8_t* const to = router_.claim(FrameType::kData, send->batch);
  if (to == nullptr) return false;
  const uint32_t most = static_cast<uint32_t>(max_payload_bytes(config_.mtu_bytes));
  const uint32_t left = send->total_bytes - send->offset;
  uint32_t count = left < most ? left : most;
  if (send->source == nullptr) {
    read_box(send->box, send->offset, to, count);
  } else {
    count = send->source->read(send->offset, to, count);
    if (count == 0) {  // not there yet
      router_.cancel_claim();
      return false;
    }
  }
  FrameHeader header = header_for(FrameType::kData, send->batch, send->channel);
  header.offset = send->offset;
  header.length = static_cast<uint16_t>(count);
  router_.send(header);
  send->offset += count;
  if (send->offset < send->total_bytes) return true;
  send->remaining &= ~send->batch;
  send->granted &= ~send->batch;
  send->batch = 0;
  send->first_grant_us = now_us;
  return true;
}

}  // namespace split_core
