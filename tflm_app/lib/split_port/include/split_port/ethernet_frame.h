// SPDX-License-Identifier: Apache-2.0
// Frames of links, straight on Ethernet (docs/ethernet.md):
//
//   to 6 | from 6 | 88 B5 | version, rank, receivers, 0, length 2 | frame of a link | receivers, 4 each
//
// A frame for several receivers is the same for all but for what each hop writes into its header; that
// stands behind it, by receiver.
#ifndef SPLIT_PORT_ETHERNET_FRAME_H_
#define SPLIT_PORT_ETHERNET_FRAME_H_

#include "split_core/frame.h"
#include "split_core/span.h"

namespace split_port {

inline constexpr uint16_t kEtherType = 0x88B5;  // IEEE 802: for local experiments
inline constexpr uint8_t kSegmentVersion = 1;
inline constexpr size_t kAddressBytes = 6;
inline constexpr size_t kPlanBytes = 3;  // of the fingerprint, in every address
inline constexpr size_t kEthernetHeaderBytes = 2 * kAddressBytes + 2;
inline constexpr size_t kSegmentHeaderBytes = kEthernetHeaderBytes + 6;
inline constexpr size_t kReceiverBytes = 4;
inline constexpr size_t kMaxReceivers = 15;
inline constexpr size_t kLeastEthernetBytes = 60;  // without FCS; shorter ones are filled up with zeros

constexpr size_t ethernet_bytes(size_t raw_bytes, size_t receivers) {
  const size_t bytes = kSegmentHeaderBytes + raw_bytes + kReceiverBytes * receivers;
  return bytes < kLeastEthernetBytes ? kLeastEthernetBytes : bytes;
}
inline constexpr size_t kMaxEthernetBytes = ethernet_bytes(split_core::kMaxMtuBytes, kMaxReceivers);

// Who a device is on its segment, and which ranks its links bring frames for.
struct SegmentPlace {
  uint8_t rank = 0;
  uint8_t world_size = 1;
  uint8_t plan[kPlanBytes] = {};  // the first bytes of the fingerprint
  uint16_t mtu_bytes = 512;
  bool has_host = false;  // frames to the host come by this rank
};

// The address of a rank; of all devices of the plan.
void store_address(const SegmentPlace& place, uint8_t rank, uint8_t* to);
void store_group_address(const SegmentPlace& place, uint8_t* to);

// A frame of a link, CRC included, for one receiver; room for more behind it. The frame stands at
// bytes + kSegmentHeaderBytes.
struct Outgoing {
  uint8_t* bytes = nullptr;
  uint16_t raw_bytes = 0;
  uint8_t receivers = 0;
};

// The first receiver.
void address_to(uint8_t rank, Outgoing* frame);
bool is_for(const Outgoing& frame, uint8_t rank);
// Whether all but the hop's own fields are alike, in frames that may be shared.
bool is_shareable(const Outgoing& a, const Outgoing& b);
// Adds the only receiver of `twin`, and the ranks behind it. False: there are enough.
bool share(const Outgoing& twin, Outgoing* frame);
// How often it leaves: once for most of the other devices, to the group, which a switch passes on to
// all; else once for each receiver, which costs nobody else's port anything.
uint8_t copies(const SegmentPlace& place, const Outgoing& frame);
// Writes what stands around the frame, for one of its copies; returns the bytes on Ethernet.
size_t seal(const SegmentPlace& place, uint8_t copy, Outgoing* frame);

// What came, if it is of this plan and for this rank: the link frame as its link wrote it, CRC
// included, and the rank of that link's other end. Empty: none of ours, or damaged.
split_core::ConstBytes open_frame(const SegmentPlace& place, split_core::MutableBytes ethernet,
                                  uint8_t* source);

}  // namespace split_port

#endif  // SPLIT_PORT_ETHERNET_FRAME_H_
