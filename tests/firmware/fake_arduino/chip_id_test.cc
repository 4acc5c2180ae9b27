// SPDX-License-Identifier: Apache-2.0
// Prints what the port has for the chip's id, or "none".
#include <cstdio>

#include "chip_id.h"
#include "fake_words.h"

const uint32_t fake_words[3] = {0x03020100, 0x07060504, 0x0B0A0908};

int main() {
  uint8_t id[16];
  if (!split_port::arduino::chip_id(id)) std::printf("none ");
  for (const uint8_t byte : id) std::printf("%02x", byte);
  return 0;
}
