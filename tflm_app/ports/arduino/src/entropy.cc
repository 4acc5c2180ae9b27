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

#if defined(ARDUINO_ARCH_ESP32)

uint32_t random_word() { return esp_random(); }

#elif defined(TARGET_RP2040)

// RP2040 data sheet, 2.17.6: one random bit of the ring oscillator per read.
uint32_t random_word() {
  uint32_t word = 0;
  for (int bit = 0; bit < 32; ++bit) {
    word = (word << 1) | (rosc_hw->randombit & 1u);
    delayMicroseconds(5);
  }
  return word;
}

#elif defined(NRF52840_XXAA)

// nRF52840 product specification, 6.19.
uint32_t random_word() {
  uint32_t word = 0;
  NRF_RNG->CONFIG = RNG_CONFIG_DERCEN_Enabled;
  NRF_RNG->TASKS_START = 1;
  for (int byte = 0; byte < 4; ++byte) {
    NRF_RNG->EVENTS_VALRDY = 0;
    while (NRF_RNG->EVENTS_VALRDY == 0) {
    }
    word = (word << 8) | NRF_RNG->VALUE;
  }
  NRF_RNG->TASKS_STOP = 1;
  return word;
}

#else

// FNV-1a over samples whose lowest bits are noise, and over the time that they took.
uint32_t random_word() {
  uint32_t hash = 2166136261u;
  for (int sample = 0; sample < 64; ++sample) {
    hash = (hash ^ static_cast<uint32_t>(analogRead(A0))) * 16777619u;
    hash = (hash ^ micros()) * 16777619u;
  }
  return hash;
}

#endif

}  // namespace split_port::arduino
