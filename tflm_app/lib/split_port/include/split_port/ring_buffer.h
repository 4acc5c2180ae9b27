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

// One producer, one consumer, no locks. Holds kCapacity bytes: head and tail go round in twice that,
// so that full and empty differ and no slot is wasted.
template <size_t kCapacity>
class RingBuffer {
  static_assert(kCapacity >= 2 && kCapacity <= UINT32_MAX / 4, "some bytes");

 public:
  size_t size() const {
    return between(tail_.load(std::memory_order_acquire), head_.load(std::memory_order_acquire));
  }
  size_t free() const { return kCapacity - size(); }
  bool empty() const { return size() == 0; }
  bool full() const { return size() == kCapacity; }

  // Producer. Returns false, and changes nothing, if there is no room.
  bool push(uint8_t byte) {
    const uint32_t head = head_.load(std::memory_order_relaxed);
    if (between(tail_.load(std::memory_order_acquire), head) == kCapacity) return false;
    put(byte);
    return true;
  }
  // Producer, which has seen that it is not full().
  void put(uint8_t byte) {
    const uint32_t head = head_.load(std::memory_order_relaxed);
    bytes_[place(head)] = byte;
    head_.store(after(head, 1), std::memory_order_release);
  }
  // Producer. Takes as many bytes as fit; returns how many.
  size_t push(split_core::ConstBytes from) {
    const uint32_t head = head_.load(std::memory_order_relaxed);
    const size_t count = smaller(from.size(), free());
    const size_t first = smaller(count, kCapacity - place(head));
    if (count == 0) return 0;  // an empty span may have no address
    std::memcpy(bytes_ + place(head), from.data(), first);
    std::memcpy(bytes_, from.data() + first, count - first);
    head_.store(after(head, count), std::memory_order_release);
    return count;
  }

  // Consumer. Returns false if the queue is empty.
  bool pop(uint8_t* byte) {
    const uint32_t tail = tail_.load(std::memory_order_relaxed);
    if (head_.load(std::memory_order_acquire) == tail) return false;
    *byte = bytes_[place(tail)];
    tail_.store(after(tail, 1), std::memory_order_release);
    return true;
  }
  // Consumer. Fills `to` as far as there are bytes; returns how many.
  size_t pop(split_core::MutableBytes to) {
    const uint32_t tail = tail_.load(std::memory_order_relaxed);
    const size_t count = smaller(to.size(), size());
    const size_t first = smaller(count, kCapacity - place(tail));
    if (count == 0) return 0;
    std::memcpy(to.data(), bytes_ + place(tail), first);
    std::memcpy(to.data() + first, bytes_, count - first);
    tail_.store(after(tail, count), std::memory_order_release);
    return count;
  }

 private:
  static constexpr uint32_t kTurn = 2 * kCapacity;

  static size_t between(uint32_t tail, uint32_t head) {
    return head >= tail ? head - tail : head + kTurn - tail;
  }
  static size_t place(uint32_t position) {
    return position < kCapacity ? position : position - kCapacity;
  }
  static uint32_t after(uint32_t position, size_t count) {
    const uint32_t next = position + static_cast<uint32_t>(count);
    return next < kTurn ? next : next - kTurn;
  }
  static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

  std::atomic<uint32_t> head_{0};
  std::atomic<uint32_t> tail_{0};
  uint8_t bytes_[kCapacity];
};

}  // namespace split_port

#endif  // SPLIT_PORT_RING_BUFFER_H_
