// SPDX-License-Identifier: Apache-2.0
// What the links of a device write, on its way to Ethernet. Links write one after the other within one
// poll; what they then have in common leaves as one frame for all of its receivers.
#ifndef SPLIT_PORT_SEGMENT_SENDER_H_
#define SPLIT_PORT_SEGMENT_SENDER_H_

#include "split_core/frame.h"
#include "split_port/ethernet_frame.h"

namespace split_port {

class EthernetDriver {
 public:
  // Takes a frame, addresses first, without FCS; false: no room now.
  virtual bool send(split_core::ConstBytes frame) = 0;
  // Hands over what has come, on boards where no interrupt does so.
  virtual void poll() {}

 protected:
  ~EthernetDriver() = default;
};

struct SegmentCounters {
  uint32_t frames = 0;  // on Ethernet
  uint32_t spared = 0;  // that a group address has saved
};

class SegmentSender {
 public:
  // Room for `memory` bytes of frames that wait: at least one, segment_tx_bytes() for four.
  SegmentSender(EthernetDriver& driver, split_core::MutableBytes memory)
      : driver_(driver), memory_(memory), decoder_(split_core::MutableBytes()) {}

  void begin(const SegmentPlace& place) { place_ = place; }
  // The next bytes of the link to `rank`: whole frames, COBS and all. Takes none when there is no room
  // for a frame; one that it has begun it takes to its end.
  size_t write(uint8_t rank, split_core::ConstBytes from);
  // Sends what waits, as far as the driver takes it.
  void flush();
  bool empty() const { return count_ == 0; }
  const SegmentCounters& counters() const { return counters_; }

 private:
  static constexpr size_t kMaxWaiting = 16;
  static constexpr uint8_t kNobody = 0xFF;

  bool begin_frame(uint8_t rank);
  bool is_whole() const;
  void end_frame();
  bool join_twin(const Outgoing& fresh, uint8_t rank);
  size_t most_bytes() const { return ethernet_bytes(place_.mtu_bytes, kMaxReceivers); }

  EthernetDriver& driver_;
  split_core::MutableBytes memory_;
  SegmentPlace place_;
  split_core::FrameDecoder decoder_;
  Outgoing waiting_[kMaxWaiting];
  size_t count_ = 0;
  size_t sent_ = 0;
  uint8_t copy_ = 0;  // of the next one to be sent
  size_t used_bytes_ = 0;
  uint8_t writer_ = kNobody;  // in the middle of a frame
  SegmentCounters counters_;
};

// Memory of a sender that holds one poll's frames: `frames` of full size.
constexpr size_t segment_tx_bytes(size_t mtu_bytes, size_t frames) {
  return frames * ethernet_bytes(mtu_bytes, kMaxReceivers);
}

}  // namespace split_port

#endif  // SPLIT_PORT_SEGMENT_SENDER_H_
