// SPDX-License-Identifier: Apache-2.0
#include "split_core/split_core_c.h"

#include <cstring>
#include <new>

#include "split_core/node.h"

// Not an anonymous namespace: split_core_node, which callers know by name, is made of these.
namespace split_core {
namespace c_api {

class Fifo {
 public:
  void init(uint8_t* memory, size_t capacity) {
    memory_ = memory;
    capacity_ = capacity;
  }
  size_t put(ConstBytes from) {
    size_t count = 0;
    while (count < from.size() && used_ < capacity_) {
      memory_[(begin_ + used_++) % capacity_] = from[count++];
    }
    return count;
  }
  size_t take(MutableBytes to) {
    size_t count = 0;
    while (count < to.size() && used_ > 0) {
      to[count++] = memory_[begin_];
      begin_ = (begin_ + 1) % capacity_;
      --used_;
    }
    return count;
  }

 private:
  uint8_t* memory_ = nullptr;
  size_t capacity_ = 0;
  size_t begin_ = 0;
  size_t used_ = 0;
};

class FifoStream final : public ByteStream {
 public:
  size_t read(MutableBytes to) override { return in.take(to); }
  size_t write(ConstBytes from) override { return out.put(from); }
  Fifo in;
  Fifo out;
};

class GivenClock final : public Clock {
 public:
  uint32_t now_us() override { return time_us; }
  uint32_t time_us = 0;
};

inline size_t fifo_in_bytes(const NodeConfig& config) {
  return config.rx_slots * max_encoded_bytes(config.mtu_bytes) + 256;
}
inline size_t fifo_out_bytes(const NodeConfig& config) { return max_encoded_bytes(config.mtu_bytes); }
constexpr size_t aligned(size_t bytes) { return (bytes + 7) & ~size_t{7}; }

template <typename T>
void take_if_set(T* to, T value) {
  if (value != 0) *to = value;
}

// `links` must have room for kMaxLinks. False if there are too many.
inline bool convert(const split_core_config& from, LinkConfig* links, NodeConfig* to) {
  if (from.link_count > kMaxLinks || from.links == nullptr) return false;
  for (uint8_t i = 0; i < from.link_count; ++i) {
    links[i].peer_rank = from.links[i].peer_rank;
    links[i].ring_next = from.links[i].ring_next;
    links[i].destinations = from.links[i].destinations;
  }
  to->links = links;
  to->link_count = from.link_count;
  to->rank = from.rank;
  to->world_size = from.world_size;
  to->node_count = from.node_count;
  to->boot_nonce = from.boot_nonce;
  std::memcpy(to->fingerprint, from.fingerprint, kFingerprintBytes);
  take_if_set(&to->mtu_bytes, from.mtu_bytes);
  take_if_set(&to->rx_slots, from.rx_slots);
  take_if_set(&to->tx_slots, from.tx_slots);
  take_if_set(&to->send_slots, from.send_slots);
  take_if_set(&to->recv_slots, from.recv_slots);
  take_if_set(&to->grant_slots, from.grant_slots);
  take_if_set(&to->timing.hello_interval_us, from.hello_interval_us);
  take_if_set(&to->timing.poll_interval_us, from.poll_interval_us);
  take_if_set(&to->timing.poll_interval_max_us, from.poll_interval_max_us);
  take_if_set(&to->timing.peer_timeout_us, from.peer_timeout_us);
  take_if_set(&to->timing.multicast_hold_us, from.multicast_hold_us);
  return Node::check(*to) == ErrorCode::kOk;
}

inline StridedBox to_box(const split_core_box& from) {
  StridedBox box;
  box.base = static_cast<uint8_t*>(from.base);
  box.element_bytes = from.element_bytes;
  for (int axis = 0; axis < 4; ++axis) {
    box.extent[axis] = from.extent[axis];
    box.stride_bytes[axis] = from.stride_bytes[axis];
  }
  return box;
}

inline int report(const Error& error, char* text, size_t capacity) {
  if (text != nullptr) format_error(error, text, capacity);
  return static_cast<int>(error.code);
}

}  // namespace c_api
}  // namespace split_core

using namespace split_core;
using namespace split_core::c_api;

struct split_core_node final : DatagramHandler {
  void on_datagram(uint8_t source, uint16_t channel, ConstBytes payload) override {
    if (callback != nullptr) callback(context, source, channel, payload.data(), payload.size());
  }
  GivenClock clock;
  FifoStream streams[kMaxLinks];
  split_core_datagram_fn callback = nullptr;
  void* context = nullptr;
  Node* node = nullptr;
};

size_t split_core_required_bytes(const split_core_config* config) {
  LinkConfig links[kMaxLinks];
  NodeConfig converted;
  if (!convert(*config, links, &converted)) return 0;
  const size_t fifos = aligned(fifo_in_bytes(converted)) + aligned(fifo_out_bytes(converted));
  return aligned(sizeof(split_core_node)) + converted.link_count * fifos +
         Node::required_bytes(converted);
}

