// SPDX-License-Identifier: Apache-2.0
#ifndef SPLIT_CORE_BOX_H_
#define SPLIT_CORE_BOX_H_

#include <cstddef>
#include <cstdint>

namespace split_core {

// A box of a tensor that lies in the caller's memory: extents (n, h, w, c) in elements, strides in
// bytes. As a message it is its elements in n, h, w, c order, packed: byte k of the message is
// always the same byte of the tensor, whatever the strides on either side.
struct StridedBox {
  uint8_t* base = nullptr;  // first byte of the first element
  uint32_t extent[4] = {1, 1, 1, 1};
  uint32_t stride_bytes[4] = {0, 0, 0, 0};
  uint8_t element_bytes = 1;  // 1, 2 or 4
  // write_box adds to what is there, modulo 2^32 or 2^16, instead of replacing it; elements are int32 or
  // int16, and offset and count multiples of their size (frames never cut an element in two).
  bool adds = false;

  // The box [start, stop) of a dense tensor of `shape`. False if the box does not lie in the
  // tensor, an extent is zero, the element size is not 1, 2 or 4, or the tensor exceeds 2^31 bytes.
  static bool make(void* tensor, const uint32_t shape[4], const uint32_t start[4],
                   const uint32_t stop[4], uint8_t element_bytes, StridedBox* box);
  // `size_bytes` contiguous bytes.
  static StridedBox flat(void* data, uint32_t size_bytes);

  uint32_t size_bytes() const {
    return extent[0] * extent[1] * extent[2] * extent[3] * element_bytes;
  }
  // From its first byte to its last, with what lies between: size_bytes() if that is nothing.
  uint32_t span_bytes() const {
    uint32_t bytes = element_bytes;
    for (int axis = 0; axis < 4; ++axis) bytes += (extent[axis] - 1) * stride_bytes[axis];
    return bytes;
  }
};

// Copies message bytes [offset, offset + count) out of, or into, the box.
// The caller keeps offset + count <= box.size_bytes().
void read_box(const StridedBox& box, uint32_t offset, uint8_t* to, uint32_t count);
void write_box(const StridedBox& box, uint32_t offset, const uint8_t* from, uint32_t count);

}  // namespace split_core

#endif  // SPLIT_CORE_BOX_H_
