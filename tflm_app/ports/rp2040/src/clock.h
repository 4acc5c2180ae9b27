// SPDX-License-Identifier: Apache-2.0
#ifndef SPLIT_PORT_RP2040_CLOCK_H_
#define SPLIT_PORT_RP2040_CLOCK_H_

#include <cstdint>

#include "split_core/byte_stream.h"

namespace split_port::rp2040 {

inline constexpr uint32_t kWakeIrq = 0;  // the timer's alarm 0
inline constexpr uint32_t kTickIrq = 1;  // and 1

// The chip's timer: 64 bits of microseconds. Alarm 0 ends idle(), alarm 1 gives ticks.
class BoardClock final : public split_core::Clock {
 public:
  // `has_work` says whether bytes wait already: idle() then returns at once.
  explicit BoardClock(bool (*has_work)()) : has_work_(has_work) {}

  void begin();
  uint32_t now_us() override;
  void idle() override;
  uint64_t ticks();

  void on_wake_alarm();
  // Alarm 1 so long from now; 0: none.
  void set_tick_us(uint32_t period_us);
  // Tells idle() that there is something to do.
  void wake() { awake_ = true; }

 private:
  bool (*has_work_)();
  volatile bool awake_ = false;
};

}  // namespace split_port::rp2040

#endif  // SPLIT_PORT_RP2040_CLOCK_H_
