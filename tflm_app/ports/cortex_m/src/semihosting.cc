// SPDX-License-Identifier: Apache-2.0
#include "split_port_cortex_m/semihosting.h"

#include <cstring>

#include "split_port/arguments.h"
#include "split_port/board_facts.h"
#include "split_port_cortex_m/core.h"

namespace split_port::cortex_m {
namespace {

constexpr uint32_t kSysWrite0 = 0x04;
constexpr uint32_t kSysClock = 0x10;
constexpr uint32_t kSysTime = 0x11;
constexpr uint32_t kSysGetCommandLine = 0x15;
constexpr uint32_t kSysExitExtended = 0x20;
constexpr uint32_t kApplicationExit = 0x20026;

constexpr size_t kCommandLineBytes = 256;
bool g_answered = false;

int32_t call(uint32_t operation, const volatile void* argument) {
  register uint32_t r0 __asm("r0") = operation;
  register const volatile void* r1 __asm("r1") = argument;
  __asm volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
  return static_cast<int32_t>(r0);
}

// False if nobody answers; a line that is too long is none. Asked for again for each argument, when the
// program begins: RAM for it would be taken for good.
bool command_line(char (&to)[kCommandLineBytes]) {
  struct {
    char* buffer;
    uint32_t size;
  } block = {to, sizeof to};
  const bool answered = call(kSysGetCommandLine, &block) == 0;
  if (!answered || block.size >= sizeof to) to[0] = '\0';
  return answered;
}

}  // namespace

void begin_semihosting() {
  char line[kCommandLineBytes];
  g_answered = command_line(line);
}

bool has_semihosting() { return g_answered; }

bool semihosting_argument(const char* key, char* to, size_t capacity) {
  char line[kCommandLineBytes];
  if (!g_answered || !command_line(line)) return false;
  const char* word = line;
  while (*word != '\0') {
    const size_t size = std::strcspn(word, " ");
    if (match_argument(word, size, key, to, capacity)) return true;
    word += size;
    word += std::strspn(word, " ");
  }
  return false;
}

bool semihosting_id(uint8_t* to) {
  char text[kUniqueIdBytes + 1] = {};
  std::memset(to, 0, kUniqueIdBytes);
  if (!semihosting_argument("id", text, sizeof text)) return false;
  std::memcpy(to, text, std::strlen(text));
  return true;
}

void semihosting_write(const char* text) {
  if (g_answered) call(kSysWrite0, text);
}

uint32_t semihosting_nonce() {
  if (!g_answered) return 0;
  const auto time_s = static_cast<uint32_t>(call(kSysTime, nullptr));
  const auto clock_cs = static_cast<uint32_t>(call(kSysClock, nullptr));
  return (time_s * 2654435761u) ^ (clock_cs * 2246822519u);
}

void semihosting_exit(int status) {
  const uint32_t block[2] = {kApplicationExit, static_cast<uint32_t>(status)};
  if (g_answered) call(kSysExitExtended, block);
  for (;;) wait_for_interrupt();
}

}  // namespace split_port::cortex_m
