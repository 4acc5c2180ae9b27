// SPDX-License-Identifier: Apache-2.0
// HELLO, WELCOME, REFUSE: whether the peer is the right one, and since when.
#include <cstring>

#include "split_core/endian.h"
#include "split_core/link.h"

namespace split_core {
namespace {

constexpr size_t kHelloBytes = 32;
constexpr size_t kRefuseBytes = 1;

}  // namespace

// Payload of HELLO and WELCOME.
struct Link::Hello {
  uint32_t boot = 0;
  uint32_t echo_boot = 0;
  uint16_t session = 0;
  uint16_t echo_session = 0;
  uint16_t mtu_bytes = 0;
  uint8_t world_size = 0;
  uint8_t node_count = 0;
  uint8_t fingerprint[kFingerprintBytes] = {};

  void store(uint8_t* to) const {
    store_le<uint32_t>(to, boot);
    store_le<uint32_t>(to + 4, echo_boot);
    store_le<uint16_t>(to + 8, session);
    store_le<uint16_t>(to + 10, echo_session);
    store_le<uint16_t>(to + 12, mtu_bytes);
    to[14] = world_size;
    to[15] = node_count;
    std::memcpy(to + 16, fingerprint, kFingerprintBytes);
  }
  bool load(ConstBytes from) {
    if (from.size() != kHelloBytes) return false;
    boot = load_le<uint32_t>(from.data());
    echo_boot = load_le<uint32_t>(from.data() + 4);
    session = load_le<uint16_t>(from.data() + 8);
    echo_session = load_le<uint16_t>(from.data() + 10);
    mtu_bytes = load_le<uint16_t>(from.data() + 12);
    world_size = from[14];
    node_count = from[15];
    std::memcpy(fingerprint, from.data() + 16, kFingerprintBytes);
    return true;
  }
};

void Link::handle_stranger(const FrameHeader& header) {
  if (header.type == FrameType::kHello) {
    claimed_rank_ = header.source;
    refuse_due_ = true;
    refuse_reason_ = ErrorCode::kVersionMismatch;
  } else if (header.type != FrameType::kRefuse) {
    return;
  }
  close_session(LinkState::kRefused, ErrorCode::kVersionMismatch);
}

ErrorCode Link::check_identity(const FrameHeader& header, const Hello& hello) const {
  if (std::memcmp(hello.fingerprint, config_.fingerprint, kFingerprintBytes) != 0) {
    return ErrorCode::kFingerprintMismatch;
  }
  if (hello.world_size != config_.world_size || hello.node_count != config_.node_count) {
    return ErrorCode::kWorldSizeMismatch;
  }
  if (header.source != link_config().peer_rank) return ErrorCode::kRankMismatch;
  if (hello.mtu_bytes != config_.mtu_bytes) return ErrorCode::kMtuMismatch;
  return ErrorCode::kOk;
}

void Link::turn_away(uint8_t rank, ErrorCode reason) {
  claimed_rank_ = rank;
  refuse_due_ = true;
  refuse_reason_ = reason;
  forget_held();
  rx_open_ = false;
  close_session(LinkState::kRefused, reason);
}

void Link::handle_hello(const FrameHeader& header, ConstBytes payload, uint32_t now_us) {
  Hello hello;
  if (!hello.load(payload)) {
    ++counters_.bad_headers;
    return;
  }
  claimed_rank_ = header.source;
  const ErrorCode error = check_identity(header, hello);
  if (error != ErrorCode::kOk) return turn_away(header.source, error);
  const bool known = rx_open_ || state_ == LinkState::kOpen;
  const bool rebooted = known && hello.boot != peer_boot_;
  if (!rx_open_ || rebooted || hello.session != peer_session_) {
    rx_open_ = true;
    peer_boot_ = hello.boot;
    peer_session_ = hello.session;
    forget_held();
    expected_ = told_ack_ = told_credit_end_ = 0;
    nak_due_ = false;
    status_due_ = false;
  }
  welcome_due_ = true;
  if (rebooted) close_session(LinkState::kLost, ErrorCode::kPeerReset);
  // The peer is there: what is queued from now on may wait for its WELCOME. Unless it is the peer
  // that refuses us; then only its WELCOME changes that.
  if (state_ != LinkState::kOpen && !refused_by_peer_) {
    if (state_ != LinkState::kConnecting) hello_due_ = true;
    state_ = LinkState::kConnecting;
    error_ = ErrorCode::kOk;
    quiet_since_us_ = now_us;
  }
}

void Link::handle_welcome(const FrameHeader& header, ConstBytes payload, uint32_t now_us) {
  Hello hello;
  if (!hello.load(payload)) {
    ++counters_.bad_headers;
    return;
  }
  const bool ours = hello.echo_boot == config_.boot_nonce && hello.echo_session == session_ &&
                    check_identity(header, hello) == ErrorCode::kOk;
  // Another boot than that of its last HELLO: it was reset, and its next HELLO puts that right.
  const bool anew = rx_open_ && hello.boot != peer_boot_;
  if (!ours || anew || state_ == LinkState::kOpen) return;
  peer_boot_ = hello.boot;
  open_session(header, now_us);
}

void Link::handle_refuse(const FrameHeader& header, ConstBytes payload) {
  if (payload.size() != kRefuseBytes) {
    ++counters_.bad_headers;
    return;
  }
  claimed_rank_ = header.source;
  refused_by_peer_ = true;
  const auto reason = static_cast<ErrorCode>(payload[0]);
  const bool sane = reason >= ErrorCode::kVersionMismatch && reason <= ErrorCode::kMtuMismatch;
  close_session(LinkState::kRefused, sane ? reason : ErrorCode::kFingerprintMismatch);
}

void Link::send_hello(FrameType type) {
  Hello hello;
  hello.boot = config_.boot_nonce;
  hello.session = session_;
  hello.mtu_bytes = config_.mtu_bytes;
  hello.world_size = config_.world_size;
  hello.node_count = config_.node_count;
  std::memcpy(hello.fingerprint, config_.fingerprint, kFingerprintBytes);
  if (type == FrameType::kWelcome) {
    hello.echo_boot = peer_boot_;
    hello.echo_session = peer_session_;
  }
  hello.store(control_payload_);
  send_hop_frame(type, 0, ConstBytes(control_payload_, kHelloBytes));
}

void Link::send_refuse() {
  control_payload_[0] = static_cast<uint8_t>(refuse_reason_);
  send_hop_frame(FrameType::kRefuse, 0, ConstBytes(control_payload_, kRefuseBytes));
}

}  // namespace split_core
