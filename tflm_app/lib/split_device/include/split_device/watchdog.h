// SPDX-License-Identifier: Apache-2.0
// Whether the main program gets on. The board's own watchdog cannot tell: ticks go on while the main
// program hangs, and a kernel may run for longer than such a watchdog waits. So ticks feed it, but
// only so many of them after the main program's last sign of life.
#ifndef SPLIT_DEVICE_WATCHDOG_H_
#define SPLIT_DEVICE_WATCHDOG_H_

#include <atomic>
#include <cstdint>

namespace split_device {

class Watchdog {
 public:
  // `feed` holds the board's watchdog off for a while. Nothing is fed before begin().
  void begin(void (*feed)(), uint32_t most_ticks) {
    most_ticks_ = most_ticks;
    feed_ = feed;
    alive();
  }

  // The main program gets on: at every SEND and RECV, and at every turn of a wait.
  void alive() {
    if (feed_ == nullptr) return;
    left_ticks_.store(most_ticks_, std::memory_order_relaxed);
    feed_();
  }

  // From the interrupt of ticks. Counted rather than timed: what stops the whole board, a debugger
  // for one, is no hang.
  void tick() {
    const uint32_t left = left_ticks_.load(std::memory_order_relaxed);
    if (feed_ == nullptr || left == 0) return;
    left_ticks_.store(left - 1, std::memory_order_relaxed);
    feed_();
  }

 private:
  void (*feed_)() = nullptr;
  uint32_t most_ticks_ = 0;
  std::atomic<uint32_t> left_ticks_{0};
};

}  // namespace split_device

#endif  // SPLIT_DEVICE_WATCHDOG_H_
