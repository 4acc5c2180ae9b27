// SPDX-License-Identifier: Apache-2.0
// The inner loop of products for ARMv6-M (Cortex-M0, M0+), which has no multiply-accumulate and eight
// registers that it can multiply in: 3 instructions a product where compilers take 7.5.
//
// Two products by one multiplication. A word of x is a + b * 2^16, of weights w + v * 2^16:
//   (a + b * 2^16) * (w + v * 2^16) = a * w + (a * v + b * w) * 2^16   modulo 2^32
// a * w is below 2^15, so that adding 2^15 and shifting by 16 gives a * v + b * w. This is from -32512 to
// 32768 and so one too large for 16 bits: 2^16 less is added, and the sums begin with one more for each.
#include "target.h"

#if SPLIT_KERNELS_V6M

// clang-format off
__asm__(R"(
    .syntax unified
    .thumb
    .section .text.split_kernels_v6m, "ax", %progbits

@ r0 x   r1 weights   r2 .. r5 words of x, of four positions   r6 weights of a channel   r7 free
@ r8 .. r11 sums   r12 -2^15   lr end of x

@ A word of weights to those of channel 0 or 1: bytes 0 and 2, or 1 and 3.
.macro V6M_WEIGHTS channel
    ldmia   r1!, {r6}
  .if \channel == 0
    lsls    r7, r6, #24
    lsls    r6, r6, #8
  .else
    lsls    r7, r6, #16
  .endif
    asrs    r7, r7, #24
    lsls    r7, r7, #16
    asrs    r6, r6, #24
    adds    r6, r6, r7
.endm

.macro V6M_TWO word, sum
    muls    \word, r6, \word
    add     \word, r12
    asrs    \word, \word, #16
    add     \sum, \word
.endm

.macro V6M_STEP channel
    ldmia   r0!, {r2-r5}
    V6M_WEIGHTS \channel
    V6M_TWO r2, r8
    V6M_TWO r3, r9
    V6M_TWO r4, r10
    V6M_TWO r5, r11
.endm

@ Sums of four positions: r0 x, r1 weights, r2 end of x, r3 what sums begin with; results from [stack] on, two
@ words apart.
.macro V6M_SUMS channel
    .global split_kernels_v6m_sums_\channel
    .type   split_kernels_v6m_sums_\channel, %function
    .thumb_func
    .balign 4
split_kernels_v6m_sums_\channel:
    push    {r4-r7, lr}
    mov     r4, r8
    mov     r5, r9
    mov     r6, r10
    mov     r7, r11
    push    {r4-r7}
    mov     lr, r2
    mov     r8, r3
    mov     r9, r3
    mov     r10, r3
    mov     r11, r3
    movs    r7, #1
    lsls    r7, r7, #15
    rsbs    r7, r7, #0
    mov     r12, r7
1:
    V6M_STEP \channel
    V6M_STEP \channel
    cmp     r0, lr
    bne     1b
    ldr     r0, [sp, #36]
    mov     r2, r8
    mov     r3, r9
    mov     r4, r10
    mov     r5, r11
    str     r2, [r0]
    str     r3, [r0, #8]
    str     r4, [r0, #16]
    str     r5, [r0, #24]
    pop     {r4-r7}
    mov     r8, r4
    mov     r9, r5
    mov     r10, r6
    mov     r11, r7
    pop     {r4-r7, pc}
.endm

    V6M_SUMS 0
    V6M_SUMS 1
    .text
)");
// clang-format on

#endif  // SPLIT_KERNELS_V6M
