// SPDX-License-Identifier: Apache-2.0
#ifndef SPLIT_CORE_CONFIG_H_
#define SPLIT_CORE_CONFIG_H_

#include <cstddef>
#include <cstdint>

#include "split_core/error.h"
#include "split_core/frame.h"

namespace split_core {

inline constexpr size_t kFingerprintBytes = 16;
inline constexpr size_t kMaxRxSlots = 15;
inline constexpr size_t kMaxLinks = 16;

constexpr uint64_t rank_bit(uint8_t rank) { return uint64_t{1} << rank; }

// All times in microseconds, below 2^31.
struct Timing {
  uint32_t hello_interval_us = 20'000;  // between two HELLOs while the peer does not answer
  uint32_t poll_interval_us = 20'000;   // no progress for so long: ask the peer. Above one
                                        // window's time on the wire, or polls cost bandwidth
  uint32_t poll_interval_max_us = 160'000;   // polls double their distance up to this
  uint32_t peer_timeout_us = 2'000'000;      // unanswered polls for so long: the peer is silent.
                                             // Above the longest kernel between two poll()s
  uint32_t multicast_hold_us = 10'000;  // how long a SEND waits for all of its receivers before
                                        // it serves those that are ready
};

struct LinkConfig {
  uint8_t peer_rank = kNoRank;     // who must be at the other end
  uint8_t ring_next = kNoLink;     // the link into which ring traffic arriving here continues
  uint64_t destinations = 0;       // ranks reached through this link; disjoint over the links
};

// What a node is. `links` and the memory behind it must outlive the node.
struct NodeConfig {
  uint8_t rank = 0;
  uint8_t world_size = 1;  // devices in the plan
  uint8_t node_count = 1;  // ranks that may speak: world_size, plus 1 if a host takes part
  uint8_t link_count = 0;
  uint16_t mtu_bytes = 512;   // frame with header and CRC, without COBS; 256..1024, equal on all
  uint8_t rx_slots = 4;       // transit frames per link = the credit given to its peer; 2..15
  uint8_t tx_slots = 4;       // frames of our own under way, over all links
  uint8_t send_slots = 8;     // posted SENDs at one time
  uint8_t recv_slots = 8;     // boxes of one RECV
  uint8_t grant_slots = 16;   // (channel, size) pairs that others wait for before we post them
  uint32_t boot_nonce = 0;    // different after every reset: a hardware random number
  uint8_t fingerprint[kFingerprintBytes] = {};
  Timing timing;
  const LinkConfig* links = nullptr;
};

struct LinkCounters {
  uint32_t frames_sent = 0;      // sequenced frames, first time
  uint32_t frames_resent = 0;
  uint32_t frames_received = 0;  // sequenced frames accepted
  uint32_t duplicates = 0;       // came again after a retransmission; dropped
  uint32_t gaps = 0;             // arrived out of sequence; dropped, NAK sent
  uint32_t bad_headers = 0;
  uint32_t bad_acks = 0;         // acknowledged what was never sent
  uint32_t over_credit = 0;      // sent more than we granted; dropped
  uint32_t dropped = 0;          // could not be forwarded: no route, or the link was lost
  uint32_t stalls = 0;           // times that a frame waited because the peer gave no credit
  uint32_t polls = 0;
  uint32_t sessions = 0;         // times that the peer welcomed us
  uint32_t bytes_sent = 0;
  uint32_t bytes_received = 0;
};

}  // namespace split_core

#endif  // SPLIT_CORE_CONFIG_H_
