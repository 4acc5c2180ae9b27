// SPDX-License-Identifier: Apache-2.0
// Inner loops for ARMv6-M (Cortex-M0, M0+), which has no multiply-accumulate and eight registers that it can
// multiply in: sums stay in the other registers, where compilers move them to and fro. A product of a matrix
// takes 2.3 instructions (by GCC 7.5), one of a 3x3 window 4.1 (6.7), a sum that becomes int8 32 (44), or of a RELU 10 to 17.
//
// Products of matrices. Two products by one multiplication: a word of x is a + b * 2^16, of two positions, and
//   (a + b * 2^16) * w = a * w + b * w * 2^16   modulo 2^32
// Two such words of one sum are added up before they are taken apart: upper halves are added to the sum of the second
// position, and whole words to one more, from which the first position's sum follows.
//   Whatever the weights (split_kernels_v6m_sums): each half is from -32512 to 32768; with 32767 - 2^16 added the lower
//   one is not negative, and the upper one, less by one, fits. What was added each time, sums begin with.
//   With a short rounding: no half is 32768 (see V6M_TWO), and the carry of a shift says what the lower one borrowed.
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

@ r0 x   r1 weights   r2 .. r5 words of x   r6, r7 weights
@ r8, r9 whole words of positions 0 and 1, 2 and 3   r10, r11 sums of positions 1 and 3   r12 32767 - 2^16   lr end of x
@ Two products of four positions with one channel, whose weights are bytes 0 and 2 of a word, or 1 and 3.
.macro V6M_STEP channel
    ldmia   r0!, {r2-r5}
    ldmia   r1!, {r6}
  .if \channel == 0
    sxtb    r7, r6
    lsls    r6, r6, #8
  .else
    lsls    r7, r6, #16
    asrs    r7, r7, #24
  .endif
    asrs    r6, r6, #24
    muls    r2, r7, r2
    muls    r3, r6, r3
    muls    r4, r7, r4
    muls    r5, r6, r5
    adds    r2, r2, r3
    adds    r3, r4, r5
    add     r2, r12
    add     r3, r12
    add     r8, r2
    add     r9, r3
    asrs    r2, r2, #16
    asrs    r3, r3, #16
    add     r10, r2
    add     r11, r3
.endm

@ Sums of one channel: r0 x, r1 weights, r3 what sums begin with, r4 steps, lr end of x. Steps come in twos, and
@ the loop has four. Of positions 0 to 3 in r6, r2, r7, r3.
.macro V6M_CHANNEL channel
    lsls    r5, r3, #16
    lsls    r6, r4, #15
    adds    r5, r5, r3
    adds    r5, r5, r6
    adds    r5, r5, r4
    adds    r3, r3, r4
    mov     r8, r5
    mov     r9, r5
    mov     r10, r3
    mov     r11, r3
    lsls    r4, r4, #30
    bmi     2f
1:
    V6M_STEP \channel
    V6M_STEP \channel
2:
    V6M_STEP \channel
    V6M_STEP \channel
    cmp     r0, lr
    bne     1b
    mov     r2, r10
    mov     r3, r11
    lsls    r4, r2, #16
    lsls    r5, r3, #16
    mov     r6, r8
    mov     r7, r9
    subs    r6, r6, r4
    subs    r7, r7, r5
.endm