split_core_node* split_core_create(void* memory, size_t memory_bytes,
                                   const split_core_config* config,
                                   split_core_datagram_fn on_datagram, void* context) {
  const size_t required = split_core_required_bytes(config);
  if (required == 0 || memory_bytes < required) return nullptr;
  LinkConfig links[kMaxLinks];
  NodeConfig converted;
  convert(*config, links, &converted);
  auto* next = static_cast<uint8_t*>(memory);
  auto* const self = new (next) split_core_node;
  next += aligned(sizeof(split_core_node));
  self->callback = on_datagram;
  self->context = context;
  ByteStream* streams[kMaxLinks];
  for (uint8_t i = 0; i < converted.link_count; ++i) {
    self->streams[i].in.init(next, fifo_in_bytes(converted));
    next += aligned(fifo_in_bytes(converted));
    self->streams[i].out.init(next, fifo_out_bytes(converted));
    next += aligned(fifo_out_bytes(converted));
    streams[i] = &self->streams[i];
  }
  self->node = Node::create(next, Node::required_bytes(converted), converted, streams, self->clock,
                            self);
  return self;
}

size_t split_core_feed(split_core_node* node, uint8_t link, const uint8_t* bytes, size_t count) {
  return node->streams[link].in.put(ConstBytes(bytes, count));
}

size_t split_core_drain(split_core_node* node, uint8_t link, uint8_t* to, size_t capacity) {
  return node->streams[link].out.take(MutableBytes(to, capacity));
}

void split_core_poll(split_core_node* node, uint32_t now_us) {
  node->clock.time_us = now_us;
  node->node->poll();
}

void split_core_begin_epoch(split_core_node* node, uint16_t epoch) {
  node->node->communicator().begin_epoch(epoch);
}

int split_core_post_send(split_core_node* node, uint16_t channel, uint64_t destinations,
                         const split_core_box* box) {
  return report(node->node->communicator().post_send(channel, destinations, to_box(*box)), nullptr,
                0);
}

int split_core_begin_recv(split_core_node* node, uint16_t channel, uint8_t source,
                          const split_core_box* box) {
  return report(node->node->communicator().begin_recv(channel, source, to_box(*box)), nullptr, 0);
}

int split_core_recvs_complete(const split_core_node* node) {
  return node->node->communicator().recvs_complete() ? 1 : 0;
}

int split_core_send_released(const split_core_node* node, uint16_t channel) {
  return node->node->communicator().send_released(channel) ? 1 : 0;
}

int split_core_idle(split_core_node* node) { return node->node->is_idle() ? 1 : 0; }

int split_core_ready(split_core_node* node) { return node->node->link_error().ok() ? 1 : 0; }

int split_core_send_datagram(split_core_node* node, uint64_t destinations, uint16_t channel,
                             const uint8_t* payload, size_t payload_bytes) {
  const ConstBytes bytes(payload, payload_bytes);
  return node->node->communicator().send_datagram(destinations, channel, bytes) ? 1 : 0;
}

void split_core_fail_with_timeout(split_core_node* node) { node->node->fail_with_timeout(); }

void split_core_fail(split_core_node* node, uint8_t code, uint8_t rank) {
  node->node->communicator().fail(static_cast<ErrorCode>(code), rank, kNoLink, kNoChannel);
}

int split_core_error(split_core_node* node, char* text, size_t capacity) {
  return report(node->node->communicator().error(), text, capacity);
}

int split_core_link_error(split_core_node* node, char* text, size_t capacity) {
  return report(node->node->link_error(), text, capacity);
}

void split_core_get_error(split_core_node* node, split_core_error_info* info) {
  const Error& error = node->node->communicator().error();
  *info = {static_cast<uint8_t>(error.code), error.rank, error.link, error.reporter,
           error.channel, 0};
}

int split_core_link_state(split_core_node* node, uint8_t link, uint8_t* code) {
  const Link& from = node->node->link(link);
  const bool up = from.is_up();
  *code = up ? uint8_t{0} : static_cast<uint8_t>(from.error());
  return up ? 1 : from.state() == LinkState::kRefused ? 2 : 0;
}

uint8_t split_core_link_claimed(split_core_node* node, uint8_t link) {
  return node->node->link(link).claimed_rank();
}

void split_core_get_counters(split_core_node* node, uint8_t link, split_core_counters* counters) {
  const LinkCounters& from = node->node->link(link).counters();
  const DecoderCounters& decoder = node->node->link(link).decoder_counters();
  *counters = {from.frames_sent,  from.frames_resent,  from.frames_received, from.duplicates,
               from.gaps,         from.bad_headers,    from.bad_acks,        from.over_credit,
               from.dropped,      from.stalls,         from.polls,           from.sessions,
               from.bytes_sent,   from.bytes_received, decoder.crc_errors,   decoder.cobs_errors,
               decoder.too_long,  decoder.too_short};
}
