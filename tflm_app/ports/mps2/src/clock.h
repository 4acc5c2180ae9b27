// SPDX-License-Identifier: Apache-2.0
#ifndef SPLIT_PORT_MPS2_CLOCK_H_
#define SPLIT_PORT_MPS2_CLOCK_H_

#include <cstdint>

#include "split_core/byte_stream.h"

namespace split_port::mps2 {

// Counts on the board's free-running 32-bit counter, extended to 64 bits by looking at it at
// least once per turn (every SysTick does). QEMU's DWT CYCCNT always reads 0.
class BoardClock final : public split_core::Clock {
 public:
  // `has_work` says whether bytes wait already: idle() then returns at once.
  explicit BoardClock(bool (*has_work)()) : has_work_(has_work) {}

  void begin();
  uint32_t now_us() override;
  void idle() override;

  uint64_t ticks();
  // How often on_systick() comes from now on; 0: as often as the counter needs.
  void set_systick(uint32_t period_us);
  // Tells idle() that there is something to do.
  void wake() { awake_ = true; }

 private:
  bool (*has_work_)();
  uint64_t ticks_ = 0;
  volatile bool awake_ = false;
};

}  // namespace split_port::mps2

#endif  // SPLIT_PORT_MPS2_CLOCK_H_
