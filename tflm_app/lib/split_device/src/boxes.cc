// SPDX-License-Identifier: Apache-2.0
#include "boxes.h"

#include <cstring>

namespace split_device {
namespace {

using split_core::StridedBox;

constexpr uint32_t kAxes = 4;
constexpr uint32_t kCopyBytes = 256;

// Where byte `offset` of the box as a message lies; the first of an element.
uint8_t* byte_at(const StridedBox& box, uint32_t offset) {
  uint8_t* at = box.base;
  uint32_t index = offset / box.element_bytes;
  for (uint32_t axis = kAxes; axis-- > 0;) {
    at += index % box.extent[axis] * box.stride_bytes[axis];
    index /= box.extent[axis];
  }
  return at;
}

bool is_contiguous(const StridedBox& box) {
  uint32_t run_bytes = box.element_bytes;
  for (uint32_t axis = kAxes; axis-- > 0;) {
    if (box.extent[axis] == 1) continue;
    if (box.stride_bytes[axis] != run_bytes) return false;
    run_bytes *= box.extent[axis];
  }
  return true;
}

}  // namespace

bool holds_boxes(const IntVector& boxes, uint32_t count, uint32_t rank) {
  return uint64_t{boxes.size()} == uint64_t{2} * rank * count;
}

bool lists_ranks(const IntVector& ranks, uint8_t node_count) {
  for (uint32_t i = 0; i < ranks.size(); ++i) {
    if (ranks[i] >= node_count) return false;
  }
  return true;
}

TensorView somewhere(const TensorView& tensor) {
  static uint8_t nowhere;
  TensorView view = tensor;
  if (view.data == nullptr) view.data = &nowhere;
  return view;
}

// Packed through a small buffer: boxes may have different strides.
void copy_box(const StridedBox& from, const StridedBox& to) {
  uint8_t piece[kCopyBytes];
  const uint32_t total = from.size_bytes();
  for (uint32_t at = 0; at < total; at += kCopyBytes) {
    const uint32_t count = total - at < kCopyBytes ? total - at : kCopyBytes;
    split_core::read_box(from, at, piece, count);
    split_core::write_box(to, at, piece, count);
  }
}

bool share_memory(const StridedBox& a, const StridedBox& b) {
  return a.base < b.base + b.span_bytes() && b.base < a.base + a.span_bytes();
}

// Runs that move to lower addresses go first, from the first on, then the others, from the last on. A run
// that moves down ends before the next one lay, and one that moves up begins behind the one before: so
// none is written over before it was read. (Of both boxes the innermost axes that are whole are one; so
// the longer runs are made of the shorter ones.)
void move_box(const StridedBox& from, const StridedBox& to) {
  const uint32_t elements = from.extent[3] < to.extent[3] ? from.extent[3] : to.extent[3];
  const uint32_t run = elements * from.element_bytes, total = from.size_bytes();
  for (uint32_t at = 0; at < total; at += run) {
    if (byte_at(to, at) < byte_at(from, at)) std::memmove(byte_at(to, at), byte_at(from, at), run);
  }
  for (uint32_t at = total; at > 0;) {
    at -= run;
    if (byte_at(to, at) > byte_at(from, at)) std::memmove(byte_at(to, at), byte_at(from, at), run);
  }
}

bool is_same_memory(const StridedBox& a, const StridedBox& b) {
  return a.base == b.base && is_contiguous(a) && is_contiguous(b);
}

uint32_t size_bytes(const TensorView& tensor) {
  uint32_t bytes = tensor.item_bytes;
  for (uint32_t axis = 0; axis < tensor.rank; ++axis) {
    bytes *= static_cast<uint32_t>(tensor.dims[axis]);
  }
  return bytes;
}

// From the innermost axis outwards, an axis joins the one inside it if that one is whole.
bool make_box(const TensorView& tensor, const IntVector& boxes, uint32_t first,
              const IntVector& origin, StridedBox* box) {
  uint32_t shape[kAxes] = {1, 1, 1, 1}, start[kAxes] = {0, 0, 0, 0}, stop[kAxes] = {1, 1, 1, 1};
  uint32_t used = 0;  // axes so far, innermost first
  const bool wide = tensor.item_bytes == 8;
  if (wide) {
    shape[0] = stop[0] = 2;
    used = 1;
  }
  for (uint32_t axis = tensor.rank; axis-- > 0;) {
    const int64_t extent = tensor.dims[axis];
    const int64_t from = boxes[first + 2 * axis] - origin[axis];
    const int64_t to = boxes[first + 2 * axis + 1] - origin[axis];
    if (from < 0 || from >= to || to > extent) return false;
    uint32_t inner = 1;
    const bool joins = used > 0 && start[used - 1] == 0 && stop[used - 1] == shape[used - 1];
    if (joins) inner = shape[used - 1];
    if (!joins && used == kAxes) {
      if (extent == 1) continue;
      return false;
    }
    const uint32_t at = joins ? used - 1 : used++;
    if (uint64_t{inner} * static_cast<uint64_t>(extent) > INT32_MAX) return false;
    shape[at] = inner * static_cast<uint32_t>(extent);
    start[at] = inner * static_cast<uint32_t>(from);
    stop[at] = inner * static_cast<uint32_t>(to);
  }
  uint32_t outer_first[3][kAxes];
  for (uint32_t axis = 0; axis < kAxes; ++axis) {
    outer_first[0][kAxes - 1 - axis] = shape[axis];
    outer_first[1][kAxes - 1 - axis] = start[axis];
    outer_first[2][kAxes - 1 - axis] = stop[axis];
  }
  const uint8_t element_bytes = wide ? uint8_t{4} : tensor.item_bytes;
  return StridedBox::make(tensor.data, outer_first[0], outer_first[1], outer_first[2],
                          element_bytes, box);
}

}  // namespace split_device
