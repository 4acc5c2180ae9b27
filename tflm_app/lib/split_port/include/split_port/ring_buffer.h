// SPDX-License-Identifier: Apache-2.0
// A byte queue between one interrupt handler and the rest of the program.
#ifndef SPLIT_PORT_RING_BUFFER_H_
#define SPLIT_PORT_RING_BUFFER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

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
    const uint32_t head = head_.load(std::memory_order_relaxed);
    const size_t count = smaller(from.size(), free());
    const size_t first = smaller(count, kCapacity - (head & (kCapacity - 1)));
    if (count == 0) return 0;  // an empty span may have no address
    std::memcpy(bytes_ + (head & (kCapacity - 1)), from.data(), first);
    std::memcpy(bytes_, from.data() + first, count - first);
    head_.store(head + static_cast<uint32_t>(count), std::memory_order_release);
    return count;
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
    const uint32_t tail = tail_.load(std::memory_order_relaxed);
    const size_t count = smaller(to.size(), size());
    const size_t first = smaller(count, kCapacity - (tail & (kCapacity - 1)));
    if (count == 0) return 0;
    std::memcpy(to.data(), bytes_ + (tail & (kCapacity - 1)), first);
    std::memcpy(to.data() + first, bytes_, count - first);
    tail_.store(tail + static_cast<uint32_t>(count), std::memory_order_release);
    return count;
  }

 private:
  static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

  std::atomic<uint32_t> head_{0};
  std::atomic<uint32_t> tail_{0};
  uint8_t bytes_[kCapacity];
};

}  // namespace split_port

#endif  // SPLIT_PORT_RING_BUFFER_H_