@ Sums of four positions with two channels: r0 x, r1 weights, r2 end of x, r3 what sums begin with; sums of a
@ position side by side from [stack] on.
.macro V6M_SUMS_OF channel
    mov     r2, sp
    ldmia   r2!, {r0, r1, r3, r4}
    ldr     r3, [r3, #4 * \channel]
    V6M_CHANNEL \channel
    ldr     r0, [sp, #52]
    str     r6, [r0, #4 * \channel]
    str     r2, [r0, #8 + 4 * \channel]
    str     r7, [r0, #16 + 4 * \channel]
    str     r3, [r0, #24 + 4 * \channel]
.endm

    V6M_BEGIN split_kernels_v6m_sums
    push    {r4-r7}
    mov     lr, r2
    subs    r4, r2, r0
    lsrs    r4, r4, #4                @ steps
    push    {r0, r1, r3, r4}
    ldr     r5, =32767 - 65536
    mov     r12, r5
    V6M_SUMS_OF 0
    V6M_SUMS_OF 1
    add     sp, #16
    pop     {r4-r7}
    V6M_RETURN
    .ltorg

@ ---- 3x3 windows of one channel, of four columns at a time

@ r0 row of x   r1 column   r2 .. r4 a row of weights   r5 value   r6 product   r7 where sums go
@ r8 .. r11 sums   r12 what sums begin with   lr end of sums   [sp] three rows of x, nine weights

.macro V6M_VALUE
    ldrsb   r5, [r0, r1]
    adds    r1, #1
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

@ Leaves r1 at the column under the next row, or at that of the next four.
.macro V6M_ROW number, stride
    ldr     r0, [sp, #4 * \number]
    add     r5, sp, #12 + 12 * \number
    ldmia   r5!, {r2-r4}
    V6M_VALUE
    V6M_LAST_TAP r2, r8
    V6M_VALUE
  .if \stride == 1
    V6M_TAP r3, r8
    V6M_LAST_TAP r2, r9
    V6M_VALUE
    V6M_TAP r4, r8
    V6M_TAP r3, r9
    V6M_LAST_TAP r2, r10
    V6M_VALUE
    V6M_TAP r4, r9
    V6M_TAP r3, r10
    V6M_LAST_TAP r2, r11
    V6M_VALUE
    V6M_TAP r4, r10
    V6M_LAST_TAP r3, r11
  .else
    V6M_LAST_TAP r3, r8
    V6M_VALUE
    V6M_TAP r4, r8
    V6M_LAST_TAP r2, r9
    V6M_VALUE
    V6M_LAST_TAP r3, r9
    V6M_VALUE
    V6M_TAP r4, r9
    V6M_LAST_TAP r2, r10
    V6M_VALUE
    V6M_LAST_TAP r3, r10
    V6M_VALUE
    V6M_TAP r4, r10
    V6M_LAST_TAP r2, r11
    V6M_VALUE
    V6M_LAST_TAP r3, r11
  .endif
    ldrsb   r5, [r0, r1]
    V6M_LAST_TAP r4, r11
  .if \number < 2
    subs    r1, #3 * \stride + 2
  .elseif \stride == 1
    subs    r1, #1
  .endif
.endm

@ Nine weights from r1, in threes of a word each, as words behind \to.
.macro V6M_WIDEN to
  .rept 3
    ldmia   r1!, {r6}
    sxtb    r4, r6
    lsrs    r6, r6, #8
    sxtb    r5, r6
    lsrs    r6, r6, #8
    sxtb    r6, r6
    stmia   \to!, {r4-r6}
  .endr
.endm

@ Sums of fours of positions, each beginning with r12, to r7 up to lr.
.macro V6M_SUMS_OF_ROWS stride
    movs    r1, #0
91:
    mov     r8, r12
    mov     r9, r12
    mov     r10, r12
    mov     r11, r12
    V6M_ROW 0, \stride
    V6M_ROW 1, \stride
    V6M_ROW 2, \stride
    mov     r2, r8
    mov     r3, r9
    mov     r4, r10
    mov     r5, r11
    stmia   r7!, {r2-r5}
    cmp     r7, lr
    beq     92f
    b       91b
92:
.endm

@ r0 three rows of x, r1 weights, r2 what sums begin with, r3 where sums go, [stack] their end.
.macro V6M_FOURS stride
    V6M_BEGIN split_kernels_v6m_fours_\stride
    push    {r4-r7}
    ldr     r4, [sp, #36]
    mov     lr, r4
    sub     sp, #48
    mov     r12, r2
    mov     r7, sp
    ldmia   r0!, {r4-r6}
    stmia   r7!, {r4-r6}
    V6M_WIDEN r7
    movs    r7, r3
    V6M_SUMS_OF_ROWS \stride
    add     sp, #48
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

@ The same where nothing but the range of int8 clamps, and that at what a sum of 0 gives (RELU6 and RELU):
@   y + 128 = (sum * multiplier + 2^30 + 2^(30 + shift)) >> (31 + shift), but at most 255
@ A sum below 0 gives -128, and one from 2^(9 + shift) on 127. Between them, with multiplier = high * 2^(9 + shift) +
@ rest and the addend c = 2^21 + 2^(21 - shift) of the same unit, it is
@   (sum * high + c + sum * rest / 2^(9 + shift)) >> 22,
@ in which the last term is at least 0 and less than sum: where both give the same, it need not be known. No term
@ leaves 32 bits.

@ Of a channel: r5 multiplier, r7 shift; r2, r3, r6 free.
@ Then r4 high   r5 c   r6, r7 rest modulo 2^9 and rest >> 9   r9 2^(9 + shift)   r10 shift
.macro V6M_RELU_CONSTANTS
    movs    r2, #9
    adds    r2, r2, r7
    movs    r4, r5
    lsrs    r4, r2
    movs    r3, #1
    lsls    r3, r2
    mov     r9, r3
    mov     r10, r7
    movs    r3, r4
    lsls    r3, r2
    subs    r3, r5, r3
    lsrs    r3, r3, #9
    lsls    r6, r5, #23
    lsrs    r6, r6, #23
    movs    r5, #1
    lsls    r5, r5, #21
    movs    r2, r5
    lsrs    r2, r7
    adds    r5, r5, r2
    movs    r7, r3
.endm

@ r0 sums   r1 y   r2 a sum   r3 y + 128   r8 from one y to the next   lr end of sums
.macro V6M_RELU
1:
    ldmia   r0!, {r2}
    cmp     r2, r9
    bhs     4f
    movs    r3, r2
    muls    r3, r4, r3
    adds    r3, r3, r5
    adds    r2, r2, r3
    lsrs    r3, r3, #22
    lsrs    r2, r2, #22
    cmp     r2, r3
    bne     5f
2:
    cmp     r3, #255
    bhi     6f
3:
    subs    r3, #128
    strb    r3, [r1]
    add     r1, r8
    cmp     r0, lr
    bne     1b
    b       7f
4:
    asrs    r2, r2, #31               @ 127, or if negative its complement -128
    movs    r3, #127
    eors    r3, r2
    strb    r3, [r1]
    add     r1, r8
    cmp     r0, lr
    bne     1b
    b       7f
5:
    subs    r0, #4
    ldmia   r0!, {r2}
    movs    r3, r2
    muls    r3, r6, r3
    lsrs    r3, r3, #9
    muls    r2, r7, r2
    adds    r3, r3, r2
    mov     r2, r10
    lsrs    r3, r2                    @ sum * rest / 2^(9 + shift)
    subs    r0, #4
    ldmia   r0!, {r2}
    muls    r2, r4, r2
    adds    r2, r2, r5
    adds    r3, r3, r2
    lsrs    r3, r3, #22
    b       2b
6:
    movs    r3, #255
    b       3b
7:
.endm

@ r0 finish of the channel, r1 sums, r2 their end, r3 y, [stack] from one y to the next.
    V6M_BEGIN split_kernels_v6m_finish_relu
    push    {r4-r7}
    ldr     r4, [sp, #36]
    mov     r8, r4
    mov     lr, r2
    ldmia   r0!, {r5-r7}
    movs    r0, r1
    movs    r1, r3
    V6M_RELU_CONSTANTS
    V6M_RELU
    pop     {r4-r7}
    V6M_RETURN

@ Goes to `else` unless multiplier r5, addend r6 and shift r7 are as above (is_relu()).
.macro V6M_IS_RELU else
    subs    r2, r7, #1
    cmp     r2, #11
    bhs     \else
    lsrs    r3, r5, #30
    beq     \else
    movs    r3, #255
    lsls    r3, r2
    adds    r3, r3, r6
    bne     \else
.endm

@ ---- Products and RELU of groups of four positions, channel by channel (V6mGroups in schedule_v6m.cc)
@
@ Each half of two words is from -32512 to 32640 here: no two weights that are added up are both -128, which is part of
@ what a short rounding promises (docs/custom_ops.md). Then the lower one's sign is bit 15, which a shift by 16 leaves in
@ the carry:
@   upper half + carry = b * w, exactly,
@ and nothing has to be added beforehand.

@ r0 x   r1 weights   r2, r3 sums of positions 1 and 3   r4, r5 words of x   r6, r7 weights
@ r8, r9 whole words of positions 0 and 1, 2 and 3   r11 from one y to the next   lr end of x
.macro V6M_TWO whole, upper
    ldmia   r0!, {r4, r5}
    muls    r4, r7, r4
    muls    r5, r6, r5
    adds    r4, r4, r5
    add     \whole, r4
    asrs    r4, r4, #16
    adcs    \upper, r4
.endm
.macro V6M_GROUP_STEP channel
    ldmia   r1!, {r6}
  .if \channel == 0
    sxtb    r7, r6
    lsls    r6, r6, #8
  .else
    lsls    r7, r6, #16
    asrs    r7, r7, #24
  .endif
    asrs    r6, r6, #24
    V6M_TWO r8, r2
    V6M_TWO r9, r3
.endm

@ As split_kernels_v6m_sums, of a layer with a short rounding.
.macro V6M_SHORT_SUMS_OF channel
    mov     r2, sp
    ldmia   r2!, {r0, r1, r3, r4}
    ldr     r2, [r3, #4 * \channel]
    lsls    r5, r2, #16
    adds    r5, r5, r2
    mov     r8, r5
    mov     r9, r5
    movs    r3, r2
    lsls    r4, r4, #26               @ whether twos of steps are odd, from the bytes of x
    bmi     2f
1:
    V6M_GROUP_STEP \channel
    V6M_GROUP_STEP \channel
2:
    V6M_GROUP_STEP \channel
    V6M_GROUP_STEP \channel
    cmp     r0, lr
    bne     1b
    lsls    r4, r2, #16
    lsls    r5, r3, #16
    mov     r6, r8
    mov     r7, r9
    subs    r6, r6, r4
    subs    r7, r7, r5
    ldr     r0, [sp, #52]
    str     r6, [r0, #4 * \channel]
    str     r2, [r0, #8 + 4 * \channel]
    str     r7, [r0, #16 + 4 * \channel]
    str     r3, [r0, #24 + 4 * \channel]
.endm

    V6M_BEGIN split_kernels_v6m_short_sums
    push    {r4-r7}
    mov     lr, r2
    subs    r4, r2, r0
    push    {r0, r1, r3, r4}
    V6M_SHORT_SUMS_OF 0
    V6M_SHORT_SUMS_OF 1
    add     sp, #16
    pop     {r4-r7}
    V6M_RETURN

@ What V6M_RELU_CONSTANTS made, to [sp, at]: high, c, 2^(9 + shift), rest modulo 2^9, rest >> 9, shift; r1, r2 free.
.macro V6M_KEEP_CONSTANTS at
    mov     r2, r9
    mov     r1, r10
    str     r4, [sp, #\at]
    str     r5, [sp, #\at + 4]
    str     r2, [sp, #\at + 8]
    str     r6, [sp, #\at + 12]
    str     r7, [sp, #\at + 16]
    str     r1, [sp, #\at + 20]
.endm

@ A sum r2 to y, in r3. r4 high   r5 c   r7 2^(9 + shift)   [sp, rest] rest modulo 2^9, rest >> 9, shift   r6 free
@ `name` is this one's; what is rare is in V6M_RARE, further on.
.macro V6M_VALUE_OF name
    cmp     r2, r7
    bhs     .Lv6m_outside_\name
    movs    r3, r2
    muls    r3, r4, r3
    adds    r3, r3, r5
    adds    r6, r2, r3
    lsrs    r3, r3, #22
    lsrs    r6, r6, #22
    cmp     r3, r6
    bne     .Lv6m_rest_\name
.Lv6m_known_\name:
    cmp     r3, #255
    bhi     .Lv6m_most_\name
.Lv6m_within_\name:
    subs    r3, #128
.Lv6m_made_\name:
.endm
.macro V6M_RARE name, rest
.Lv6m_outside_\name:
    asrs    r2, r2, #31               @ 127, or if negative its complement -128
    movs    r3, #127
    eors    r3, r2
    b       .Lv6m_made_\name
.Lv6m_most_\name:
    movs    r3, #255
    b       .Lv6m_within_\name
.Lv6m_rest_\name:
    ldr     r3, [sp, #\rest]
    muls    r3, r2, r3
    lsrs    r3, r3, #9
    ldr     r6, [sp, #\rest + 4]
    muls    r6, r2, r6
    adds    r3, r3, r6
    ldr     r6, [sp, #\rest + 8]
    lsrs    r3, r6                    @ sum * rest / 2^(9 + shift)
    muls    r2, r4, r2
    adds    r2, r2, r5
    adds    r3, r3, r2
    lsrs    r3, r3, #22
    b       .Lv6m_known_\name
.endm

.macro V6M_NEXT_VALUE number
    V6M_VALUE_OF group_\number
    strb    r3, [r1]
    add     r1, r11
.endm

@ [sp] y, high, c, 2^(9 + shift), rest modulo 2^9, rest >> 9, shift; [sp, #28] weights, what whole words begin with, what
@ sums begin with, bytes of a group of x, steps; [sp, #48] groups, end of x.
@ Steps: bit 31 says that the channel is the second of a pair, bit 30 that twos of steps are odd (the loop has four).
    V6M_BEGIN split_kernels_v6m_groups_relu
    push    {r4-r7}
    sub     sp, #56
    ldr     r1, [r0, #4]
    ldr     r2, [r0, #24]
    ldr     r3, [r0, #40]
    str     r0, [sp, #48]
    str     r1, [sp, #52]
    mov     r11, r2
    str     r3, [sp, #40]
10:
    ldr     r4, [r0, #8]
    ldr     r3, [r0, #12]
    lsls    r2, r4, #1
    bcs     11f
    ldr     r1, [r3]
    adds    r3, #8
    b       12f
11:
    ldr     r1, [r3, #4]
    adds    r3, #20
12:
    ldmia   r3!, {r5-r7}
    V6M_IS_RELU 13f
    b       14f
13:
    b       90f
14:
    str     r4, [sp, #44]
    str     r1, [sp, #36]
    lsls    r3, r1, #16
    adds    r3, r3, r1
    str     r3, [sp, #32]
    ldr     r1, [r0, #16]
    str     r1, [sp, #28]
    V6M_RELU_CONSTANTS
    V6M_KEEP_CONSTANTS 4
    ldr     r1, [r0, #20]
    str     r1, [sp]
    ldr     r0, [r0]
20:
    add     r2, sp, #28
    ldmia   r2!, {r1, r3-r6}
    mov     r8, r3
    mov     r9, r3
    adds    r5, r5, r0
    mov     lr, r5
    movs    r2, r4
    movs    r3, r4
    lsls    r6, r6, #1
    bcs     40f
    bmi     31f
30:
    V6M_GROUP_STEP 0
    V6M_GROUP_STEP 0
31:
    V6M_GROUP_STEP 0
    V6M_GROUP_STEP 0
    cmp     r0, lr
    bne     30b
    b       50f
40:
    bmi     42f
41:
    V6M_GROUP_STEP 1
    V6M_GROUP_STEP 1
42:
    V6M_GROUP_STEP 1
    V6M_GROUP_STEP 1
    cmp     r0, lr
    bne     41b
50:                                   @ sums of positions 0 to 3: r6, r2, r7, r3, then r2, r8, r9, r10
    lsls    r4, r2, #16
    lsls    r5, r3, #16
    mov     r6, r8
    mov     r7, r9
    subs    r6, r6, r4
    subs    r7, r7, r5
    mov     r8, r2
    mov     r9, r7
    mov     r10, r3
    mov     r3, sp
    movs    r2, r6
    ldmia   r3!, {r1, r4, r5, r7}
    V6M_NEXT_VALUE 0
    mov     r2, r8
    V6M_NEXT_VALUE 1
    mov     r2, r9
    V6M_NEXT_VALUE 2
    mov     r2, r10
    V6M_NEXT_VALUE 3
    str     r1, [sp]
    ldr     r2, [sp, #52]
    cmp     r0, r2
    beq     60f
    b       20b
    V6M_RARE group_0, 16
    V6M_RARE group_1, 16
    V6M_RARE group_2, 16
    V6M_RARE group_3, 16
60:
    ldr     r0, [sp, #48]
    ldr     r1, [r0, #32]
    subs    r1, r1, #1
    str     r1, [r0, #32]
    beq     90f
    ldr     r1, [r0, #20]             @ y of the next channel
    ldr     r2, [r0, #28]
    adds    r1, r1, r2
    str     r1, [r0, #20]
    ldr     r4, [r0, #8]
    movs    r5, #1
    lsls    r5, r5, #31
    eors    r4, r5
    str     r4, [r0, #8]
    bmi     61f
    ldr     r3, [r0, #12]
    adds    r3, #32
    str     r3, [r0, #12]
    ldr     r3, [r0, #16]
    ldr     r5, [r0, #36]
    adds    r3, r3, r5
    str     r3, [r0, #16]
61:
    b       10b
90:
    add     sp, #56
    pop     {r4-r7}
    V6M_RETURN
    .ltorg

@ ---- A row of 3x3 windows and RELU, channel by channel (V6mRows in schedule_v6m.cc)

@ Three rows of x to [sp], next to rows (r0) those of the next plane, and nine weights behind them; r1 record, which is
@ left at the next; r0 at the record of rows; r12 what sums begin with. r2, r3 free.
.macro V6M_PLANE
    ldmia   r0!, {r4-r6}
    mov     r2, sp
    stmia   r2!, {r4-r6}
    ldr     r3, [r0]
    adds    r4, r4, r3
    adds    r5, r5, r3
    adds    r6, r6, r3
    subs    r0, #12
    stmia   r0!, {r4-r6}
    ldr     r3, [r1]
    mov     r12, r3
    adds    r1, #16
    V6M_WIDEN r2
    str     r1, [r0, #4]
.endm

@ [sp] three rows of x, nine weights, [sp, #48] 32 sums, [sp, #176] rows.
.macro V6M_ROWS_RELU stride
    V6M_BEGIN split_kernels_v6m_rows_relu_\stride
    push    {r4-r7}
    sub     sp, #180
    str     r0, [sp, #176]
10:
    ldr     r1, [r0, #16]
    ldr     r5, [r1, #8]
    ldr     r6, [r1, #12]
    ldr     r7, [r1, #4]
    V6M_IS_RELU 11f
    b       12f
11:
    b       14f
12:
    V6M_PLANE
    ldr     r4, [r0, #20]
    add     r7, sp, #48
    adds    r4, r4, r7
    mov     lr, r4
    V6M_SUMS_OF_ROWS \stride
    ldr     r0, [sp, #176]
    ldr     r1, [r0, #16]
    subs    r1, #28
    ldr     r5, [r1, #8]
    ldr     r7, [r1, #4]
    V6M_RELU_CONSTANTS
    ldr     r3, [sp, #176]
    ldr     r2, [r3, #24]
    mov     r8, r2
    ldr     r1, [r3, #20]
    adds    r2, r1, #1
    str     r2, [r3, #20]
    ldr     r2, [r3, #28]
    add     r0, sp, #48
    adds    r2, r2, r0
    mov     lr, r2
    V6M_RELU
    ldr     r0, [sp, #176]
    ldr     r1, [r0, #36]
    subs    r1, r1, #1
    str     r1, [r0, #36]
    beq     14f
    b       10b
14:
    add     sp, #180
    pop     {r4-r7}
    V6M_RETURN
.endm

    V6M_ROWS_RELU 1
    V6M_ROWS_RELU 2

@ ---- The same as widened values, pairs of columns in a word (V6mWidenedRows in schedule_v6m.cc)

@ V6M_ROW of two columns, to r10 and r11.
.macro V6M_ROW_OF_TWO number, stride
    ldr     r0, [sp, #4 * \number]
    add     r5, sp, #12 + 12 * \number
    ldmia   r5!, {r2-r4}
    V6M_VALUE
    V6M_LAST_TAP r2, r10
    V6M_VALUE
  .if \stride == 1
    V6M_TAP r3, r10
    V6M_LAST_TAP r2, r11
    V6M_VALUE
    V6M_TAP r4, r10
    V6M_LAST_TAP r3, r11
  .else
    V6M_LAST_TAP r3, r10
    V6M_VALUE
    V6M_TAP r4, r10
    V6M_LAST_TAP r2, r11
    V6M_VALUE
    V6M_LAST_TAP r3, r11
  .endif
    ldrsb   r5, [r0, r1]
    V6M_LAST_TAP r4, r11
  .if \number < 2
    subs    r1, #\stride + 2
  .endif
.endm

@ y of columns \first and \second, whose sums are there, to the word at r1, which then leads on by [sp, step].
.macro V6M_PAIR name, first, second, step
    mov     r2, \first
    V6M_VALUE_OF \name\()_0
    mov     \first, r3
    mov     r2, \second
    V6M_VALUE_OF \name\()_1
    lsls    r3, r3, #16
    add     r3, \first
    str     r3, [r1]
    ldr     r2, [sp, #\step]
    adds    r1, r1, r2
.endm

@ [sp] three rows of x, nine weights; [sp, #48] y, high, c, 2^(9 + shift), rest modulo 2^9, rest >> 9, shift; [sp, #76] how
@ far it is to the next pair and from that to the next, end of columns of x in fours, whether two more are left, rows.
@ r1 is a column of x, which lr keeps while r1 is y.
.macro V6M_ROWS_WIDENED stride
    V6M_BEGIN split_kernels_v6m_rows_widened_\stride
    push    {r4-r7}
    sub     sp, #96
    str     r0, [sp, #92]
    movs    r1, r0
    adds    r1, #24
    ldmia   r1!, {r2-r4}
    add     r1, sp, #76
    stmia   r1!, {r2-r4}
10:
    ldr     r1, [r0, #16]
    ldr     r5, [r1, #8]
    ldr     r6, [r1, #12]
    ldr     r7, [r1, #4]
    V6M_IS_RELU 11f
    b       12f
11:
    b       40f
12:
    V6M_RELU_CONSTANTS
    V6M_KEEP_CONSTANTS 52
    ldr     r1, [r0, #16]
    V6M_PLANE
    ldr     r4, [r0, #8]
    str     r4, [sp, #48]
    ldr     r5, [r0, #24]
    str     r5, [sp, #88]
    ldr     r2, [r0, #28]             @ y of the next channel
    sxtb    r3, r2
    adds    r4, r4, r3
    str     r4, [r0, #8]
    movs    r5, #8
    rors    r2, r5
    str     r2, [r0, #28]
    movs    r1, #0
20:
    ldr     r2, [sp, #84]
    cmp     r1, r2
    bne     21f
    b       30f
21:
    mov     r8, r12
    mov     r9, r12
    mov     r10, r12
    mov     r11, r12
    V6M_ROW 0, \stride
    V6M_ROW 1, \stride
    V6M_ROW 2, \stride
    mov     lr, r1
    add     r3, sp, #48
    ldmia   r3!, {r1, r4, r5, r7}
    V6M_PAIR first_\stride, r8, r9, 76
22:
    V6M_PAIR second_\stride, r10, r11, 80
    str     r1, [sp, #48]
    mov     r1, lr
    b       20b
    V6M_RARE first_\stride\()_0, 64
    V6M_RARE first_\stride\()_1, 64
    V6M_RARE second_\stride\()_0, 64
    V6M_RARE second_\stride\()_1, 64
30:
    ldr     r3, [sp, #88]
    cmp     r3, #0
    beq     31f
    mov     lr, r2
    mov     r10, r12
    mov     r11, r12
    V6M_ROW_OF_TWO 0, \stride
    V6M_ROW_OF_TWO 1, \stride
    V6M_ROW_OF_TWO 2, \stride
    movs    r3, #0
    str     r3, [sp, #88]
    add     r3, sp, #48
    ldmia   r3!, {r1, r4, r5, r7}
    b       22b
31:
    ldr     r0, [sp, #92]
    ldr     r1, [r0, #44]
    subs    r1, r1, #1
    str     r1, [r0, #44]
    beq     40f
    b       10b
40:
    add     sp, #96
    pop     {r4-r7}
    V6M_RETURN
.endm

    V6M_ROWS_WIDENED 1
    V6M_ROWS_WIDENED 2
    .text
)");
// clang-format on

#endif  // SPLIT_KERNELS_V6M
