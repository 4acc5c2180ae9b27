// SPDX-License-Identifier: Apache-2.0
// What SEND, ASK and RECV share: boxes in options, and bytes moved from box to box of one device.
#ifndef SPLIT_DEVICE_BOXES_H_
#define SPLIT_DEVICE_BOXES_H_

#include "split_core/box.h"
#include "split_device/op_options.h"
#include "split_device/transfer.h"

namespace split_device {

// Boxes of `rank` dimensions in a vector; a box of a scalar takes no elements.
bool holds_boxes(const IntVector& boxes, uint32_t count, uint32_t rank);

bool lists_ranks(const IntVector& ranks, uint8_t node_count);

// A StridedBox wants memory to point to; in Prepare there may be none yet.
TensorView somewhere(const TensorView& tensor);

// Copies a box's elements to a box that shares no memory with it.
void copy_box(const split_core::StridedBox& from, const split_core::StridedBox& to);

// Whether two boxes reach over a byte in common.
bool share_memory(const split_core::StridedBox& a, const split_core::StridedBox& b);

// As memmove() would, of two boxes of the same elements, which may lie over each other.
void move_box(const split_core::StridedBox& from, const split_core::StridedBox& to);

// Whether two boxes of one size are the same memory: a planned arena may hold a shard inside the
// result that it becomes a part of (docs/arena.md).
bool is_same_memory(const split_core::StridedBox& a, const split_core::StridedBox& b);

uint32_t size_bytes(const TensorView& tensor);

}  // namespace split_device

#endif  // SPLIT_DEVICE_BOXES_H_
