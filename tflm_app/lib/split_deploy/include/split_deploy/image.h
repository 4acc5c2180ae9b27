// SPDX-License-Identifier: Apache-2.0
// Images (docs/deployment.md): slices of one or several plans, each a configuration and a model, as
// they lie in a store. Nothing in them is believed before it was checked.
#ifndef SPLIT_DEPLOY_IMAGE_H_
#define SPLIT_DEPLOY_IMAGE_H_

#include "split_core/node.h"
#include "split_deploy/survey_bodies.h"

namespace split_deploy {

inline constexpr uint16_t kImageVersion = 1;
inline constexpr size_t kImageAlignmentBytes = 16;
inline constexpr uint8_t kMaxSlices = 64;
inline constexpr uint8_t kNoBoard = 0xFF;

// One slice, read. `node.links` points to `links`; pointers lead into the image.
struct Slice {
  static constexpr uint8_t kCmsisNnArena = 1;

  Slice() = default;
  Slice(const Slice&) = delete;
  Slice& operator=(const Slice&) = delete;

  split_core::NodeConfig node;
  split_core::LinkConfig links[split_core::kMaxLinks];
  uint8_t ports[split_core::kMaxLinks] = {};
  uint8_t flags = 0;
  uint8_t lost = kNoBoard;  // rank that the slice does without
  uint32_t timeout_us = 0;
  uint32_t background_poll_us = 0;
  uint32_t arena_bytes = 0;
  uint32_t required_arena_bytes = 0;
  uint32_t baud = 0;
  char board[kBoardBytes + 1] = {};
  const char* mark = nullptr;  // ends with a zero
  const uint8_t* model = nullptr;
  uint32_t model_bytes = 0;
};

// What a board has, to see whether a slice is for it.
struct BoardLimits {
  const char* board = "";
  uint8_t ports = 0;
  uint8_t flags = 0;  // as Slice::flags
  uint16_t mtu_bytes = split_core::kMaxMtuBytes;
  uint32_t baud = 0;
  uint32_t work_bytes = 0;
  uint32_t posted_bytes = 0;   // of one SEND that is posted
  uint16_t rx_ring_bytes = 0;  // as Identity has it
};

// All of an image, by itself: null, or the field that cannot be as docs/deployment.md names it.
const char* check_image(split_core::ConstBytes image);
// Of an image that check_image() finds sound; index < slices_of(image).
uint8_t slices_of(split_core::ConstBytes image);
void read_slice(split_core::ConstBytes image, uint8_t index, Slice* slice);
// Whether a sound slice is for this board: kBadImage names the field, kTooLittleMemory says how many
// bytes are missing.
Refusal check_fit(const Slice& slice, const BoardLimits& limits);
// All slices of an image that is sound.
Refusal check_fit(split_core::ConstBytes image, const BoardLimits& limits);
// Whether all that a neighbour may send before it is read has room in a link's ring.
bool fits_ring(const split_core::NodeConfig& node, uint16_t rx_ring_bytes);
// Of the work memory: arena, node and posted SENDs, each aligned to 16.
uint64_t work_bytes_of(const Slice& slice, const BoardLimits& limits);

}  // namespace split_deploy

#endif  // SPLIT_DEPLOY_IMAGE_H_
