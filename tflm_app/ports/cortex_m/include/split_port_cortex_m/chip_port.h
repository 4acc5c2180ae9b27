// SPDX-License-Identifier: Apache-2.0
// What the port.cc of a chip's port keeps, whatever the chip: ticks that pause, and a console that is
// the host's port until the application takes that.
#ifndef SPLIT_PORT_CORTEX_M_CHIP_PORT_H_
#define SPLIT_PORT_CORTEX_M_CHIP_PORT_H_

#include <cstddef>
#include <cstdint>

#include "split_core/byte_stream.h"
#include "split_port_cortex_m/ending.h"
#include "split_port_cortex_m/semihosting.h"
#include "split_port_cortex_m/startup.h"

namespace split_port::cortex_m {

// set_tick_us(): lets a timer of the chip call run() from now on, so often; 0: no more.
class Ticks {
 public:
  explicit constexpr Ticks(void (*set_tick_us)(uint32_t period_us)) : set_tick_us_(set_tick_us) {}

  void start(void (*tick)(), uint32_t period_us) {
    tick_ = tick;
    period_us_ = period_us;
  }
  void pause() {
    is_running_ = false;
    set_tick_us_(0);
  }
  void resume() {
    is_running_ = true;
    set_tick_us_(period_us_);
  }
  bool is_running() const { return is_running_; }
  uint32_t period_us() const { return is_running_ ? period_us_ : 0; }
  void run() const {
    if (is_running_) tick_();
  }

 private:
  void (*set_tick_us_)(uint32_t period_us);
  void (*tick_)() = nullptr;
  uint32_t period_us_ = 0;
  volatile bool is_running_ = false;
};

// `Port` has write_whole(), as InterruptUart has. What finds no room is dropped and counted.
template <typename Port>
class HostConsole {
 public:
  explicit constexpr HostConsole(Port& port) : port_(port) {}

  // From now on text would only disturb frames.
  Port& take() {
    is_taken_ = true;
    return port_;
  }
  void give_back() { is_taken_ = false; }

  void write(const char* text, size_t size) {
    if (is_taken_) return remember_words(text, size);
    const split_core::ConstBytes bytes(reinterpret_cast<const uint8_t*>(text), size);
    if (!port_.write_whole(bytes)) lost_bytes_ += static_cast<uint32_t>(size);
  }
  uint32_t lost_bytes() const { return lost_bytes_; }

 private:
  Port& port_;
  bool is_taken_ = false;
  uint32_t lost_bytes_ = 0;
};

// Of a chip's own random word, and what else differs between two starts.
inline uint32_t mixed_nonce(uint32_t random_word, uint64_t ticks) {
  const uint32_t noise = reset_count() ^ static_cast<uint32_t>(ticks);
  return random_word ^ semihosting_nonce() ^ noise * 2654435761u;
}

// What was queued leaves before the program ends, unless a peer does not take it.
inline void flush(split_core::Clock& clock, bool (*sent_all)()) {
  constexpr uint32_t kMostUs = 500'000;
  const uint32_t begin_us = clock.now_us();
  while (!sent_all() && clock.now_us() - begin_us < kMostUs) clock.idle();
}

}  // namespace split_port::cortex_m

#endif  // SPLIT_PORT_CORTEX_M_CHIP_PORT_H_
