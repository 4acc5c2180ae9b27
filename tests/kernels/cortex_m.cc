// SPDX-License-Identifier: Apache-2.0
// What driver.cc needs to run on a bare Cortex-M in QEMU: a vector table, the FPU (with MVE, where
// there is one) switched on, and files of the host for stdin and stdout, by newlib's semihosting.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

extern "C" {

extern uint32_t __stack_top__;
extern uint32_t __bss_start__;
extern uint32_t __bss_end__;
void initialise_monitor_handles();
void __libc_init_array();

// __libc_init_array calls these; crti.o, which has them, is not linked.
void _init() {}
void _fini() {}

// Before main(): what crt0 would do, then stdin and stdout.
[[gnu::used]] void begin() {
  for (uint32_t* word = &__bss_start__; word < &__bss_end__; ++word) *word = 0;
  initialise_monitor_handles();
  __libc_init_array();
  if (!std::freopen("cases.bin", "rb", stdin) || !std::freopen("answers.bin", "wb", stdout)) {
    std::_Exit(121);
  }
}

[[gnu::naked, noreturn]] void Reset_Handler() {
  __asm volatile(
#if !defined(__ARM_ARCH_6M__)
      "ldr r0, =0xE000ED88\n\t"  // CPACR: full access to coprocessors 10 and 11
      "ldr r1, [r0]\n\t"
      "orr r1, r1, #(0xF << 20)\n\t"
      "str r1, [r0]\n\t"
      "dsb\n\t"
      "isb\n\t"
#endif
      "bl begin\n\t"
      "bl main\n\t"
      "bl exit\n\t"
      ".ltorg");
}

// A fault is an exit status, not an endless loop.
[[noreturn]] void Fault_Handler() { std::_Exit(120); }

struct Vectors {
  uint32_t* initial_stack;
  void (*reset)();
  void (*faults[14])();
};

[[gnu::section(".vectors"), gnu::used]] const Vectors vectors = {
    &__stack_top__,
    Reset_Handler,
    {Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler,
     Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler,
     Fault_Handler, Fault_Handler}};

}  // extern "C"
