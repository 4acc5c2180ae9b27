// SPDX-License-Identifier: Apache-2.0
// A node: links, router and communicator in memory that the caller gives. The header to include.
//
//   alignas(8) static uint8_t memory[Node::required_bytes(kConfig)];
//   Node* node = Node::create(memory, sizeof(memory), kConfig, streams, clock, &handler);
//   Error error = node->run_until_ready(5'000'000);
#ifndef SPLIT_CORE_NODE_H_
#define SPLIT_CORE_NODE_H_

#include "split_core/communicator.h"

namespace split_core {

class Node {
 public:
  // Bytes of memory, aligned to 8, for a node of this configuration.
  static constexpr size_t required_bytes(const NodeConfig& config);
  // Of these, the frame buffers.
  static constexpr size_t buffer_bytes(const NodeConfig& config) {
    return FramePool::buffer_count(config) * config.mtu_bytes;
  }
  // kOk, or kBadArgument if the configuration contradicts itself or the limits in config.h.
  static ErrorCode check(const NodeConfig& config);

  // `streams[i]` belongs to link i. The configuration is copied; streams, clock and handler (may
  // be null) must outlive the node. Null if check() fails or the memory is too small.
  static Node* create(void* memory, size_t memory_bytes, const NodeConfig& config,
                      ByteStream* const* streams, Clock& clock, DatagramHandler* datagrams);

  // Moves bytes; call it as often as possible. Everything happens in here.
  void poll();

  // The waits poll until done, and return the error that ended them; ok() if none did.
  Error run_until_ready(uint32_t timeout_us);     // every link is up
  Error run_until_complete(uint32_t timeout_us);  // every begun RECV has its bytes
  Error run_until_released(uint16_t channel, uint32_t timeout_us);  // the SEND's tensor is free
  Error run_until_idle(uint32_t timeout_us);  // all released and acknowledged by the neighbours

  // The neighbours have all that was given to the links: nothing waits for the next poll().
  bool all_acknowledged() const { return router_.all_acknowledged(); }
  // All sends are released and everything is acknowledged by the neighbours.
  bool is_idle() const {
    return communicator_.all_sends_released() && router_.all_acknowledged();
  }
  // Ends the inference because a wait ran out of time; names what was waited for first.
  void fail_with_timeout();

  // ok() when every link is up; else the first link that is not and why.
  Error link_error();
  // A SURVEY frame came on some link since create(), later than `settle_us` after `begun_us`: those that come
  // at once are repetitions of the one that led here.
  bool was_surveyed(uint32_t begun_us, uint32_t settle_us = 300'000);
  Communicator& communicator() { return communicator_; }
  Link& link(uint8_t index) { return links_[index]; }
  const NodeConfig& config() const { return config_; }

 private:
  struct Parts {
    LinkConfig* link_configs;
    Link* links;
    FrameSlot* slots;
    uint8_t** landings;
    uint8_t* queues;
    SendSlot* sends;
    RecvSlot* recvs;
    EarlyGrant* grants;
    uint8_t* buffers;
  };
  Node(const NodeConfig& config, const Parts& parts, Clock& clock, DatagramHandler* datagrams);

  static constexpr size_t aligned(size_t bytes) { return (bytes + 7) & ~size_t{7}; }
  template <typename Condition>
  Error run_until(Condition condition, uint32_t timeout_us);

  NodeConfig config_;
  Clock& clock_;
  FramePool pool_;
  Link* links_;
  Router router_;
  Communicator communicator_;
};

constexpr size_t Node::required_bytes(const NodeConfig& config) {
  const size_t links = config.link_count;
  const size_t slots = FramePool::slot_count(config);
  return aligned(sizeof(Node)) + aligned(links * sizeof(LinkConfig)) +
         aligned(links * sizeof(Link)) + aligned(slots * sizeof(FrameSlot)) +
         aligned(links * sizeof(uint8_t*)) + aligned(links * slots) +
         aligned(config.send_slots * sizeof(SendSlot)) +
         aligned(config.recv_slots * sizeof(RecvSlot)) +
         aligned(config.grant_slots * sizeof(EarlyGrant)) + aligned(buffer_bytes(config));
}

}  // namespace split_core

#endif  // SPLIT_CORE_NODE_H_
