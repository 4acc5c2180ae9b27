// SPDX-License-Identifier: Apache-2.0
// Inner loops of the DSP schedule in assembly. Macros make one function for each number of
// positions, rounding and order of results; read a macro from its end.
//
// Why assembly: a product of four positions by two channels has eight sums, two words of weights,
// two words of x and two pointers. That is every register there is, the loop's end stays on the
// stack, and compilers spill sums instead (2.5 instructions a product where these take 0.84).
#include "target.h"

#if SPLIT_KERNELS_DSP

#define SPLIT_KERNELS_TEXT_OF(value) #value
#define SPLIT_KERNELS_TEXT(value) SPLIT_KERNELS_TEXT_OF(value)

// clang-format off
__asm__("    .equ SK_DUAL_ISSUE, " SPLIT_KERNELS_TEXT(SPLIT_KERNELS_TWO_AT_ONCE) R"(
    .syntax unified
    .thumb
    .section .text.split_kernels_dsp, "ax", %progbits

@ ---- Products ---------------------------------------------------------------------------------
@ r0 x   r1 weights   r2, r3 words of x   r12, lr weights of channels 0 and 1 (or pointers)
@ r4 .. r11 sums: r4 position 0, channel 0;  r5 position 0, channel 1;  r6 position 1, channel 0 ...
@ stack: x, records, y, r4-r11, lr; then the arguments. Of `records` the place behind the biases. With two
@ instructions issued at once, before these the bytes of weights that the first round leaves out.

    .equ LEFT_OUT, 0
    .equ X, 0 + 4 * SK_DUAL_ISSUE
    .equ RECORDS, 4 + 4 * SK_DUAL_ISSUE
    .equ Y, 8 + 4 * SK_DUAL_ISSUE
    .equ POSITION_STEP, 48 + 4 * SK_DUAL_ISSUE
    .equ CHANNEL_STEP, 52 + 4 * SK_DUAL_ISSUE
    .equ RECORDS_END, 56 + 4 * SK_DUAL_ISSUE
    .equ X_END, 60 + 4 * SK_DUAL_ISSUE
    .equ ENTRY, 64 + 4 * SK_DUAL_ISSUE

@ Two products of each position with both channels: one word of weights serves two channels.
@ Loads stand apart from what uses them: an M7 issues two instructions at once. Every instruction is
@ four bytes long, SK_STEP_BYTES together.
    .equ SK_STEP_BYTES_1, 24
    .equ SK_STEP_BYTES_2, 32
    .equ SK_STEP_BYTES_3, 44
    .equ SK_STEP_BYTES_4, 52 + 8 * SK_DUAL_ISSUE
.macro SK_STEP positions
    ldr     r12, [r1], #4
  .if \positions > 1
    ldrd    r2, r3, [r0], #8
  .else
    ldr     r2, [r0], #4
  .endif
    sxtb16  lr, r12
    sxtb16  r12, r12, ror #8
    smlad   r4, r2, lr, r4
    smlad   r5, r2, r12, r5
  .if \positions > 1
    smlad   r6, r3, lr, r6
    smlad   r7, r3, r12, r7
  .endif
  .if \positions == 4
    ldrd    r2, r3, [r0], #8
  .elseif \positions == 3
    ldr     r2, [r0], #4
  .endif
  .if \positions > 2
    smlad   r8, r2, lr, r8
    smlad   r9, r2, r12, r9
  .endif
  .if \positions > 3
    smlad   r10, r3, lr, r10
    smlad   r11, r3, r12, r11
  .endif
.endm

@ The first two, which begin all sums with the biases r4, r5; those of position 0 come last.
.macro SK_FIRST_STEP positions
    ldr     r12, [r1], #4
  .if \positions > 1
    ldrd    r2, r3, [r0], #8
  .else
    ldr     r2, [r0], #4
  .endif
  .if \positions == 3
    ldr     r8, [r0], #4
  .elseif \positions == 4
    ldrd    r8, r10, [r0], #8
  .endif
    sxtb16  lr, r12
    sxtb16  r12, r12, ror #8
  .if \positions > 1
    smlad   r6, r3, lr, r4
    smlad   r7, r3, r12, r5
  .endif
  .if \positions > 2
    smlad   r9, r8, r12, r5
    smlad   r8, r8, lr, r4
  .endif
  .if \positions > 3
    smlad   r11, r10, r12, r5
    smlad   r10, r10, lr, r4
  .endif
    smlad   r4, r2, lr, r4
    smlad   r5, r2, r12, r5
.endm

@ Step number \at, of `steps`, of four positions where two instructions are issued at once: one of them may be a load
@ of one word that moves no pointer, beside the other's products. A step loads what the next one begins with.
.macro SK_DUAL_STEP at, steps
    sxtb16  lr, r12
    smlad   r4, r2, lr, r4
    sxtb16  r12, r12, ror #8
    smlad   r6, r3, lr, r6
    smlad   r5, r2, r12, r5
    ldr.w   r2, [r0, #16 * \at + 8]
    smlad   r7, r3, r12, r7
    ldr.w   r3, [r0, #16 * \at + 12]
    smlad   r9, r2, r12, r9
    smlad   r8, r2, lr, r8
  .if \at + 1 < \steps
    ldr.w   r2, [r0, #16 * \at + 16]
  .endif
    smlad   r11, r3, r12, r11
  .if \at + 1 < \steps
    ldr.w   r12, [r1, #4 * \at + 4]
  .endif
    smlad   r10, r3, lr, r10
  .if \at + 1 < \steps
    ldr.w   r3, [r0, #16 * \at + 20]
  .endif
.endm
.macro SK_OPERANDS
    ldr.w   r12, [r1]
    ldr.w   r2, [r0]
    ldr.w   r3, [r0, #4]
.endm
.macro SK_DUAL_STEPS steps
    ldr     lr, [sp, #LEFT_OUT]
    SK_OPERANDS
    sub     r1, r1, lr
    sub     r0, r0, lr, lsl #2
    ldr     pc, [sp, #ENTRY]
3:
    SK_OPERANDS
1:
    .set    SK_AT, 0
    .rept \steps
    SK_DUAL_STEP SK_AT, \steps
    .set    SK_AT, SK_AT + 1
    .endr
2:
  .if 2b - 1b != \steps * SK_STEP_BYTES_4 - 12
    .error "SK_STEP_BYTES"
  .endif
    ldr     lr, [sp, #X_END]
    add     r0, r0, #16 * \steps
    add     r1, r1, #4 * \steps
    cmp     r0, lr
    bne     3b
.endm

@ A pair's sums, of the record in r12. The loop is entered where the steps that are left are a whole number of rounds.
.macro SK_PRODUCTS positions, steps, doubled
    ldr     r0, [sp, #X]
    ldrd    r4, r5, [r12, #-8]
  .if \doubled
    lsl     r4, r4, #1
    lsl     r5, r5, #1
  .endif
    SK_FIRST_STEP \positions
  .if SK_DUAL_ISSUE && \positions == 4
    SK_DUAL_STEPS \steps
  .else
    ldr     pc, [sp, #ENTRY]
1:
  .rept \steps
    SK_STEP \positions
  .endr
2:
  .if 2b - 1b != \steps * SK_STEP_BYTES_\positions
    .error "SK_STEP_BYTES"
  .endif
    ldr     lr, [sp, #X_END]
    cmp     r0, lr
    bne     1b
  .endif
    ldr     r12, [sp, #RECORDS]
.endm

@ ENTRY from the number of steps of the loop that are left out.
.macro SK_BEGIN positions
    add     r12, r2, #8
    mov     r2, r12
    push    {r0, r2, r3, r4-r11, lr}
  .if SK_DUAL_ISSUE
    sub     sp, sp, #4
    ldr     r4, [sp, #ENTRY]
    lsl     r4, r4, #2
    str     r4, [sp, #LEFT_OUT]
  .endif
    ldr     r4, [sp, #ENTRY]
    movs    r5, #SK_STEP_BYTES_\positions
    mul     r4, r4, r5
    adr.w   r5, 1f + 1                @ in Thumb
    add     r4, r4, r5
    str     r4, [sp, #ENTRY]
.endm

@ One sum, doubled, to int8: addend in r2, shift in r3.
.macro SK_SCALE rounding, sum, multiplier
  .ifc \rounding, once
    smmlar  \sum, \sum, \multiplier, r2
  .else
    smmulr  \sum, \sum, \multiplier
    add     \sum, \sum, \sum, asr #31
    add     \sum, \sum, r2
  .endif
.endm
.macro SK_FINISH_CHANNEL positions, rounding, a, b, c, d, multiplier=r0
    ldm     r12!, {\multiplier, r2, r3}
    SK_SCALE \rounding, \a, \multiplier
  .if \positions > 1
    SK_SCALE \rounding, \b, \multiplier
  .endif
  .if \positions > 2
    SK_SCALE \rounding, \c, \multiplier
  .endif
  .if \positions > 3
    SK_SCALE \rounding, \d, \multiplier
  .endif
    asr     \a, \a, r3
  .if \positions > 1
    asr     \b, \b, r3
  .endif
  .if \positions > 2
    asr     \c, \c, r3
  .endif
  .if \positions > 3
    asr     \d, \d, r3
  .endif
    ssat    \a, #8, \a
  .if \positions > 1
    ssat    \b, #8, \b
  .endif
  .if \positions > 2
    ssat    \c, #8, \c
  .endif
  .if \positions > 3
    ssat    \d, #8, \d
  .endif
.endm

@ Two channels of each position side by side.
.macro SK_STORE_rows positions
    ldr     r0, [sp, #POSITION_STEP]
    bfi     r4, r5, #8, #8
    strh    r4, [lr]
  .if \positions > 1
    bfi     r6, r7, #8, #8
    strh    r6, [lr, r0]
  .endif
  .if \positions > 2
    bfi     r8, r9, #8, #8
    strh    r8, [lr, r0, lsl #1]
  .endif
  .if \positions > 3
    add     r2, lr, r0
    bfi     r10, r11, #8, #8
    strh    r10, [r2, r0, lsl #1]
  .endif
    add     lr, lr, #2
.endm

@ Positions of each channel side by side.
.macro SK_STORE_plane positions, a, b, c, d
  .if \positions > 1
    bfi     \a, \b, #8, #8
  .endif
  .if \positions == 1
    strb    \a, [lr]
  .elseif \positions == 2
    strh    \a, [lr]
  .elseif \positions == 3
    strh    \a, [lr]
    strb    \c, [lr, #2]
  .else
    bfi     \c, \d, #8, #8
    pkhbt   \a, \a, \c, lsl #16
    str     \a, [lr]
  .endif
    add     lr, lr, r0
.endm
.macro SK_STORE_planes positions
    ldr     r0, [sp, #CHANNEL_STEP]
    SK_STORE_plane \positions, r4, r6, r8, r10
    SK_STORE_plane \positions, r5, r7, r9, r11
.endm

.macro SK_STORE_SUMS positions
    ldr     r0, [sp, #POSITION_STEP]
    mov     r2, lr
    strd    r4, r5, [r2]
  .if \positions > 1
    add     r2, r2, r0
    strd    r6, r7, [r2]
  .endif
  .if \positions > 2
    add     r2, r2, r0
    strd    r8, r9, [r2]
  .endif
  .if \positions > 3
    add     r2, r2, r0
    strd    r10, r11, [r2]
  .endif
    add     lr, lr, #8
.endm

.macro SK_FUNCTION name
    .global \name
    .type   \name, %function
    .thumb_func
    .balign 8
\name:
.endm

.macro SK_NEXT_PAIR
    str     r12, [sp, #RECORDS]
    str     lr, [sp, #Y]
    ldr     r2, [sp, #RECORDS_END]
    cmp     r12, r2
    bls     9b
    add     sp, sp, #12 + 4 * SK_DUAL_ISSUE
    pop     {r4-r11, pc}
.endm

.macro SK_MULTIPLY rounding, order, positions, steps, doubled=1, kind
SK_FUNCTION split_kernels_\rounding\()_\kind\()\order\()_\positions
    SK_BEGIN \positions
9:
    SK_PRODUCTS \positions, \steps, \doubled
  .if \doubled == 0
    .irp sum, r4, r5, r6, r7, r8, r9, r10, r11
    lsl     \sum, \sum, #1
    .endr
  .endif
    SK_FINISH_CHANNEL \positions, \rounding, r4, r6, r8, r10
    SK_FINISH_CHANNEL \positions, \rounding, r5, r7, r9, r11
    ldr     lr, [sp, #Y]
    add     r12, r12, #8
    SK_STORE_\order \positions
    SK_NEXT_PAIR
.endm

.macro SK_MULTIPLY_SUMS positions, steps
SK_FUNCTION split_kernels_sums_\positions
    SK_BEGIN \positions
9:
    SK_PRODUCTS \positions, \steps, 0
    ldr     lr, [sp, #Y]
    add     r12, r12, #8
    SK_STORE_SUMS \positions
    SK_NEXT_PAIR
.endm

@ Two roundings are right where one is enough, and serve what is seldom run.
.macro SK_ALL_POSITIONS rounding, order
    SK_MULTIPLY \rounding, \order, 1, 4
    SK_MULTIPLY \rounding, \order, 2, 4
    SK_MULTIPLY \rounding, \order, 3, 4
.endm

@ Of four positions in rows the sums are doubled, not x, unless products are few.
    SK_MULTIPLY once, rows, 4, 16, 0
    SK_MULTIPLY once, rows, 4, 8, 1, narrow_
    SK_MULTIPLY twice, rows, 4, 16, 0
    SK_MULTIPLY once, planes, 2, 4
    SK_MULTIPLY once, planes, 3, 4
    SK_MULTIPLY once, planes, 4, 8
    SK_MULTIPLY twice, planes, 4, 8
    SK_ALL_POSITIONS twice, rows
    SK_ALL_POSITIONS twice, planes
    SK_MULTIPLY_SUMS 1, 4
    SK_MULTIPLY_SUMS 2, 4
    SK_MULTIPLY_SUMS 3, 4
    SK_MULTIPLY_SUMS 4, 8

@ ---- Products of several groups of four positions ------------------------------------------------
@ The weights of a pair are widened once, to `room`, and serve all groups: 11 instructions a step.
@ Registers as above, but that r12, lr are loaded from r1, which runs over `room`.
@ stack: biases, bytes of weights that the first round leaves out, y of the group, x, weights, records, y, r4-r11, lr; then the arguments

    .equ G_BIAS, 0
    .equ G_LEFT_OUT, 8
    .equ G_Y_GROUP, 12
    .equ G_X, 16
    .equ G_WEIGHTS, 20
    .equ G_RECORDS, 24
    .equ G_Y, 28
    .equ G_STEP, 68                   @ of channels in planes, of positions in rows
    .equ G_RECORDS_END, 72
    .equ G_X_END, 76
    .equ G_ROOM, 80
    .equ G_ROOM_END, 84
    .equ G_ENTRY, 88

@ Step number \at of the loop.
.macro SK_WIDE_STEP at
  .if SK_DUAL_ISSUE
    smlad   r4, r2, r12, r4
    ldr.w   lr, [r1, #8 * \at + 4]
    smlad   r6, r3, r12, r6
    smlad   r5, r2, lr, r5
    ldr.w   r2, [r0, #16 * \at + 8]
    smlad   r7, r3, lr, r7
    ldr.w   r3, [r0, #16 * \at + 12]
    smlad   r8, r2, r12, r8
    smlad   r9, r2, lr, r9
  .if \at < 7
    ldr.w   r2, [r0, #16 * \at + 16]
  .endif
    smlad   r10, r3, r12, r10
  .if \at < 7
    ldr.w   r12, [r1, #8 * \at + 8]
  .endif
    smlad   r11, r3, lr, r11
  .if \at < 7
    ldr.w   r3, [r0, #16 * \at + 20]
  .endif
  .else
    ldrd    r12, lr, [r1], #8
    ldrd    r2, r3, [r0], #8
    smlad   r4, r2, r12, r4
    smlad   r5, r2, lr, r5
    smlad   r6, r3, r12, r6
    smlad   r7, r3, lr, r7
    ldrd    r2, r3, [r0], #8
    smlad   r8, r2, r12, r8
    smlad   r9, r2, lr, r9
    smlad   r10, r3, r12, r10
    smlad   r11, r3, lr, r11
  .endif
.endm
  .if SK_DUAL_ISSUE
    .equ SK_WIDE_STEP_BYTES, 56
    .equ SK_WIDE_STEPS_BYTES, 7 * 56 + 44
  .else
    .equ SK_WIDE_STEP_BYTES, 44
    .equ SK_WIDE_STEPS_BYTES, 8 * 44
  .endif

.macro SK_STORE_GROUP_planes
    bfi     r4, r6, #8, #8
    bfi     r8, r10, #8, #8
    bfi     r5, r7, #8, #8
    bfi     r9, r11, #8, #8
    pkhbt   r4, r4, r8, lsl #16
    pkhbt   r5, r5, r9, lsl #16
    str     r5, [lr, r1]
    str     r4, [lr], #4
.endm
.macro SK_STORE_GROUP_rows
    bfi     r4, r5, #8, #8
    bfi     r6, r7, #8, #8
    bfi     r8, r9, #8, #8
    bfi     r10, r11, #8, #8
    add     r2, lr, r1
    strh    r4, [lr]
    strh    r6, [lr, r1]
    strh    r8, [lr, r1, lsl #1]
    strh    r10, [r2, r1, lsl #1]
    add     lr, lr, r1, lsl #2
.endm

@ \order: planes, of values that are doubled, or rows, of values that are not.
.macro SK_GROUPS rounding, order
SK_FUNCTION split_kernels_groups_\rounding\()_\order
    adds    r2, r2, #8
    push    {r0, r1, r2, r3, r4-r11, lr}
    sub     sp, sp, #16
    ldr     r4, [sp, #G_ENTRY]
    movs    r5, #SK_WIDE_STEP_BYTES
    lsl     r6, r4, #3
    mul     r4, r4, r5
    str     r6, [sp, #G_LEFT_OUT]
    adr.w   r5, 1f + 1                @ in Thumb
    add     r4, r4, r5
    str     r4, [sp, #G_ENTRY]
9:
    ldr     r1, [sp, #G_WEIGHTS]
    ldr     r0, [sp, #G_ROOM]
    ldr     r12, [sp, #G_ROOM_END]
7:
    ldrd    r2, r3, [r1], #8
    sxtb16  r4, r2
    sxtb16  r5, r2, ror #8
    sxtb16  r6, r3
    sxtb16  r7, r3, ror #8
    stm     r0!, {r4-r7}
    cmp     r0, r12
    bne     7b
    str     r1, [sp, #G_WEIGHTS]
    ldr     r12, [sp, #G_RECORDS]
    ldr     r0, [sp, #G_X]
    ldrd    r4, r5, [r12, #-8]
    ldr     lr, [sp, #G_Y]
  .ifc \order, planes
    lsl     r4, r4, #1
    lsl     r5, r5, #1
  .endif
    strd    r4, r5, [sp, #G_BIAS]
    str     lr, [sp, #G_Y_GROUP]
8:
    ldr     r1, [sp, #G_ROOM]
    ldrd    r4, r5, [sp, #G_BIAS]
    ldrd    r12, lr, [r1], #8
    ldrd    r2, r3, [r0], #8
    ldrd    r8, r10, [r0], #8
    smlad   r6, r3, r12, r4
    smlad   r7, r3, lr, r5
    smlad   r9, r8, lr, r5
    smlad   r8, r8, r12, r4
    smlad   r11, r10, lr, r5
    smlad   r10, r10, r12, r4
    smlad   r4, r2, r12, r4
    smlad   r5, r2, lr, r5
  .if SK_DUAL_ISSUE
    ldr     lr, [sp, #G_LEFT_OUT]
    SK_OPERANDS
    sub     r1, r1, lr
    sub     r0, r0, lr, lsl #1
  .endif
    ldr     pc, [sp, #G_ENTRY]
3:
  .if SK_DUAL_ISSUE
    SK_OPERANDS
  .endif
1:
    .irp at, 0, 1, 2, 3, 4, 5, 6, 7
    SK_WIDE_STEP \at
    .endr
2:
  .if 2b - 1b != SK_WIDE_STEPS_BYTES
    .error "SK_WIDE_STEP_BYTES"
  .endif
    ldr     lr, [sp, #G_ROOM_END]
  .if SK_DUAL_ISSUE
    add     r1, r1, #64
    add     r0, r0, #128
  .endif
    cmp     r1, lr
    bne     3b
    ldr     r12, [sp, #G_RECORDS]
  .ifc \order, rows
    .irp sum, r4, r5, r6, r7, r8, r9, r10, r11
    lsl     \sum, \sum, #1
    .endr
  .endif
    SK_FINISH_CHANNEL 4, \rounding, r4, r6, r8, r10, r1
    SK_FINISH_CHANNEL 4, \rounding, r5, r7, r9, r11, r1
    ldr     lr, [sp, #G_Y_GROUP]
    ldr     r1, [sp, #G_STEP]
    SK_STORE_GROUP_\order
    ldr     r2, [sp, #G_X_END]
    str     lr, [sp, #G_Y_GROUP]
    cmp     r0, r2
    bne     8b
    ldr     lr, [sp, #G_Y]
    add     r12, r12, #8
  .ifc \order, planes
    add     lr, lr, r1, lsl #1
  .else
    add     lr, lr, #2
  .endif
    str     r12, [sp, #G_RECORDS]
    str     lr, [sp, #G_Y]
    ldr     r2, [sp, #G_RECORDS_END]
    cmp     r12, r2
    bls     9b
    add     sp, sp, #32
    pop     {r4-r11, pc}
.endm

    SK_GROUPS once, planes
    SK_GROUPS twice, planes
    SK_GROUPS once, rows
    SK_GROUPS twice, rows

@ ---- Widening of four positions -----------------------------------------------------------------
@ r0 .. r3 x of each position   r12 result   lr end of r0   r4 .. r7, r8 .. r11 even and odd products

.macro SK_WIDEN name, doubled
SK_FUNCTION split_kernels_widen_\name
    push    {r4-r11, lr}
    mov     r12, r2
    add     lr, r0, r3
    add     r2, r0, r1, lsl #1
    add     r3, r2, r1
    add     r1, r0, r1
1:
    ldr     r4, [r0], #4
    ldr     r5, [r1], #4
    ldr     r6, [r2], #4
    ldr     r7, [r3], #4
    sxtb16  r8, r4, ror #8
    sxtb16  r9, r5, ror #8
    sxtb16  r10, r6, ror #8
    sxtb16  r11, r7, ror #8
    sxtb16  r4, r4
    sxtb16  r5, r5
    sxtb16  r6, r6
    sxtb16  r7, r7
  .if \doubled
    sadd16  r4, r4, r4
    sadd16  r5, r5, r5
    sadd16  r6, r6, r6
    sadd16  r7, r7, r7
    sadd16  r8, r8, r8
    sadd16  r9, r9, r9
    sadd16  r10, r10, r10
    sadd16  r11, r11, r11
  .endif
    stm     r12!, {r4-r7}
    stm     r12!, {r8-r11}
    cmp     r0, lr
    bne     1b
    pop     {r4-r11, pc}
.endm

    SK_WIDEN once, 0
    SK_WIDEN doubled, 1

@ ---- Four channels to planes -------------------------------------------------------------------
@ r0 x   r1 step   r2 columns left   r3 plane_bytes   r12 result   r8, lr three times r1, r3
@ r4 .. r7 four columns; SEL takes bytes 0 and 2 of its first operand, 1 and 3 of the second.
@ stack: x, columns, r4-r11, lr; then result, and bytes of all planes, later where they end
    .equ P_COLUMNS, 4
    .equ P_TO, 44
    .equ P_END, 48

SK_FUNCTION split_kernels_to_planes
    push    {r4-r11, lr}
    push    {r0, r2}
    ldr     r12, [sp, #P_TO]
    ldr     r4, [sp, #P_END]
    add     r8, r1, r1, lsl #1
    add     r4, r4, r12
    str     r4, [sp, #P_END]
    add     lr, r3, r3, lsl #1
    mov     r4, #0
    mov     r5, #0x01000100
    usub8   r4, r4, r5
9:
    subs    r2, r2, #4
    blt     2f
1:
    ldr     r5, [r0, r1]
    ldr     r4, [r0]
    ldr     r7, [r0, r8]
    ldr     r6, [r0, r1, lsl #1]
    lsl     r9, r5, #8
    lsl     r10, r7, #8
    sel     r9, r4, r9                @ channels 0 and 2 of columns 0 and 1
    sel     r10, r6, r10              @ of columns 2 and 3
    lsr     r4, r4, #8
    lsr     r6, r6, #8
    sel     r4, r4, r5                @ channels 1 and 3
    sel     r6, r6, r7
    pkhbt   r5, r9, r10, lsl #16
    pkhbt   r7, r4, r6, lsl #16
    pkhtb   r10, r10, r9, asr #16
    pkhtb   r6, r6, r4, asr #16
    str     r7, [r12, r3]
    str     r10, [r12, r3, lsl #1]
    str     r6, [r12, lr]
    str     r5, [r12], #4
    add     r0, r0, r1, lsl #2
    subs    r2, r2, #4
    bge     1b
2:
    adds    r2, r2, #4
    beq     4f
3:
    ldr     r4, [r0]
    add     r0, r0, r1
    lsr     r5, r4, #8
    lsr     r6, r4, #16
    lsr     r7, r4, #24
    strb    r5, [r12, r3]
    strb    r6, [r12, r3, lsl #1]
    strb    r7, [r12, lr]
    strb    r4, [r12], #1
    subs    r2, r2, #1
    bne     3b
4:
    ldrd    r0, r2, [sp]
    ldr     r12, [sp, #P_TO]
    ldr     r4, [sp, #P_END]
    add     r0, r0, #4
    add     r12, r12, r3, lsl #2
    str     r0, [sp]
    str     r12, [sp, #P_TO]
    cmp     r12, r4
    bne     9b
    add     sp, sp, #8
    pop     {r4-r11, pc}

@ ---- Depthwise 3x3 ----------------------------------------------------------------------------
@ r0 first column of the first row   r1 y   r12 from there to the second row   lr end of r0
@ r4, r6, r8 doubled weights (left, right) of the rows, r7 (middle, middle) of the first two, r9 (middle, 0)
@ r5 shift   r2, r3 words of x   r10, r11 two sums
@ stack: finish (bias, to the third row, multiplier, addend), planes, constants, y, step, r4-r11, lr, arguments

    .equ D_FINISH, 0
    .equ D_PLANES, 16
    .equ D_CONSTANTS, 20
    .equ D_Y, 24
    .equ D_STEP, 28
    .equ D_SECOND, 68
    .equ D_PLANE_BYTES, 72
    .equ D_CHANNELS, 76
    .equ D_PAIRS, 80
    .equ D_ODD, 84
    .equ D_THIRD, 88

.macro SK_WEIGHTS side, middle, offset
    ldr     \side, [r3, #\offset]
    sxtb16  \middle, \side, ror #8
    sxtb16  \side, \side
    sadd16  \side, \side, \side
.endm

@ Four columns of one row: r2 has columns 0 and 2, r3 has 1 and 3.
.macro SK_FOUR_COLUMNS
    sxtb16  r3, r2, ror #8
    sxtb16  r2, r2
.endm
@ \half: of the middle weight, b or t. \bias: what the second sum begins with, r11 or the bias in r10.
.macro SK_ROW_1 side, middle, half, bias=r11
    SK_FOUR_COLUMNS
    smlad   r11, r3, \side, \bias
    smlad   r10, r2, \side, r10
    smlab\half r10, r3, \middle, r10
    smlat\half r11, r2, \middle, r11
.endm
@ Stride 2: the second sum lacks column 4.
.macro SK_ROW_2 side, middle, half, bias=r11
    SK_FOUR_COLUMNS
    smlatb  r11, r2, \side, \bias
    smlad   r10, r2, \side, r10
    smlab\half r10, r3, \middle, r10
    smlat\half r11, r3, \middle, r11
.endm
.macro SK_ONE side, middle, half
    SK_FOUR_COLUMNS
    smlad   r10, r2, \side, r10
    smlab\half r10, r3, \middle, r10
.endm


@ Two columns of a channel to int8 in r10 and r11; r0 moves on. Or one, and r0 stays.
.macro SK_TWO_COLUMNS rounding, stride
    ldrd    r10, r3, [sp, #D_FINISH]
    ldr     r2, [r0, r3]
    SK_ROW_\stride r8, r9, b, r10
    ldr     r2, [r0, r12]
    SK_ROW_\stride r6, r7, t
  .if \stride == 1
    ldr     r2, [r0], #2
    SK_ROW_\stride r4, r7, b
  .else
    ldr     r2, [r0], #4
    SK_ROW_\stride r4, r7, b
    ldr     r2, [sp, #D_FINISH+4]
    ldrsb   r3, [r0, r12]
    ldrsb   r2, [r0, r2]
    smlabt  r11, r2, r8, r11
    ldrsb   r2, [r0]
    smlabt  r11, r3, r6, r11
    smlabt  r11, r2, r4, r11
  .endif
    ldrd    r2, r3, [sp, #D_FINISH+8]
  .ifc \rounding, once
    smmlar  r10, r10, r2, r3
    smmlar  r11, r11, r2, r3
  .else
    smmulr  r10, r10, r2
    smmulr  r11, r11, r2
    add     r10, r10, r10, asr #31
    add     r11, r11, r11, asr #31
    add     r10, r10, r3
    add     r11, r11, r3
  .endif
    asr     r10, r10, r5
    asr     r11, r11, r5
    ssat    r10, #8, r10
    ssat    r11, #8, r11
.endm
.macro SK_ONE_COLUMN rounding
    ldrd    r10, r3, [sp, #D_FINISH]
    ldr     r2, [r0, r3]
    SK_ONE  r8, r9, b
    ldr     r2, [r0, r12]
    SK_ONE  r6, r7, t
    ldr     r2, [r0]
    SK_ONE  r4, r7, b
    ldrd    r2, r3, [sp, #D_FINISH+8]
  .ifc \rounding, once
    smmlar  r10, r10, r2, r3
  .else
    smmulr  r10, r10, r2
    add     r10, r10, r10, asr #31
    add     r10, r10, r3
  .endif
    asr     r10, r10, r5
    ssat    r10, #8, r10
.endm

@ A channel's constants, to registers and the stack; its plane to r0, its y to r1.
.macro SK_BEGIN_CHANNEL
    ldr     r3, [sp, #D_CONSTANTS]
    ldm     r3!, {r4-r7}
    lsl     r4, r4, #1                @ the bias of doubled sums
    stm     sp, {r4-r7}
    ldr     r2, [sp, #D_THIRD]
    str     r2, [sp, #D_FINISH+4]
    SK_WEIGHTS r4, r7, 0
    SK_WEIGHTS r6, r9, 4
    pkhbt   r7, r7, r9, lsl #16
    SK_WEIGHTS r8, r9, 8
    sadd16  r7, r7, r7
    sadd16  r9, r9, r9
    add     r3, r3, #12
    str     r3, [sp, #D_CONSTANTS]
    ldr     r0, [sp, #D_PLANES]
    ldr     r2, [sp, #D_PLANE_BYTES]
    ldr     r1, [sp, #D_Y]
    add     r2, r2, r0
    str     r2, [sp, #D_PLANES]       @ of the next channel
    ldr     r12, [sp, #D_SECOND]
.endm
.macro SK_NEXT_CHANNEL
    ldr     r2, [sp, #D_CHANNELS]
    subs    r2, r2, #1
    str     r2, [sp, #D_CHANNELS]
    bne     9b
    add     sp, sp, #32
    pop     {r4-r11, pc}
.endm

.macro SK_DEPTHWISE rounding, stride
SK_FUNCTION split_kernels_depthwise_\rounding\()_\stride
    push    {r0-r11, lr}
    sub     sp, sp, #16
9:
    SK_BEGIN_CHANNEL
    add     r3, r1, #1
    str     r3, [sp, #D_Y]
    ldr     lr, [sp, #D_PAIRS]
    add     lr, r0, lr, lsl #\stride
    cmp     r0, lr
    beq     2f
1:
    SK_TWO_COLUMNS \rounding, \stride
    ldr     r3, [sp, #D_STEP]
    strb    r10, [r1]
    strb    r11, [r1, r3]
    add     r1, r1, r3, lsl #1
    cmp     r0, lr
    bne     1b
2:
    ldr     r2, [sp, #D_ODD]
    cbz     r2, 3f
    SK_ONE_COLUMN \rounding
    strb    r10, [r1]
3:
    SK_NEXT_CHANNEL
.endm

@ The same with one rounding, widened for a product: r1 a group of four positions, which are 4 bytes apart. Up to three
@ columns end a group that others began, then come whole groups, then up to three columns more.
    .equ D_QUADS, D_PAIRS
    .equ D_LEAD, D_ODD
    .equ D_REST, 92
    .equ D_NEXT, 96                  @ from y to y of four channels, one byte each

.macro SK_DEPTHWISE_WIDENED stride
SK_FUNCTION split_kernels_depthwise_widened_\stride
    push    {r0-r11, lr}
    sub     sp, sp, #16
9:
    SK_BEGIN_CHANNEL
    ldr     r2, [sp, #D_NEXT]
    sxtb    r3, r2
    ror     r2, r2, #8
    add     r3, r3, r1
    str     r2, [sp, #D_NEXT]
    str     r3, [sp, #D_Y]
    ldr     r2, [sp, #D_LEAD]
    cmp     r2, #0
    beq     5f
    tst     r2, #1
    beq     4f
    SK_ONE_COLUMN once
    ldr     r2, [sp, #D_LEAD]
    add     r0, r0, #\stride
    sub     r3, r1, r2, lsl #2
    strh    r10, [r3, #16]
4:
    cmp     r2, #2
    blt     6f
    SK_TWO_COLUMNS once, \stride
    strh    r10, [r1, #8]
    strh    r11, [r1, #12]
6:
    ldr     r3, [sp, #D_STEP]
    add     r1, r1, r3
5:
    ldr     lr, [sp, #D_QUADS]
    add     lr, r0, lr, lsl #\stride + 1
    cmp     r0, lr
    beq     2f
1:
    SK_TWO_COLUMNS once, \stride
    strh    r10, [r1]
    strh    r11, [r1, #4]
    SK_TWO_COLUMNS once, \stride
    ldr     r3, [sp, #D_STEP]
    strh    r10, [r1, #8]
    strh    r11, [r1, #12]
    add     r1, r1, r3
    cmp     r0, lr
    bne     1b
2:
    ldr     r3, [sp, #D_REST]
    cmp     r3, #2
    blt     7f
    SK_TWO_COLUMNS once, \stride
    strh    r10, [r1], #4
    strh    r11, [r1], #4
    ldr     r3, [sp, #D_REST]
7:
    tst     r3, #1
    beq     3f
    SK_ONE_COLUMN once
    strh    r10, [r1]
3:
    SK_NEXT_CHANNEL
.endm

    SK_DEPTHWISE once, 1
    SK_DEPTHWISE once, 2
    SK_DEPTHWISE twice, 1
    SK_DEPTHWISE twice, 2
    SK_DEPTHWISE_WIDENED 1
    SK_DEPTHWISE_WIDENED 2
    .text
)");
// clang-format on

#endif  // SPLIT_KERNELS_DSP
