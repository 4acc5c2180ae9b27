// SPDX-License-Identifier: Apache-2.0
// What of the sent frames the peer has, which of them are lost, and when to ask it.
//
// Every write of a sequenced frame, first or again, is a pass and has a number. The stream keeps
// order: once something of pass n is known to have arrived, a frame whose own last pass is before n
// and that the peer has not is lost. No time-out is in this, so nothing that is only slow is repeated.
#include "split_core/link.h"

namespace split_core {
namespace {

constexpr uint8_t kQuickPolls = 4;  // until then polls go by the round trip; later by the clock
constexpr uint32_t kLeastPollUs = 500;
constexpr uint8_t kTroubledFrames = 200;  // so long after a loss, credit is asked for quickly, too

constexpr bool is_before(uint16_t a, uint16_t b) { return static_cast<int16_t>(a - b) < 0; }

}  // namespace

void Link::acknowledge(uint8_t count, uint32_t now_us) {
  for (uint8_t i = 0; i < count; ++i, ++acked_) {
    has_arrived(pass_[acked_ % kWindow], now_us);
    release_slot(window_[acked_ % kWindow]);
  }
  lost_ = static_cast<uint16_t>(lost_ >> count);
  peer_held_ = static_cast<uint16_t>(peer_held_ >> count);
}

void Link::has_arrived(uint16_t pass, uint32_t now_us) {
  if (is_timing_ && !is_before(pass, timed_pass_)) {
    is_timing_ = false;
    if (pass == timed_pass_) take_round_trip(now_us - timed_since_us_);
  }
  if (is_before(arrived_, pass)) arrived_ = pass;
}

void Link::find_lost(uint32_t now_us) {
  for (uint8_t i = 0; i < unacknowledged(); ++i) {
    if (((peer_held_ >> i) & 1u) != 0) has_arrived(pass_[(acked_ + i) % kWindow], now_us);
  }
  const uint16_t before = lost_;
  for (uint8_t i = 0; i < unacknowledged(); ++i) {
    const bool is_here = ((peer_held_ >> i) & 1u) != 0;
    const auto bit = static_cast<uint16_t>(1u << i);
    if (is_here) lost_ = static_cast<uint16_t>(lost_ & ~bit);
    if (!is_here && is_before(pass_[(acked_ + i) % kWindow], arrived_)) {
      lost_ = static_cast<uint16_t>(lost_ | bit);
    }
  }
  if ((lost_ & ~before) == 0) return;
  trouble_ = kTroubledFrames;
  poll_interval_us_ = first_poll_us();
}

// ---- When to ask ----

void Link::ask(uint32_t now_us) {
  if (polls_unanswered_ == 0) silent_since_us_ = now_us;
  if (polls_unanswered_ < kQuickPolls) ++polls_unanswered_;
  ++counters_.polls;
  ++poll_number_;
  poll_due_ = poll_open_ = true;
  quiet_since_us_ = now_us;
}

// Because of what just came, without waiting. A peer that does not read has room for few POLLs.
void Link::ask_at_once(uint32_t now_us) {
  if (state_ == LinkState::kOpen && waits_for_peer() && polls_unanswered_ < kQuickPolls) ask(now_us);
}

// Because nothing came; the next time later.
void Link::ask_in_vain(uint32_t now_us) {
  const Timing& timing = config_.timing;
  ask(now_us);
  poll_interval_us_ *= 2;
  if (polls_unanswered_ >= kQuickPolls && poll_interval_us_ < timing.poll_interval_us) {
    poll_interval_us_ = timing.poll_interval_us;
  }
  if (poll_interval_us_ > timing.poll_interval_max_us) {
    poll_interval_us_ = timing.poll_interval_max_us;
  }
}

// The mean and four deviations, as TCP does (Jacobson 1988; RFC 6298); before anything is measured,
// and at most, what the plan says.
uint32_t Link::first_poll_us() const {
  const uint32_t most = config_.timing.poll_interval_us;
  if (round_trip_us_ == 0) return most;
  const uint32_t wanted = round_trip_us_ + 4 * deviation_us_;
  const uint32_t least = wanted < kLeastPollUs ? kLeastPollUs : wanted;
  return least < most ? least : most;
}

// To wait for credit alone is usual where a neighbour computes: quickly only if it may be lost.
uint32_t Link::poll_after_us() const {
  const uint32_t usual = config_.timing.poll_interval_us;
  const bool only_credit = unacknowledged() == 0 && trouble_ == 0;
  return only_credit && poll_interval_us_ < usual ? usual : poll_interval_us_;
}

// A sequenced frame has been written to its end.
void Link::time_frame(uint32_t now_us) {
  if (is_timing_) return;
  is_timing_ = true;
  timed_pass_ = static_cast<uint16_t>(passes_ - 1);
  timed_since_us_ = now_us;
}

void Link::take_round_trip(uint32_t sample_us) {
  if (round_trip_us_ == 0) {
    round_trip_us_ = sample_us + 1;
    deviation_us_ = sample_us / 2;
    return;
  }
  const uint32_t apart = sample_us > round_trip_us_ ? sample_us - round_trip_us_
                                                    : round_trip_us_ - sample_us;
  deviation_us_ = (3 * deviation_us_ + apart) / 4;
  round_trip_us_ = (7 * round_trip_us_ + sample_us) / 8 + 1;
}

}  // namespace split_core
