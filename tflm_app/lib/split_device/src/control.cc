// SPDX-License-Identifier: Apache-2.0
#include "split_device/control.h"

namespace split_device {

using split_core::ConstBytes;
using split_core::LinkState;

void Control::on_datagram(uint8_t source, uint16_t channel, ConstBytes payload) {
  if (channel != kControlChannel || source != node_->config().world_size) return;
  Query query;
  Start start;
  if (unpack(payload, &query)) {
    due_ |= query.what & (kAskInfo | kAskReport | kAskLinks | kAskText);
    token_ = query.token;
    next_link_ = 0;
  } else if (unpack(payload, &start)) {
    on_start(start);
  }
}

void Control::on_start(const Start& start) {
  const bool has_epoch = (info.flags & Info::kEpochValid) != 0;
  if (info.state == DeviceState::kBroken) {
    report.epoch = start.epoch;
    announce();
  } else if (start.is_ahead() && queue(start)) {
    return;
  } else if (!has_epoch || is_later(start.epoch, info.epoch)) {
    if (start.is_ahead()) return;  // the one before it was lost, or never came
    start_ = start;
    start_due_ = true;
    queued_due_ = false;
  } else if (start.epoch != info.epoch) {
    stale_due_ = true;
    due_ |= kAskReport;
  } else if (info.state == DeviceState::kIdle) {
    announce();
  }
}

// Only behind an inference that was not lost: the host begins that one anew, under a later number.
bool Control::queue(const Start& start) {
  const bool has_epoch = (info.flags & Info::kEpochValid) != 0;
  if (!start_due_ && !has_epoch) return false;
  // The one before it may be about to begin: its own forerunner has reported.
  const bool begins = queued_due_ && info.state == DeviceState::kIdle && !start_due_;
  if (begins && start.epoch == static_cast<uint16_t>(queued_.epoch + 1)) {
    start_due_ = take_queued(&start_);
    if (!start_due_) return true;
  }
  const uint16_t last = start_due_ ? start_.epoch : info.epoch;
  if (start.epoch != static_cast<uint16_t>(last + 1)) return false;
  const bool is_well = info.state == DeviceState::kBusy || report.status == ReportStatus::kDone;
  if (queued_due_ || !(start_due_ || is_well)) return true;
  queued_ = start;
  queued_due_ = true;
  if (!start_due_ && observer_ != nullptr) observer_->on_queued();
  return true;
}

bool Control::take_start(Start* start) {
  if (!start_due_) return take_queued(start);
  *start = start_;
  start_due_ = false;
  if (!queued_due_ && !is_later(queued_.epoch, start_.epoch)) queued_ = Start{};
  return true;
}

// When the report of the inference before it has left.
bool Control::take_queued(Start* start) {
  if (!queued_due_ || (due_ & kAskReport) != 0) return false;
  queued_due_ = false;
  if (!node_->communicator().error().ok()) return false;  // it was lost after all, elsewhere
  *start = queued_;
  return true;
}

// The last inference that a START was heeded for, begun or not.
uint16_t Control::last_heeded() const {
  const bool is_known = queued_.is_ahead() && is_later(queued_.epoch, info.epoch);
  return is_known ? queued_.epoch : info.epoch;
}

bool Control::send(size_t bytes) {
  const uint8_t host = node_->config().world_size;
  return node_->communicator().send_datagram(split_core::rank_bit(host), kControlChannel,
                                             ConstBytes(buffer_, bytes));
}

void Control::answer() {
  if (due_ == 0) return;
  if (due_ & kAskInfo) {
    info.token = token_;
    const bool up = node_->link_error().ok();
    info.flags = static_cast<uint8_t>((info.flags & ~Info::kLinksUp) | (up ? Info::kLinksUp : 0));
    Info sent = info;
    sent.epoch = last_heeded();
    if (!send(pack(sent, buffer_))) return;
    due_ &= static_cast<uint16_t>(~kAskInfo);
  }
  if (due_ & kAskReport) {
    if (!send_report()) return;
    due_ &= static_cast<uint16_t>(~kAskReport);
  }
  if (due_ & kAskLinks) {
    if (!send_links()) return;
    due_ &= static_cast<uint16_t>(~kAskLinks);
  }
  if (due_ & kAskText) {
    TextReport words;
    words.token = token_;
    words.text = ConstBytes(reinterpret_cast<const uint8_t*>(text.text()), text.size());
    if (!send(pack(words, buffer_))) return;
    due_ &= static_cast<uint16_t>(~kAskText);
  }
  token_ = 0;
}

bool Control::send_report() {
  report.token = token_;
  Report sent = report;
  if (stale_due_) {
    sent = Report{};
    sent.status = ReportStatus::kStale;
    sent.epoch = info.epoch;
  }
  if (!send(pack(sent, buffer_))) return false;
  stale_due_ = false;
  return true;
}

bool Control::send_links() {
  for (; next_link_ < node_->config().link_count; ++next_link_) {
    if (!send(pack(link_report(next_link_), buffer_))) return false;
  }
  return true;
}

LinkReport Control::link_report(uint8_t index) {
  split_core::Link& link = node_->link(index);
  const split_core::LinkCounters& c = link.counters();
  const split_core::DecoderCounters& d = link.decoder_counters();
  LinkReport result;
  result.link = index;
  result.peer = node_->config().links[index].peer_rank;
  result.token = token_;
  const bool refused = link.state() == LinkState::kRefused;
  result.state = link.is_up() ? 1 : refused ? 2 : 0;
  result.code = link.is_up() ? 0 : static_cast<uint8_t>(link.error());
  result.links = node_->config().link_count;
  result.claimed = link.claimed_rank();
  const uint32_t counters[LinkReport::kCounters] = {
      c.frames_sent, c.frames_resent, c.frames_received, c.duplicates, c.gaps,     c.bad_headers,
      c.bad_acks,    c.over_credit,   c.dropped,         c.stalls,     c.polls,    c.sessions,
      c.bytes_sent,  c.bytes_received, d.crc_errors,     d.cobs_errors, d.too_long, d.too_short};
  for (size_t i = 0; i < LinkReport::kCounters; ++i) result.counters[i] = counters[i];
  result.lost_bytes = lost_bytes_ == nullptr ? 0 : lost_bytes_(index);
  return result;
}

}  // namespace split_device
