// SPDX-License-Identifier: Apache-2.0
// From reset to split_app_main(): vector table, FPU, .bss, static constructors.
#include <cstdint>

#include "board.h"
#include "cortex_m.h"
#include "interrupts.h"
#include "semihosting.h"
#include "split_port/port.h"

extern "C" {

extern uint32_t __stack_top__;
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

using Handler = void (*)();
constexpr uint32_t kFullFpuAccess = 0xF << 20;
constexpr int kFaultStatus = 120;

void write_hex(const char* name, uint32_t value) {
  char text[] = " 00000000";
  for (int digit = 0; digit < 8; ++digit) {
    text[8 - digit] = "0123456789abcdef"[(value >> (4 * digit)) & 0xF];
  }
  split_port::mps2::semihosting_write(name);
  split_port::mps2::semihosting_write(text);
}

}  // namespace

// A fault ends the emulator with a status that no test takes for a pass.
extern "C" [[gnu::used, noreturn]] void report_fault(const uint32_t* frame) {
  using namespace split_port::mps2;
  write_hex("FAULT exception", reg(kScbIcsr) & 0x1FF);
  write_hex(" pc", frame[6]);
  write_hex(" lr", frame[5]);
  write_hex(" cfsr", reg(kScbCfsr));
  write_hex(" hfsr", reg(kScbHfsr));
  write_hex(" bfar", reg(kScbBfar));
  semihosting_write("\n");
  semihosting_exit(kFaultStatus);
}

extern "C" [[gnu::naked]] void Fault_Handler() {
  __asm volatile("mrs r0, msp\n\tb report_fault");
}

extern "C" [[noreturn, gnu::used]] void start() {
  for (uint32_t* word = &__bss_start__; word < &__bss_end__; ++word) *word = 0;
  __libc_init_array();
  split_port::mps2::begin();
  split_port::stop(split_app_main());
}

// The FPU comes first: the compiler may use its registers in any function after this one.
extern "C" [[gnu::naked, noreturn]] void Reset_Handler() {
  __asm volatile(
      "ldr r0, =0xE000ED88\n\t"
      "ldr r1, [r0]\n\t"
      "orr r1, r1, %0\n\t"
      "str r1, [r0]\n\t"
      "ldr r0, =0xE000ED08\n\t"
      "ldr r1, =split_port_vectors\n\t"
      "str r1, [r0]\n\t"
      "dsb\n\t"
      "isb\n\t"
      "b start\n\t"
      ".ltorg" ::"i"(kFullFpuAccess));
}

extern "C" {

struct Vectors {
  uint32_t* initial_stack;
  Handler system[15];
  Handler external[split_port::mps2::kInterruptCount];
};

}  // extern "C"

namespace {

constexpr int kSysTick = 15;

constexpr Vectors make_vectors() {
  Vectors vectors{&__stack_top__, {}, {}};
  for (Handler& handler : vectors.system) handler = Fault_Handler;
  vectors.system[0] = Reset_Handler;
  vectors.system[kSysTick - 1] = split_port::mps2::on_systick;
  for (Handler& handler : vectors.external) handler = split_port::mps2::on_interrupt;
  return vectors;
}

}  // namespace

// constinit in all but name: a table that needed a constructor would be empty at reset.
extern "C" [[gnu::section(".vectors"), gnu::used]] constexpr Vectors split_port_vectors =
    make_vectors();
