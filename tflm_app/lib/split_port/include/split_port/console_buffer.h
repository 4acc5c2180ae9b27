// SPDX-License-Identifier: Apache-2.0
// Text on its way to a console that may be slow, or that nobody reads.
#ifndef SPLIT_PORT_CONSOLE_BUFFER_H_
#define SPLIT_PORT_CONSOLE_BUFFER_H_

#include <atomic>

#include "split_port/ring_buffer.h"

namespace split_port {

// Takes text at once, or drops it whole and counts it; pump() hands on what the console takes.
template <size_t kCapacity>
class ConsoleBuffer {
 public:
  void write(const char* text, size_t size) {
    if (size > ring_.free()) {
      lost_bytes_.store(lost_bytes() + static_cast<uint32_t>(size), std::memory_order_relaxed);
      return;
    }
    ring_.push(split_core::ConstBytes(reinterpret_cast<const uint8_t*>(text), size));
  }

  // `send(bytes)` takes some bytes without waiting and returns how many.
  template <typename Send>
  void pump(Send send) {
    while (true) {
      if (sent_ == held_) {
        sent_ = 0;
        held_ = ring_.pop(split_core::MutableBytes(piece_, sizeof piece_));
        if (held_ == 0) return;
      }
      const size_t count = send(split_core::ConstBytes(piece_ + sent_, held_ - sent_));
      if (count == 0) return;
      sent_ += count;
    }
  }

  bool empty() const { return sent_ == held_ && ring_.empty(); }
  uint32_t lost_bytes() const { return lost_bytes_.load(std::memory_order_relaxed); }

 private:
  RingBuffer<kCapacity> ring_;
  uint8_t piece_[32];  // popped, and not all taken
  size_t sent_ = 0;
  size_t held_ = 0;
  std::atomic<uint32_t> lost_bytes_{0};
};

}  // namespace split_port

#endif  // SPLIT_PORT_CONSOLE_BUFFER_H_
