// SPDX-License-Identifier: Apache-2.0
// The few core registers that the ports need (Armv6-M, Armv7-M and Armv8-M architecture manuals, B3.2).
#ifndef SPLIT_PORT_CORTEX_M_CORE_H_
#define SPLIT_PORT_CORTEX_M_CORE_H_

#include <cstdint>

namespace split_port::cortex_m {

inline constexpr uint32_t kSysTickControl = 0xE000E010;
inline constexpr uint32_t kSysTickReload = 0xE000E014;
inline constexpr uint32_t kSysTickValue = 0xE000E018;
inline constexpr uint32_t kNvicSetEnable = 0xE000E100;
inline constexpr uint32_t kNvicSetPending = 0xE000E200;
inline constexpr uint32_t kNvicPriority = 0xE000E400;
inline constexpr uint32_t kScbIcsr = 0xE000ED04;
inline constexpr uint32_t kScbVtor = 0xE000ED08;
inline constexpr uint32_t kScbAircr = 0xE000ED0C;
inline constexpr uint32_t kScbShpr3 = 0xE000ED20;
inline constexpr uint32_t kScbCfsr = 0xE000ED28;
inline constexpr uint32_t kScbHfsr = 0xE000ED2C;
inline constexpr uint32_t kScbBfar = 0xE000ED38;
inline constexpr uint32_t kScbCpacr = 0xE000ED88;

inline constexpr uint32_t kSysTickOnCoreClock = 7;  // ENABLE | TICKINT | CLKSOURCE
inline constexpr uint32_t kPendSysTick = 1u << 26;
inline constexpr uint32_t kClearSysTick = 1u << 25;
inline constexpr uint32_t kPendSv = 1u << 28;

inline volatile uint32_t& reg(uint32_t address) {
  return *reinterpret_cast<volatile uint32_t*>(address);
}

inline void enable_irq(uint32_t irq) { reg(kNvicSetEnable + 4 * (irq / 32)) = 1u << (irq % 32); }
inline void pend_irq(uint32_t irq) { reg(kNvicSetPending + 4 * (irq / 32)) = 1u << (irq % 32); }

// Keeps interrupts out for as long as it lives.
class InterruptLock {
 public:
  InterruptLock() { __asm volatile("mrs %0, primask\n\tcpsid i" : "=r"(primask_)::"memory"); }
  ~InterruptLock() { __asm volatile("msr primask, %0" ::"r"(primask_) : "memory"); }
  InterruptLock(const InterruptLock&) = delete;
  InterruptLock& operator=(const InterruptLock&) = delete;

 private:
  uint32_t primask_;
};

// A pending interrupt ends the wait even while interrupts are locked out.
inline void wait_for_interrupt() { __asm volatile("dsb\n\twfi" ::: "memory"); }

}  // namespace split_port::cortex_m

#endif  // SPLIT_PORT_CORTEX_M_CORE_H_
