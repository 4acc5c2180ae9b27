// SPDX-License-Identifier: Apache-2.0
// Each by the name that its core has for it; a core without that name has no id here.
#include "chip_id.h"

#include <cstring>

#include <Arduino.h>

#include "split_port/board_facts.h"

namespace split_port::arduino {
namespace {

[[maybe_unused]] void put(uint8_t* to, size_t at, uint32_t word) {
  std::memcpy(to + at, &word, sizeof word);
}

}  // namespace

bool chip_id(uint8_t* to) {
  std::memset(to, 0, kUniqueIdBytes);
#if defined(HW_OCOTP_MAC0) && defined(HW_OCOTP_MAC1)
  // i.MX RT1060: the address that Teensy's maker burns, as its USB serial number has it.
  put(to, 0, HW_OCOTP_MAC0);
  put(to, 4, HW_OCOTP_MAC1);
#elif defined(ARDUINO_ARCH_ESP32)
  const uint64_t address = ESP.getEfuseMac();
  put(to, 0, static_cast<uint32_t>(address));
  put(to, 4, static_cast<uint32_t>(address >> 32));
#elif defined(NRF_FICR)
  put(to, 0, NRF_FICR->DEVICEID[0]);  // nRF52840 product specification, 4.4.1
  put(to, 4, NRF_FICR->DEVICEID[1]);
#elif defined(UID_BASE)
  // STM32: 96 bits (RM0433, 61.1).
  for (size_t at = 0; at < 12; at += 4) {
    put(to, at, *reinterpret_cast<const volatile uint32_t*>(UID_BASE + at));
  }
#else
  return false;
#endif
  return true;
}

}  // namespace split_port::arduino
