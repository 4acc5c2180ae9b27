// SPDX-License-Identifier: Apache-2.0
#include "entropy.h"

#include <Arduino.h>

#if defined(ARDUINO_ARCH_ESP32)
#include <esp_random.h>
#elif defined(TARGET_RP2040)
#include <hardware/structs/rosc.h>
#elif defined(NRF52840_XXAA)
#include <nrf.h>
#endif

namespace split_port::arduino {
namespace {

// A generator without its clock never delivers. Those that have it take milliseconds, and so many
// reads of a register about a second.
constexpr uint32_t kMostReads = 10'000'000;

template <typename Condition>
bool becomes(Condition condition) {
  for (uint32_t read = 0; read < kMostReads; ++read) {
    if (condition()) return true;
  }
  return false;
}

#if defined(ARDUINO_ARCH_ESP32)

bool chip_random(uint32_t* word) {
  *word = esp_random();
  return true;
}

#elif defined(TARGET_RP2040)

// RP2040 data sheet, 2.17.6: one random bit of the ring oscillator per read.
bool chip_random(uint32_t* word) {
  *word = 0;
  for (int bit = 0; bit < 32; ++bit) {
    *word = (*word << 1) | (rosc_hw->randombit & 1u);
    delayMicroseconds(5);
  }
  return true;
}

#elif defined(NRF52840_XXAA)

// nRF52840 product specification, 6.19.
bool chip_random(uint32_t* word) {
  bool well = true;
  *word = 0;
  NRF_RNG->CONFIG = RNG_CONFIG_DERCEN_Enabled;
  NRF_RNG->TASKS_START = 1;
  for (int byte = 0; well && byte < 4; ++byte) {
    NRF_RNG->EVENTS_VALRDY = 0;
    well = becomes([] { return NRF_RNG->EVENTS_VALRDY != 0; });
    *word = (*word << 8) | NRF_RNG->VALUE;
  }
  NRF_RNG->TASKS_STOP = 1;
  return well;
}

#elif defined(__IMXRT1062__)

// i.MX RT1060 security reference manual, "TRNG": sixteen words at a time; reading the last of them
// begins the next sixteen. Programming mode with defaults, then run mode with the sampler and its
// von Neumann corrector.
bool chip_random(uint32_t* word) {
  CCM_CCGR6 |= CCM_CCGR6_TRNG(CCM_CCGR_ON);
  TRNG_MCTL = TRNG_MCTL_RST_DEF | TRNG_MCTL_PRGM;
  TRNG_MCTL = TRNG_MCTL_SAMP_MODE(2);
  static_cast<void>(TRNG_ENT15);
  const bool ended = becomes([] { return (TRNG_MCTL & (TRNG_MCTL_ENT_VAL | TRNG_MCTL_ERR)) != 0; });
  if (!ended || (TRNG_MCTL & TRNG_MCTL_ERR) != 0) return false;
  *word = TRNG_ENT0;
  return true;
}

#elif defined(ARDUINO_ARCH_STM32) && defined(RNG)

// RM0433 (STM32H7), 34.3: clocked by HSI48 after reset. Families without that oscillator clock the
// generator as their SystemClock_Config() says. The first word after a reset is not to be used.
bool chip_random(uint32_t* word) {
#if defined(RCC_CR_HSI48ON)
  RCC->CR |= RCC_CR_HSI48ON;
  if (!becomes([] { return (RCC->CR & RCC_CR_HSI48RDY) != 0; })) return false;
#endif
  __HAL_RCC_RNG_CLK_ENABLE();
  RNG->CR |= RNG_CR_RNGEN;
  for (int count = 0; count < 2; ++count) {
    if (!becomes([] { return (RNG->SR & RNG_SR_DRDY) != 0; })) return false;
    *word = RNG->DR;
  }
  return (RNG->SR & (RNG_SR_SEIS | RNG_SR_CEIS)) == 0;
}

#else

bool chip_random(uint32_t*) { return false; }

#endif

// FNV-1a over samples whose lowest bits are noise, and over the time that they took.
uint32_t noise_word() {
  uint32_t hash = 2166136261u;
  for (int sample = 0; sample < 64; ++sample) {
    hash = (hash ^ static_cast<uint32_t>(analogRead(A0))) * 16777619u;
    hash = (hash ^ micros()) * 16777619u;
  }
  return hash;
}

}  // namespace

uint32_t random_word() {
  uint32_t word = 0;
  return chip_random(&word) ? word : noise_word();
}

}  // namespace split_port::arduino
