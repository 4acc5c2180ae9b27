// SPDX-License-Identifier: Apache-2.0
// An Ethernet segment as this computer has it: a socket that carries one Ethernet frame in each packet,
// with a switch at its other end (docs/ethernet.md).
#ifndef SPLIT_PORT_HOST_SEGMENT_SOCKET_H_
#define SPLIT_PORT_HOST_SEGMENT_SOCKET_H_

#include <poll.h>

#include "split_port/ethernet_segment.h"

namespace split_port::host {

inline constexpr size_t kSegmentPeers = kMaxReceivers;

class SegmentSocket final : public EthernetDriver {
 public:
  SegmentSocket() : segment_(*this) {}

  // Takes "fd:N", inherited. Returns nullptr, or a message for the user that says what failed.
  const char* open(const char* where);
  bool is_open() const { return descriptor_ >= 0; }
  void join(const SegmentPlace& place);

  bool send(split_core::ConstBytes frame) override;
  void poll() override;

  split_core::ByteStream& stream(size_t index) { return segment_.stream(index); }
  const LinkCounters& counters(size_t index) const { return segment_.counters(index); }
  void flush() { segment_.flush(); }
  // What poll(2) should wait for, and what it found: the switch may be gone.
  pollfd interest() const;
  void notice(const pollfd& happened);
  bool has_ended() const { return has_ended_; }

 private:
  // Of any plan: 15 frames of 1,024 bytes for each of the others.
  static constexpr size_t kRxBytes = 16384;

  EthernetSegment<kSegmentPeers, kRxBytes, segment_tx_bytes(split_core::kMaxMtuBytes, 8)> segment_;
  int descriptor_ = -1;
  bool has_ended_ = false;
};

}  // namespace split_port::host

#endif  // SPLIT_PORT_HOST_SEGMENT_SOCKET_H_
