// SPDX-License-Identifier: Apache-2.0
#include "entropy.h"

#include "registers.h"

namespace split_port::stm32f405 {
namespace {

constexpr uint32_t kControl = kRng + 0x00;
constexpr uint32_t kStatus = kRng + 0x04;
constexpr uint32_t kData = kRng + 0x08;
constexpr uint32_t kClockEnable = 6;  // in RCC_AHB2ENR
constexpr uint32_t kEnable = 1u << 2;
constexpr uint32_t kReady = 1u << 0;
constexpr uint32_t kReads = 10'000;  // 40 cycles of 48 MHz give a word

}  // namespace

uint32_t random_word() {
  enable_clock(kRccAhb2enr, kClockEnable);
  reg(kControl) = reg(kControl) | kEnable;
  uint32_t word = 0;
  // The first one after the generator was switched on is not to be used (RM0090, 24.3.1).
  for (int index = 0; index < 2; ++index) {
    if (!wait_for(kStatus, kReady, kReady, kReads)) return 0;
    word = reg(kData);
  }
  return word;
}

}  // namespace split_port::stm32f405
