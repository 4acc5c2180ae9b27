// SPDX-License-Identifier: Apache-2.0
// The second-stage boot loader: the first 256 bytes of flash, which the boot ROM copies to RAM, checks
// (the checksum in the last four is put there when the image is made, tools/rp2040_image.py) and calls.
// Lets the processor read the flash as memory, by the one command that every flash chip has, and starts
// the program. Data sheet 2.8.1.3.1 and 4.10.13.
#include <cstdint>

namespace {

// 03h at a quarter of the clock, which after start-up is 125 MHz: at most 50 MHz are allowed.
constexpr uint32_t kClockDivider = 4;
// Standard SPI, 32 data bits, "EEPROM read": send command and address, then receive.
constexpr uint32_t kControl0 = 31u << 16 | 3u << 8;
// The command, of 8 bits; an address of 6 times 4 bits; all of it on one wire.
constexpr uint32_t kSpiControl0 = 0x03u << 24 | 2u << 8 | 6u << 2;

}  // namespace

extern "C" [[gnu::naked, gnu::section(".boot2"), gnu::used]] void split_port_boot2() {
  __asm volatile(
      "ldr r3, =0x18000000\n\t"  // the flash's SPI controller: off while it is set
      "movs r2, #0\n\t"
      "str r2, [r3, #0x08]\n\t"
      "movs r1, %0\n\t"
      "str r1, [r3, #0x14]\n\t"
      "ldr r1, =%c1\n\t"
      "str r1, [r3, #0x00]\n\t"
      "str r2, [r3, #0x04]\n\t"  // one word at a time
      "ldr r0, =0x180000F4\n\t"
      "ldr r1, =%c2\n\t"
      "str r1, [r0]\n\t"
      "movs r1, #1\n\t"
      "str r1, [r3, #0x08]\n\t"
      "ldr r0, =0x10000100\n\t"  // the program's vectors: stack, entry
      "ldr r1, =0xE000ED08\n\t"
      "str r0, [r1]\n\t"
      "ldr r1, [r0]\n\t"
      "msr msp, r1\n\t"
      "ldr r1, [r0, #4]\n\t"
      "bx r1\n\t"
      ".ltorg" ::"i"(kClockDivider),
      "i"(kControl0), "i"(kSpiControl0));
}
