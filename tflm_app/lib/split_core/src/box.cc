// SPDX-License-Identifier: Apache-2.0
#include "split_core/box.h"

#include <cstring>

namespace split_core {

bool StridedBox::make(void* tensor, const uint32_t shape[4], const uint32_t start[4],
                      const uint32_t stop[4], uint8_t element_bytes, StridedBox* box) {
  if (tensor == nullptr) return false;
  if (element_bytes != 1 && element_bytes != 2 && element_bytes != 4) return false;
  constexpr uint64_t kLargest = uint64_t{1} << 31;
  uint64_t stride = element_bytes;
  uint64_t first = 0;
  for (int axis = 3; axis >= 0; --axis) {
    if (start[axis] >= stop[axis] || stop[axis] > shape[axis]) return false;
    box->extent[axis] = stop[axis] - start[axis];
    box->stride_bytes[axis] = static_cast<uint32_t>(stride);
    first += start[axis] * stride;
    stride *= shape[axis];
    if (stride > kLargest) return false;
  }
  box->base = static_cast<uint8_t*>(tensor) + first;
  box->element_bytes = element_bytes;
  return true;
}

StridedBox StridedBox::flat(void* data, uint32_t size_bytes) {
  StridedBox box;
  box.base = static_cast<uint8_t*>(data);
  box.extent[3] = size_bytes;
  box.stride_bytes[3] = 1;
  box.stride_bytes[0] = box.stride_bytes[1] = box.stride_bytes[2] = size_bytes;
  return box;
}

namespace {

// Walks the box in runs: the longest stretches of the message that are contiguous in memory.
class RunCursor {
 public:
  RunCursor(const StridedBox& box, uint32_t offset) : box_(box), run_bytes_(box.element_bytes) {
    while (outer_ > 0 && box.stride_bytes[outer_ - 1] == run_bytes_) {
      run_bytes_ *= box.extent[--outer_];
    }
    uint32_t run = offset / run_bytes_;
    within_ = offset % run_bytes_;
    for (int axis = outer_ - 1; axis >= 0; --axis) {
      index_[axis] = run % box.extent[axis];
      run /= box.extent[axis];
    }
  }

  // The next contiguous stretch of at most `most` bytes; the cursor moves behind it.
  uint8_t* next(uint32_t most, uint32_t* count) {
    uint8_t* at = box_.base + within_;
    for (int axis = 0; axis < outer_; ++axis) {
      at += static_cast<size_t>(index_[axis]) * box_.stride_bytes[axis];
    }
    const uint32_t left = run_bytes_ - within_;
    *count = most < left ? most : left;
    within_ += *count;
    if (within_ == run_bytes_) step();
    return at;
  }

 private:
  void step() {
    within_ = 0;
    for (int axis = outer_ - 1; axis >= 0; --axis) {
      if (++index_[axis] < box_.extent[axis]) return;
      index_[axis] = 0;
    }
  }

  const StridedBox& box_;
  uint32_t run_bytes_;
  uint32_t within_ = 0;
  int outer_ = 4;  // axes outside of a run
  uint32_t index_[4] = {0, 0, 0, 0};
};

}  // namespace

void read_box(const StridedBox& box, uint32_t offset, uint8_t* to, uint32_t count) {
  RunCursor cursor(box, offset);
  while (count > 0) {
    uint32_t step = 0;
    const uint8_t* at = cursor.next(count, &step);
    std::memcpy(to, at, step);
    to += step;
    count -= step;
  }
}

// memcpy, because neither side of it need be aligned.
template <typename Element>
static void add_elements(uint8_t* at, const uint8_t* from, uint32_t count) {
  constexpr uint32_t kBytes = sizeof(Element);
  for (uint32_t i = 0; i + kBytes <= count; i += kBytes) {
    Element sum = 0;
    Element term = 0;
    std::memcpy(&sum, at + i, kBytes);
    std::memcpy(&term, from + i, kBytes);
    sum = static_cast<Element>(sum + term);
    std::memcpy(at + i, &sum, kBytes);
  }
}

void write_box(const StridedBox& box, uint32_t offset, const uint8_t* from, uint32_t count) {
  RunCursor cursor(box, offset);
  while (count > 0) {
    uint32_t step = 0;
    uint8_t* at = cursor.next(count, &step);
    if (box.adds && box.element_bytes == 2) {
      add_elements<uint16_t>(at, from, step);
    } else if (box.adds) {
      add_elements<uint32_t>(at, from, step);
    } else {
      std::memcpy(at, from, step);
    }
    from += step;
    count -= step;
  }
}

}  // namespace split_core
