// SPDX-License-Identifier: Apache-2.0
// Forwards frames between the links of a node, delivers those for this rank, and injects its own.
//
//            link 0 ---> [rx slots] --+--> link 1 queue --->
//                                     +--> this rank (never waits)
//   communicator ------> [tx slots] --+--> link 0, link 1 queues
//
// A frame is forwarded as soon as it is accepted; a message never has to be complete anywhere but
// at its receivers. A multicast frame is one slot with one reference per link, and each link
// narrows the destination set to what lies behind it: every wire carries it once.
//
// A ring with a cut wire or a dead board is a line. A DATAGRAM that would leave on a link of the ring
// that is lost takes the other one, or turns back where it meets the cut, and goes on in that
// direction whatever the tables say (docs/wire_format.md, "Round the other way").
#ifndef SPLIT_CORE_ROUTER_H_
#define SPLIT_CORE_ROUTER_H_

#include "split_core/link.h"

namespace split_core {

class LocalReceiver {
 public:
  virtual void on_local_frame(uint8_t link, const FrameHeader& header, ConstBytes payload) = 0;
  // True for frames of an inference that is known to be lost: they are dropped in transit.
  virtual bool is_dead(const FrameHeader& header) const = 0;
  virtual void on_link_error(uint8_t link, ErrorCode code) = 0;

 protected:
  ~LocalReceiver() = default;
};

class Router final : public LinkListener {
 public:
  Router(const NodeConfig& config, FramePool& pool, LocalReceiver& local)
      : config_(config), pool_(pool), local_(local) {}
  void attach(Link* links) { links_ = links; }

  // Room for one frame of our own to `destinations`: its payload bytes, to be filled and then
  // handed to send(). Null if no slot is free or one of the links has its share of them already.
  uint8_t* claim(FrameType type, uint64_t destinations);
  // Sends what the last claim() returned. header.length counts the payload.
  void send(FrameHeader header);
  // Gives the last claim() back.
  void cancel_claim();

  // The link that leads to `rank`; kNoLink if none does.
  uint8_t link_to(uint8_t rank) const;
  // Every rank but this one.
  uint64_t others() const;
  Link& link(uint8_t index) { return links_[index]; }
  bool all_acknowledged() const;

  bool on_frame(uint8_t link, const FrameHeader& header, ConstBytes payload) override;
  void on_link_error(uint8_t link, ErrorCode code) override;

 private:
  uint8_t own_frames_per_link() const;
  bool is_sane(const FrameHeader& header) const;
  bool forward(uint8_t from, const FrameHeader& header);
  uint64_t entering(uint8_t link, FrameType type, uint64_t destinations) const;
  uint64_t travelling(uint8_t link, uint8_t from, const FrameHeader& header) const;
  uint8_t other_way(uint8_t link) const { return config_.links[link].ring_next; }

  const NodeConfig& config_;
  FramePool& pool_;
  LocalReceiver& local_;
  Link* links_ = nullptr;
  uint8_t claimed_ = FramePool::kNone;
};

}  // namespace split_core

#endif  // SPLIT_CORE_ROUTER_H_
