// SPDX-License-Identifier: Apache-2.0
// The boards' Ethernet controller, SMSC's LAN9118 or its successor LAN9220 (data sheet DS00002266), as the
// driver of a segment. What comes is taken by its interrupt.
#ifndef SPLIT_PORT_MPS2_LAN9118_H_
#define SPLIT_PORT_MPS2_LAN9118_H_

#include "board.h"
#include "split_port/ethernet_segment.h"
#include "split_port/ring_bytes.h"

// Other devices of the plan, and the largest frame of their links: the build says so.
#ifndef SPLIT_PORT_PEERS
#define SPLIT_PORT_PEERS 1
#endif
#ifndef SPLIT_PORT_MTU_BYTES
#define SPLIT_PORT_MTU_BYTES 512
#endif

namespace split_port::mps2 {

class Lan9118 final : public EthernetDriver {
 public:
  Lan9118() : segment_(*this) {}

  // False: there is no controller, or the plan has more devices than this was built for.
  bool begin(const SegmentPlace& place);
  bool has_begun() const { return has_begun_; }

  bool send(split_core::ConstBytes frame) override;
  // Called by the interrupt handler.
  void on_interrupt();

  split_core::ByteStream& stream(size_t index) { return segment_.stream(index); }
  LinkCounters counters(size_t index) const;
  void flush() { segment_.flush(); }
  bool has_received() const { return has_begun_ && segment_.has_received(); }
  bool sent_all() const { return segment_.sent_all(); }

 private:
  void take_frame();

  static constexpr size_t kWaitingFrames = 4;

  bool has_begun_ = false;
  EthernetSegment<SPLIT_PORT_PEERS, SPLIT_PORT_RX_BYTES, segment_tx_bytes(SPLIT_PORT_MTU_BYTES, kWaitingFrames)>
      segment_;
  alignas(4) uint8_t frame_[kMaxEthernetBytes + 4];  // and the FCS
};

}  // namespace split_port::mps2

#endif  // SPLIT_PORT_MPS2_LAN9118_H_
