// SPDX-License-Identifier: Apache-2.0
#include "split_deploy/survey_bodies.h"

#include <cstring>

#include "split_core/endian.h"
#include "split_device/cluster_protocol.h"

namespace split_deploy {
namespace {

using split_core::ConstBytes;
using split_core::LinkConfig;
using split_core::NodeConfig;
using split_core::load_le;
using split_core::store_le;

// Of a session: docs/deployment.md fixes them.
constexpr uint8_t kSendSlots = 1;
constexpr uint8_t kRecvSlots = 2;
constexpr uint8_t kGrantSlots = 4;

bool is_time(uint32_t us) { return us >= 1 && us <= kMostUs; }

Refusal wrong(const char* what) {
  Refusal refusal;
  refusal.code = RefusalCode::kBadConfiguration;
  refusal.text = what;
  return refusal;
}

void load_config(const uint8_t* from, Adoption* adoption) {
  NodeConfig& config = adoption->config;
  config = NodeConfig{};
  std::memcpy(config.fingerprint, from, split_core::kFingerprintBytes);
  config.rank = from[16];
  config.world_size = from[17];
  config.node_count = from[18];
  config.link_count = from[19];
  config.mtu_bytes = load_le<uint16_t>(from + 20);
  config.rx_slots = from[22];
  config.tx_slots = from[23];
  config.timing.poll_interval_us = load_le<uint32_t>(from + 24);
  config.timing.peer_timeout_us = load_le<uint32_t>(from + 28);
  config.send_slots = kSendSlots;
  config.recv_slots = kRecvSlots;
  config.grant_slots = kGrantSlots;
  config.links = adoption->links;
}

}  // namespace

size_t pack(const Identity& identity, uint8_t* to) {
  std::memset(to, 0, Identity::kBytes);
  std::memcpy(to, identity.id, kIdBytes);
  for (size_t i = 0; i < kBoardBytes && identity.board[i] != '\0'; ++i) {
    to[16 + i] = static_cast<uint8_t>(identity.board[i]);
  }
  store_le<uint32_t>(to + 32, identity.boot);
  to[36] = identity.arrived;
  to[37] = identity.ports;
  to[38] = static_cast<uint8_t>(identity.state);
  to[39] = identity.flags;
  store_le<uint32_t>(to + 40, identity.store_bytes);
  store_le<uint32_t>(to + 44, identity.work_bytes);
  store_le<uint32_t>(to + 48, identity.baud);
  store_le<uint16_t>(to + 52, identity.mtu_bytes);
  to[54] = identity.slices;
  to[55] = split_device::kControlVersion;
  to[56] = kDeployVersion;
  to[57] = identity.slice;
  std::memcpy(to + 58, identity.deployment, kIdBytes);
  std::memcpy(to + 74, identity.fingerprint, split_core::kFingerprintBytes);
  to[90] = identity.rank;
  to[91] = identity.world_size;
  store_le<uint16_t>(to + 92, identity.rx_ring_bytes);
  store_le<uint16_t>(to + 94, identity.tx_ring_bytes);
  return Identity::kBytes;
}

size_t pack(const Refusal& refusal, uint8_t* to) {
  const size_t length = std::strlen(refusal.text);
  const size_t text_bytes = length < Refusal::kMaxTextBytes ? length : Refusal::kMaxTextBytes;
  std::memset(to, 0, Refusal::kHeadBytes);
  to[0] = static_cast<uint8_t>(refusal.code);
  store_le<uint32_t>(to + 4, refusal.number);
  std::memcpy(to + Refusal::kHeadBytes, refusal.text, text_bytes);
  return Refusal::kHeadBytes + text_bytes;
}

Refusal unpack(ConstBytes body, uint8_t board_ports, Adoption* adoption) {
  Refusal refusal;
  refusal.code = RefusalCode::kBadMessage;
  if (body.size() < Adoption::kHeadBytes) return refusal;
  const size_t links = body[19];
  if (body.size() != Adoption::kHeadBytes + links * Adoption::kLinkBytes) return refusal;
  if (links > split_core::kMaxLinks) return wrong("link_count");
  load_config(body.data(), adoption);
  const NodeConfig& config = adoption->config;
  for (size_t i = 0; i < links; ++i) {
    const uint8_t* const at = body.data() + Adoption::kHeadBytes + i * Adoption::kLinkBytes;
    const uint8_t port = at[0];
    if (port != kHostPort && port >= board_ports) return wrong("port");
    for (size_t other = 0; other < i; ++other) {
      if (adoption->ports[other] == port) return wrong("port");
    }
    adoption->ports[i] = port;
    adoption->links[i] = LinkConfig{at[1], at[2], load_le<uint64_t>(at + 3)};
  }
  if (!is_time(config.timing.poll_interval_us)) return wrong("poll_interval_us");
  if (!is_time(config.timing.peer_timeout_us)) return wrong("peer_timeout_us");
  if (config.node_count != config.world_size + 1) return wrong("node_count");
  if (config.rank >= config.world_size) return wrong("rank");
  return split_core::Node::check(config) == split_core::ErrorCode::kOk ? Refusal{}
                                                                      : wrong("configuration");
}

}  // namespace split_deploy
