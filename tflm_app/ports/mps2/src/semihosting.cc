// SPDX-License-Identifier: Apache-2.0
#include "semihosting.h"

namespace split_port::mps2 {
namespace {

constexpr uint32_t kSysWrite0 = 0x04;
constexpr uint32_t kSysClock = 0x10;
constexpr uint32_t kSysTime = 0x11;
constexpr uint32_t kSysGetCommandLine = 0x15;
constexpr uint32_t kSysExitExtended = 0x20;
constexpr uint32_t kApplicationExit = 0x20026;

int32_t call(uint32_t operation, const volatile void* argument) {
  register uint32_t r0 __asm("r0") = operation;
  register const volatile void* r1 __asm("r1") = argument;
  __asm volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
  return static_cast<int32_t>(r0);
}

}  // namespace

size_t semihosting_command_line(char* to, size_t capacity) {
  struct {
    char* buffer;
    uint32_t size;
  } block = {to, static_cast<uint32_t>(capacity)};
  if (call(kSysGetCommandLine, &block) != 0) return 0;
  return block.size < capacity ? block.size : 0;
}

void semihosting_write(const char* text) { call(kSysWrite0, text); }

uint32_t semihosting_time_s() { return static_cast<uint32_t>(call(kSysTime, nullptr)); }

uint32_t semihosting_clock_cs() { return static_cast<uint32_t>(call(kSysClock, nullptr)); }

void semihosting_exit(int status) {
  const uint32_t block[2] = {kApplicationExit, static_cast<uint32_t>(status)};
  call(kSysExitExtended, block);
  for (;;) {
  }
}

}  // namespace split_port::mps2
