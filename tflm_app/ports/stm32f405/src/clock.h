// SPDX-License-Identifier: Apache-2.0
#ifndef SPLIT_PORT_STM32F405_CLOCK_H_
#define SPLIT_PORT_STM32F405_CLOCK_H_

#include <cstdint>

#include "split_core/byte_stream.h"

namespace split_port::stm32f405 {

// Cycles of the core, by SysTick: of the timers that count right in QEMU only that one interrupts.
class BoardClock final : public split_core::Clock {
 public:
  // `has_work` says whether bytes wait already: idle() then returns at once.
  explicit BoardClock(bool (*has_work)()) : has_work_(has_work) {}

  void begin(uint32_t core_hz);
  uint32_t now_us() override;
  void idle() override;

  uint64_t ticks();
  uint32_t core_hz() const { return core_hz_; }
  // How often SysTick interrupts from now on; 0: as seldom as idle() allows.
  void set_tick_us(uint32_t period_us);
  // Call at every SysTick.
  void on_systick();
  // Tells idle() that there is something to do.
  void wake() { awake_ = true; }

 private:
  bool (*has_work_)();
  uint32_t core_hz_ = 0;
  // Cycles until SysTick last began to count down, and how many it counts.
  uint64_t begin_ticks_ = 0;
  uint32_t period_ticks_ = 1;
  volatile bool awake_ = false;
};

}  // namespace split_port::stm32f405

#endif  // SPLIT_PORT_STM32F405_CLOCK_H_
