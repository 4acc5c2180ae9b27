// SPDX-License-Identifier: Apache-2.0
// A byte stream to every other device of a plan, over one Ethernet port.
//
//   link ── write ──> SegmentSender ──> driver ~~ switch ~~> driver ── take ──> ring ── read ──> link
//
// A frame that comes is written into the ring of its sender's link as that link wrote it. write(),
// read() and flush() belong to the program and its ticks, take() to whoever has the driver's frames:
// an interrupt, or the driver's poll().
#ifndef SPLIT_PORT_ETHERNET_SEGMENT_H_
#define SPLIT_PORT_ETHERNET_SEGMENT_H_

#include "split_core/byte_stream.h"
#include "split_port/port.h"
#include "split_port/ring_buffer.h"
#include "split_port/segment_sender.h"

namespace split_port {

template <size_t kPeers, size_t kRxBytes, size_t kTxBytes>
class EthernetSegment {
 public:
  explicit EthernetSegment(EthernetDriver& driver)
      : driver_(driver), sender_(driver, split_core::MutableBytes(waiting_, sizeof waiting_)) {}

  // False: there are more others than this has rings for.
  bool begin(const SegmentPlace& place) {
    if (place.world_size > kPeers + 1 || place.rank >= place.world_size) return false;
    place_ = place;
    sender_.begin(place);
    for (size_t index = 0; index < kPeers; ++index) {
      peers_[index].segment = this;
      peers_[index].rank = static_cast<uint8_t>(index < place.rank ? index : index + 1);
    }
    return true;
  }
  bool has_begun() const { return place_.world_size > 1; }

  // The other devices in the order of their ranks.
  split_core::ByteStream& stream(size_t index) { return peers_[index]; }
  const LinkCounters& counters(size_t index) const { return peers_[index].counters; }
  const SegmentCounters& counters() const { return sender_.counters(); }

  void take(split_core::MutableBytes ethernet) {
    uint8_t source = 0;
    const split_core::ConstBytes raw = open_frame(place_, ethernet, &source);
    if (raw.size() == 0) return;
    Peer& peer = peers_[source < place_.rank ? source : source - 1];
    if (peer.rx.free() < split_core::max_encoded_bytes(raw.size())) {
      peer.counters.lost_bytes += static_cast<uint32_t>(raw.size());
      return;
    }
    encode(raw, &peer);
  }

  void flush() {
    if (!sender_.empty()) sender_.flush();
  }
  bool sent_all() const { return sender_.empty(); }
  bool has_received() const {
    for (const Peer& peer : peers_) {
      if (!peer.rx.empty()) return true;
    }
    return false;
  }

 private:
  struct Peer final : split_core::ByteStream {
    size_t read(split_core::MutableBytes to) override {
      if (segment == nullptr) return 0;
      segment->flush();
      segment->driver_.poll();
      return rx.pop(to);
    }
    size_t write(split_core::ConstBytes from) override {
      const size_t taken = segment == nullptr ? 0 : segment->sender_.write(rank, from);
      counters.sent_bytes += taken;
      return taken;
    }
    EthernetSegment* segment = nullptr;
    uint8_t rank = 0;
    RingBuffer<kRxBytes> rx;
    LinkCounters counters;
  };

  // COBS between two delimiters; there is room.
  static void encode(split_core::ConstBytes raw, Peer* peer) {
    constexpr size_t kLongest = 254;
    peer->rx.push(0);
    peer->counters.received_bytes += 2;  // the delimiters
    size_t at = 0;
    bool has_more = true;
    while (has_more) {
      const size_t most = raw.size() - at < kLongest ? raw.size() - at : kLongest;
      const split_core::ConstBytes rest = raw.subspan(at).first(most);
      const size_t run = split_core::bytes_before_zero(rest);
      peer->rx.push(static_cast<uint8_t>(run + 1));
      peer->rx.push(rest.first(run));
      peer->counters.received_bytes += run + 1;
      at += run;
      has_more = at < raw.size();
      if (run < kLongest) ++at;  // the zero that the block stands for
    }
    peer->rx.push(0);
  }

  EthernetDriver& driver_;
  SegmentSender sender_;
  SegmentPlace place_;
  Peer peers_[kPeers];
  uint8_t waiting_[kTxBytes];
};

}  // namespace split_port

#endif  // SPLIT_PORT_ETHERNET_SEGMENT_H_
