// SPDX-License-Identifier: Apache-2.0
// Inner loops for ARMv6-M (Cortex-M0, M0+), which has no multiply-accumulate and eight registers that it can
// multiply in: sums stay in the other registers, where compilers move them to and fro. A product of a matrix
// takes 3 instructions (by GCC 7.5), one of a 3x3 window 4.7 (6.7), a sum that becomes int8 32 (44).
//
// Products of matrices. Two products by one multiplication. A word of x is a + b * 2^16, of weights w + v * 2^16:
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

@ A function; it finds the registers from r8 on in r4 .. r7, to be pushed.
.macro V6M_BEGIN name
    .global \name
    .type   \name, %function
    .thumb_func
    .balign 4
\name:
    push    {r4-r7, lr}
    mov     r4, r8
    mov     r5, r9
    mov     r6, r10
    mov     r7, r11
.endm

@ Its end, where they are there again.
.macro V6M_RETURN
    mov     r8, r4
    mov     r9, r5
    mov     r10, r6
    mov     r11, r7
    pop     {r4-r7, pc}
.endm

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
    V6M_BEGIN split_kernels_v6m_sums_\channel
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
    V6M_RETURN
.endm

    V6M_SUMS 0
    V6M_SUMS 1

@ ---- 3x3 windows of one channel, of four columns at a time

@ r0 x   r1 column   r2 .. r4 a row of weights   r5 value   r6 product   r7 where sums go   r8 .. r11 sums
@ r12 what sums begin with   [sp] three rows of x, three of weights, fours that are left

.macro V6M_VALUE column
    movs    r1, #\column
    ldrsb   r5, [r0, r1]
.endm

.macro V6M_TAP weight, sum
    movs    r6, r5
    muls    r6, \weight, r6
    add     \sum, r6
.endm

.macro V6M_LAST_TAP weight, sum
    muls    r5, \weight, r5
    add     \sum, r5
.endm

.macro V6M_ROW number, stride
    ldr     r0, [sp, #4 * \number]
    ldr     r4, [sp, #12 + 4 * \number]
    sxtb    r2, r4
    lsrs    r4, r4, #8
    sxtb    r3, r4
    lsrs    r4, r4, #8
    sxtb    r4, r4
    V6M_VALUE 0
    V6M_LAST_TAP r2, r8
    V6M_VALUE 1
  .if \stride == 1
    V6M_TAP r3, r8
    V6M_LAST_TAP r2, r9
    V6M_VALUE 2
    V6M_TAP r4, r8
    V6M_TAP r3, r9
    V6M_LAST_TAP r2, r10
    V6M_VALUE 3
    V6M_TAP r4, r9
    V6M_TAP r3, r10
    V6M_LAST_TAP r2, r11
    V6M_VALUE 4
    V6M_TAP r4, r10
    V6M_LAST_TAP r3, r11
    V6M_VALUE 5
    V6M_LAST_TAP r4, r11
  .else
    V6M_LAST_TAP r3, r8
    V6M_VALUE 2
    V6M_TAP r4, r8
    V6M_LAST_TAP r2, r9
    V6M_VALUE 3
    V6M_LAST_TAP r3, r9
    V6M_VALUE 4
    V6M_TAP r4, r9
    V6M_LAST_TAP r2, r10
    V6M_VALUE 5
    V6M_LAST_TAP r3, r10
    V6M_VALUE 6
    V6M_TAP r4, r10
    V6M_LAST_TAP r2, r11
    V6M_VALUE 7
    V6M_LAST_TAP r3, r11
    V6M_VALUE 8
    V6M_LAST_TAP r4, r11
  .endif
    adds    r0, #4 * \stride
    str     r0, [sp, #4 * \number]
.endm

@ r0 three rows of x, r1 weights, r2 what sums begin with, r3 where sums go, [stack] fours.
.macro V6M_FOURS stride
    V6M_BEGIN split_kernels_v6m_fours_\stride
    push    {r4-r7}
    sub     sp, #28
    mov     r7, sp
    ldmia   r0!, {r4-r6}
    stmia   r7!, {r4-r6}
    ldmia   r1!, {r4-r6}
    stmia   r7!, {r4-r6}
    ldr     r4, [sp, #64]
    str     r4, [sp, #24]
    mov     r12, r2
    mov     r7, r3
1:
    mov     r8, r12
    mov     r9, r12
    mov     r10, r12
    mov     r11, r12
    V6M_ROW 0, \stride
    V6M_ROW 1, \stride
    V6M_ROW 2, \stride
    mov     r0, r8
    mov     r1, r9
    mov     r2, r10
    mov     r3, r11
    stmia   r7!, {r0-r3}
    ldr     r0, [sp, #24]
    subs    r0, r0, #1
    str     r0, [sp, #24]
    beq     2f
    b       1b
2:
    add     sp, #28
    pop     {r4-r7}
    V6M_RETURN
.endm

    V6M_FOURS 1
    V6M_FOURS 2

@ ---- Sums to int8, as finish_one() with a short rounding

@ r0 sums   r1 y   r2, r3, r6, r7 free   r4, r5 low and high half of the multiplier   r8 from one y to the next
@ r9 addend   r10 shift   r11 2^15   r12, lr smallest and largest result   [sp] end of sums
@ The product of 64 bits is made of halves, see multiply_high_short().
.macro V6M_FINISH rounding, apart
    V6M_BEGIN split_kernels_v6m_finish_\rounding\()_\apart
    push    {r2, r4-r7}
    ldr     r4, [sp, #40]
    mov     r12, r4
    ldr     r4, [sp, #44]
    mov     lr, r4
    ldr     r4, [sp, #48]
    mov     r8, r4
    ldmia   r0!, {r4-r6}
    mov     r9, r5
    mov     r10, r6
    movs    r5, #1
    lsls    r5, r5, #15
    mov     r11, r5
    asrs    r5, r4, #16
    uxth    r4, r4
    movs    r0, r1
    movs    r1, r3
1:
    ldmia   r0!, {r2}
  .if \apart == 2
    adds    r0, #4
  .endif
    lsls    r3, r2, #17
    lsrs    r3, r3, #16
    asrs    r2, r2, #15
    movs    r6, r3
    muls    r6, r4, r6
    lsrs    r6, r6, #16
    movs    r7, r2
    muls    r7, r4, r7
    adds    r6, r6, r7
    muls    r3, r5, r3
    muls    r2, r5, r2
    uxth    r7, r6
    asrs    r6, r6, #16
    adds    r3, r3, r7
    add     r3, r11
    lsrs    r3, r3, #16
    adds    r2, r2, r6
    adds    r2, r2, r3
  .if \rounding == 1
    asrs    r3, r2, #31
    adds    r2, r2, r3
  .endif
    add     r2, r9
    mov     r7, r10
    asrs    r2, r7
    cmp     r2, lr
    ble     2f
    mov     r2, lr
2:
    cmp     r2, r12
    bge     3f
    mov     r2, r12
3:
    strb    r2, [r1]
    add     r1, r8
    ldr     r7, [sp]
    cmp     r0, r7
    bne     1b
    pop     {r2, r4-r7}
    V6M_RETURN
.endm

    V6M_FINISH 1, 1
    V6M_FINISH 1, 2
    V6M_FINISH 2, 1
    V6M_FINISH 2, 2
    .text
)");
// clang-format on

#endif  // SPLIT_KERNELS_V6M
