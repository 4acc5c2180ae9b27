// SPDX-License-Identifier: Apache-2.0
// From reset to split_app_main(): vector table, FPU, .data, .bss, static constructors.
#include "split_port_cortex_m/startup.h"

#include <cstddef>
#include <cstdint>

#include "split_port/port.h"
#include "split_port_cortex_m/core.h"
#include "split_port_cortex_m/semihosting.h"
#include "split_port_cortex_m/stack.h"

extern "C" {

extern uint32_t __stack_top__;
extern uint32_t __data_load__;
extern uint32_t __data_start__;
extern uint32_t __data_end__;
extern uint32_t __bss_start__;
extern uint32_t __bss_end__;
void __libc_init_array();
[[noreturn]] void Reset_Handler();

// __libc_init_array calls these two; crti.o, which has them, is not linked.
void _init() {}
void _fini() {}
void* __dso_handle = nullptr;

}  // extern "C"

namespace {

using namespace split_port::cortex_m;
using Handler = void (*)();
constexpr int kFaultStatus = 120;
constexpr uint32_t kResetRequest = 0x05FA0004;
constexpr uint16_t kSemihostingBreakpoint = 0xBEAB;
// More than any of our chips has (STM32F405: 82), and a table of less than 512 bytes.
constexpr size_t kInterruptCount = 96;

[[gnu::section(".noinit")]] uint32_t g_resets;

void write_hex(const char* name, uint32_t value) {
  char text[] = " 00000000";
  for (int digit = 0; digit < 8; ++digit) {
    text[8 - digit] = "0123456789abcdef"[(value >> (4 * digit)) & 0xF];
  }
  semihosting_write(name);
  semihosting_write(text);
}

[[noreturn]] void report_fault(const uint32_t* frame) {
  write_hex("FAULT exception", reg(kScbIcsr) & 0x1FF);
  write_hex(" pc", frame[6]);
  write_hex(" lr", frame[5]);
  write_hex(" cfsr", reg(kScbCfsr));
  write_hex(" hfsr", reg(kScbHfsr));
  write_hex(" bfar", reg(kScbBfar));
  semihosting_write("\n");
  semihosting_exit(kFaultStatus);
}

}  // namespace

// A breakpoint with nobody to stop for is a fault. That of a semihosting call then answers -1 and
// goes on, so that one image runs under an emulator, under a debugger and on its own. Any other fault
// ends the emulator with a status that no test takes for a pass, and restarts a board.
extern "C" [[gnu::used]] void on_fault(uint32_t* frame) {
  const auto* const code = reinterpret_cast<const uint16_t*>(frame[6] & ~1u);
  if (!has_semihosting() && *code == kSemihostingBreakpoint) {
    frame[0] = 0xFFFFFFFF;
    frame[6] += 2;
    return;
  }
  if (has_semihosting()) report_fault(frame);
  restart_board();
}

// Of a port without an interrupt that cannot be masked.
[[gnu::weak]] void split_port::cortex_m::on_nmi() { restart_board(); }

// Not by a branch, which reaches only 2 KB on Armv6-M. on_fault returns from the exception itself.
extern "C" [[gnu::naked]] void Fault_Handler() {
  __asm volatile(
      "mrs r0, msp\n\t"
      "ldr r1, =on_fault\n\t"
      "bx r1\n\t"
      ".ltorg");
}

extern "C" [[noreturn, gnu::used]] void start() {
  paint_stack();
  // Onto themselves where a loader has filled RAM.
  const uint32_t* from = &__data_load__;
  for (uint32_t* word = &__data_start__; word < &__data_end__; ++word) *word = *from++;
  for (uint32_t* word = &__bss_start__; word < &__bss_end__; ++word) *word = 0;
  g_resets = g_resets + 1;
  __libc_init_array();
  begin();
  split_port::stop(split_app_main());
}

// The FPU comes first: the compiler may use its registers in any function after this one. A boot
// loader may have left interrupts, or a vector table of its own.
extern "C" [[gnu::naked, noreturn]] void Reset_Handler() {
  __asm volatile(
#if defined(__ARM_FP)
      "ldr r0, =0xE000ED88\n\t"
      "ldr r1, [r0]\n\t"
      "ldr r2, =0xF00000\n\t"
      "orr r1, r1, r2\n\t"
      "str r1, [r0]\n\t"
#endif
      "ldr r0, =0xE000ED08\n\t"
      "ldr r1, =split_port_vectors\n\t"
      "str r1, [r0]\n\t"
      "dsb\n\t"
      "isb\n\t"
      "ldr r0, =start\n\t"
      "bx r0\n\t"
      ".ltorg");
}

extern "C" {

struct Vectors {
  uint32_t* initial_stack;
  Handler system[15];
  Handler external[kInterruptCount];
};

}  // extern "C"

namespace {

constexpr int kNmiException = 2;
constexpr int kPendSvException = 14;
constexpr int kSysTickException = 15;

void external_interrupt() { on_interrupt((reg(kScbIcsr) & 0x1FF) - 16); }

constexpr Vectors make_vectors() {
  Vectors vectors{&__stack_top__, {}, {}};
  for (Handler& handler : vectors.system) handler = Fault_Handler;
  vectors.system[0] = Reset_Handler;
  vectors.system[kNmiException - 1] = on_nmi;
  vectors.system[kPendSvException - 1] = on_pendsv;
  vectors.system[kSysTickException - 1] = on_systick;
  for (Handler& handler : vectors.external) handler = external_interrupt;
  return vectors;
}

}  // namespace

// constinit in all but name: a table that needed a constructor would be empty at reset.
extern "C" [[gnu::section(".vectors"), gnu::used]] constexpr Vectors split_port_vectors =
    make_vectors();

namespace split_port::cortex_m {

uint32_t reset_count() { return g_resets; }

void restart_board() {
  reg(kScbAircr) = kResetRequest;
  for (;;) {
  }
}

}  // namespace split_port::cortex_m
