// SPDX-License-Identifier: Apache-2.0
// A byte queue between one interrupt handler and the rest of the program.
#ifndef SPLIT_PORT_RING_BUFFER_H_
#define SPLIT_PORT_RING_BUFFER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "split_core/span.h"

namespace split_port {

// One producer, one consumer, no locks. Holds kCapacity bytes, a power of two: the counters run
// freely and their difference is the fill, so that no slot is wasted and wrapping is harmless.
template <size_t kCapacity>
class RingBuffer {
  static_assert(kCapacity >= 2 && (kCapacity & (kCapacity - 1)) == 0, "a power of two");

 public:
  size_t size() const {
    return head_.load(std::memory_order_acquire) - tail_.load(std::memory_order_acquire);
  }
  size_t free() const { return kCapacity - size(); }
  bool empty() const { return size() == 0; }
  bool full() const { return size() == kCapacity; }

  // Producer. Returns false, and changes nothing, if there is no room.
  bool push(uint8_t byte) {
    const uint32_t head = head_.load(std::memory_order_relaxed);
    if (head - tail_.load(std::memory_order_acquire) == kCapacity) return false;
    bytes_[head & (kCapacity - 1)] = byte;
    head_.store(head + 1, std::memory_order_release);
    return true;
  }
  // Producer. Takes as many bytes as fit; returns how many.
  size_t push(split_core::ConstBytes from) {
    size_t taken = 0;
    while (taken < from.size() && push(from[taken])) ++taken;
    return taken;
  }

  // Consumer. Returns false if the queue is empty.
  bool pop(uint8_t* byte) {
    const uint32_t tail = tail_.load(std::memory_order_relaxed);
    if (head_.load(std::memory_order_acquire) == tail) return false;
    *byte = bytes_[tail & (kCapacity - 1)];
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }
  // Consumer. Fills `to` as far as there are bytes; returns how many.
  size_t pop(split_core::MutableBytes to) {
    size_t given = 0;
    while (given < to.size() && pop(&to[given])) ++given;
    return given;
  }

 private:
  std::atomic<uint32_t> head_{0};
  std::atomic<uint32_t> tail_{0};
  uint8_t bytes_[kCapacity];
};

}  // namespace split_port

#endif  // SPLIT_PORT_RING_BUFFER_H_
