// SPDX-License-Identifier: Apache-2.0
#include "split_core/node.h"

#include <cstring>
#include <new>

namespace split_core {

ErrorCode Node::check(const NodeConfig& config) {
  const bool sizes_ok =
      config.mtu_bytes >= kMinMtuBytes && config.mtu_bytes <= kMaxMtuBytes &&
      config.mtu_bytes % 4 == 0 && config.link_count >= 1 && config.link_count <= kMaxLinks &&
      config.links != nullptr && config.rx_slots >= 2 && config.rx_slots <= kMaxRxSlots &&
      config.tx_slots >= 1 && config.send_slots >= 1 && config.recv_slots >= 1 &&
      config.grant_slots >= 1 && FramePool::slot_count(config) < FramePool::kNone;
  const bool ranks_ok = config.world_size >= 1 && config.world_size <= config.node_count &&
                        config.node_count <= kMaxNodes && config.rank < config.node_count;
  if (!sizes_ok || !ranks_ok) return ErrorCode::kBadArgument;
  uint64_t seen = rank_bit(config.rank);
  for (uint8_t i = 0; i < config.link_count; ++i) {
    const LinkConfig& link = config.links[i];
    const bool overlaps = (seen & link.destinations) != 0;
    const bool ring_ok = link.ring_next == kNoLink ||
                         (link.ring_next < config.link_count && link.ring_next != i);
    if (overlaps || !ring_ok || link.peer_rank >= config.node_count) {
      return ErrorCode::kBadArgument;
    }
    seen |= link.destinations;
  }
  return ErrorCode::kOk;
}

Node* Node::create(void* memory, size_t memory_bytes, const NodeConfig& config,
                   ByteStream* const* streams, Clock& clock, DatagramHandler* datagrams) {
  if (check(config) != ErrorCode::kOk || memory_bytes < required_bytes(config)) return nullptr;
  auto* next = static_cast<uint8_t*>(memory);
  const auto carve = [&next](size_t bytes) {
    uint8_t* const place = next;
    next += aligned(bytes);
    return place;
  };
  const size_t slots = FramePool::slot_count(config);
  uint8_t* const node_memory = carve(sizeof(Node));
  Parts parts{};
  parts.link_configs =
      reinterpret_cast<LinkConfig*>(carve(config.link_count * sizeof(LinkConfig)));
  parts.links = reinterpret_cast<Link*>(carve(config.link_count * sizeof(Link)));
  parts.slots = reinterpret_cast<FrameSlot*>(carve(slots * sizeof(FrameSlot)));
  parts.landings = reinterpret_cast<uint8_t**>(carve(config.link_count * sizeof(uint8_t*)));
  parts.queues = carve(config.link_count * slots);
  parts.sends = reinterpret_cast<SendSlot*>(carve(config.send_slots * sizeof(SendSlot)));
  parts.recvs = reinterpret_cast<RecvSlot*>(carve(config.recv_slots * sizeof(RecvSlot)));
  parts.grants = reinterpret_cast<EarlyGrant*>(carve(config.grant_slots * sizeof(EarlyGrant)));
  parts.buffers = carve(buffer_bytes(config));
  for (uint8_t i = 0; i < config.link_count; ++i) {
    new (parts.link_configs + i) LinkConfig(config.links[i]);
  }
  for (size_t i = 0; i < slots; ++i) new (parts.slots + i) FrameSlot;
  for (uint8_t i = 0; i < config.send_slots; ++i) new (parts.sends + i) SendSlot;
  for (uint8_t i = 0; i < config.recv_slots; ++i) new (parts.recvs + i) RecvSlot;
  for (uint8_t i = 0; i < config.grant_slots; ++i) new (parts.grants + i) EarlyGrant;

  Node* const node = new (node_memory) Node(config, parts, clock, datagrams);
  for (uint8_t i = 0; i < config.link_count; ++i) {
    new (parts.links + i) Link(node->config_, i, *streams[i], node->pool_, node->router_,
                               parts.queues + i * slots);
  }
  return node;
}

Node::Node(const NodeConfig& config, const Parts& parts, Clock& clock, DatagramHandler* datagrams)
    : config_(config),
      clock_(clock),
      links_(parts.links),
      router_(config_, pool_, communicator_),
      communicator_(config_, router_, parts.sends, parts.recvs, parts.grants, datagrams) {
  config_.links = parts.link_configs;
  pool_.init(config_, parts.slots, parts.landings, parts.buffers);
  router_.attach(links_);
}

void Node::poll() {
  const uint32_t now_us = clock_.now_us();
  for (uint8_t i = 0; i < config_.link_count; ++i) links_[i].receive(now_us);
  communicator_.pump(now_us);
  for (uint8_t i = 0; i < config_.link_count; ++i) links_[i].transmit(now_us);
}

Error Node::link_error() {
  for (uint8_t i = 0; i < config_.link_count; ++i) {
    Link& link = links_[i];
    if (link.is_up()) continue;
    Error error;
    error.code = link.error() == ErrorCode::kOk ? ErrorCode::kPeerSilent : link.error();
    const bool named = link.state() == LinkState::kRefused && link.claimed_rank() != kNoRank;
    error.rank = named ? link.claimed_rank() : config_.links[i].peer_rank;
    error.link = i;
    error.reporter = config_.rank;
    return error;
  }
  return Error{};
}

bool Node::was_surveyed(uint32_t begun_us, uint32_t settle_us) {
  const bool settles = clock_.now_us() - begun_us < settle_us;
  for (uint8_t i = 0; i < config_.link_count; ++i) {
    if (settles) links_[i].forget_survey();
    if (links_[i].was_surveyed()) return true;
  }
  return false;
}

Error Node::run_until_ready(uint32_t timeout_us) {
  const uint32_t start_us = clock_.now_us();
  while (true) {
    poll();
    const Error error = link_error();
    const bool refused = error.code >= ErrorCode::kVersionMismatch &&
                         error.code <= ErrorCode::kMtuMismatch;
    if (error.ok() || refused || clock_.now_us() - start_us >= timeout_us) return error;
    clock_.idle();
  }
}

void Node::fail_with_timeout() {
  communicator_.fail_with_timeout();
  for (uint8_t i = 0; i < config_.link_count && communicator_.error().ok(); ++i) {
    if (links_[i].all_acknowledged()) continue;
    communicator_.fail(ErrorCode::kTimeout, config_.links[i].peer_rank, i, kNoChannel);
  }
}

template <typename Condition>
Error Node::run_until(Condition condition, uint32_t timeout_us) {
  const uint32_t start_us = clock_.now_us();
  while (true) {
    poll();
    if (!communicator_.error().ok()) break;
    if (condition()) return Error{};
    if (clock_.now_us() - start_us >= timeout_us) {
      fail_with_timeout();
      poll();  // let the others know while we are here
      break;
    }
    clock_.idle();
  }
  return communicator_.error();
}

Error Node::run_until_complete(uint32_t timeout_us) {
  return run_until([this] { return communicator_.recvs_complete(); }, timeout_us);
}

Error Node::run_until_released(uint16_t channel, uint32_t timeout_us) {
  return run_until([this, channel] { return communicator_.send_released(channel); }, timeout_us);
}

Error Node::run_until_idle(uint32_t timeout_us) {
  return run_until([this] { return is_idle(); }, timeout_us);
}

}  // namespace split_core
