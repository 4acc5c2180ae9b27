// SPDX-License-Identifier: Apache-2.0
// Inner loops of the MVE schedule in assembly. Macros make one function for each number of positions,
// rounding and order of results; read a macro from its end.
//
// Why assembly: VMLADAV leaves its sum in an even core register, so that eight sums take r0, r2 .. r14
// and everything else has the six odd ones; GCC moves sums through memory (55 instructions to finish
// eight values where these take 24). And it has no way to place two sums in a vector at once.
#include "target.h"

#if SPLIT_KERNELS_MVE

// clang-format off
__asm__(R"(
    .syntax unified
    .thumb
    .section .text.split_kernels_mve, "ax", %progbits

.macro SKM_FUNCTION name
    .global \name
    .type   \name, %function
    .thumb_func
    .balign 8
\name:
.endm

@ ---- From sums to int8 --------------------------------------------------------------------------
@ Four sums under a short rounding; a copy in \spare if there are two. VQRDMULH doubles in 64 bits.
@ A shift to the left that saturates makes the clamp to int8: the result is the highest byte.
.macro SKM_SCALE rounding, sums, spare, bias, multiplier, addend, left_shift
    vadd.i32     \sums, \sums, \bias
    vqrdmulh.s32 \sums, \sums, \multiplier
  .ifc \rounding, twice
    vshr.s32     \spare, \sums, #31
    vadd.i32     \sums, \sums, \spare
  .endif
    vadd.i32     \sums, \sums, \addend
    vqshl.s32    \sums, \left_shift
.endm

@ ---- Products -----------------------------------------------------------------------------------
@ r1 x   r3 weights   r5 blocks   r7 y   r9 records   r11 pairs
@ r0, r2 .. r14 sums: r0 position 0, channel 0;  r2 position 0, channel 1;  r4 position 1, channel 0 ...
@ q0, q1 weights of channels 0 and 1, then their sums   q2, q3 x   q4 where positions go
@ stack: d8, d9, x, r4-r11, lr; then the arguments

    .equ M_X, 16
    .equ M_POSITION_STEP, 56
    .equ M_CHANNEL_STEP, 60
    .equ M_PAIRS, 64
    .equ M_MORE_BLOCKS, 68
    .equ M_OVER, 72

@ Sixteen products of each position with both channels. VLD2 parts the channels of a pair. Loads stand
@ beside multiplications that do not wait for them.
.macro SKM_BLOCK positions, mac
    vld20.8 {q0, q1}, [r3]
    vld21.8 {q0, q1}, [r3]!
  .if \positions == 1
    vldrb.u8 q2, [r1], #16
  .else
    vldrb.u8 q2, [r1]
  .endif
    \mac    r0, q2, q0
  .if \positions == 2
    vldrb.u8 q3, [r1, #16]
  .elseif \positions > 2
    vldrb.u8 q3, [r1, #16]
  .endif
    \mac    r2, q2, q1
  .if \positions > 1
    \mac    r4, q3, q0
  .if \positions > 2
    vldrb.u8 q2, [r1, #32]
  .endif
    \mac    r6, q3, q1
  .endif
  .if \positions > 2
    \mac    r8, q2, q0
  .if \positions > 3
    vldrb.u8 q3, [r1, #48]
  .endif
    \mac    r10, q2, q1
  .endif
  .if \positions > 3
    \mac    r12, q3, q0
    \mac    lr, q3, q1
  .endif
  .if \positions > 1
    adds    r1, r1, #16 * \positions
  .endif
.endm

@ All products of a pair; q0 and q1 become the sums of its channels. (Vector instructions keep flags.)
.macro SKM_PRODUCTS positions
    ldr     r1, [sp, #M_X]
    SKM_BLOCK \positions, vmladav.s8
    ldr     r5, [sp, #M_MORE_BLOCKS]
    lsrs    r5, r5, #1
    bcc     1f
    SKM_BLOCK \positions, vmladava.s8
1:
    cbz     r5, 3f
2:
    SKM_BLOCK \positions, vmladava.s8
    SKM_BLOCK \positions, vmladava.s8
    subs    r5, r5, #1
    bne     2b
3:
    ldr     r5, [sp, #M_OVER]
    sub     r3, r3, r5
    vmov    q0[2], q0[0], r0, r8
    vmov    q0[3], q0[1], r4, r12
    vmov    q1[2], q1[0], r2, r10
    vmov    q1[3], q1[1], r6, lr
.endm

.macro SKM_STORE positions, size, what
  .if \positions < 4
    vpst
    vstr\size\()t.32 \what, [r7, q4]
  .else
    vstr\size\().32 \what, [r7, q4]
  .endif
.endm

.macro SKM_BEGIN positions
    push    {r0, r4-r11, lr}
    vpush   {d8, d9}
    mov     r7, r3
    mov     r9, r2
    mov     r3, r1
    ldr     r11, [sp, #M_PAIRS]
    ldr     r6, [sp, #M_POSITION_STEP]
    movs    r4, #0
    vidup.u32 q4, r4, #1
    vmul.i32 q4, q4, r6
  .if \positions < 4
    movs    r5, #\positions
    vctp.32 r5
  .endif
.endm

.macro SKM_END
    subs    r11, r11, #1
    bne     9b
    vpop    {d8, d9}
    add     sp, sp, #4
    pop     {r4-r11, pc}
.endm

.macro SKM_MULTIPLY rounding, order, positions
SKM_FUNCTION split_kernels_mve_\rounding\()_\order\()_\positions
    SKM_BEGIN \positions
9:
    SKM_PRODUCTS \positions
    ldm     r9!, {r0, r2, r4, r5, r6, r8, r10, r12}
    rsb     r6, r6, #24
    rsb     r12, r12, #24
    SKM_SCALE \rounding, q0, q2, r0, r4, r5, r6
    SKM_SCALE \rounding, q1, q3, r2, r8, r10, r12
  .ifc \order, halves
    vsri.32 q1, q0, #8                @ the highest bytes of both side by side
    vshr.u32 q1, q1, #16
    SKM_STORE \positions, h, q1
    adds    r7, r7, #2
  .else
    ldr     r0, [sp, #M_CHANNEL_STEP]
    vshr.s32 q0, q0, #24
    SKM_STORE \positions, b, q0
    add     r7, r7, r0
    vshr.s32 q1, q1, #24
    SKM_STORE \positions, b, q1
    add     r7, r7, r0
  .endif
    SKM_END
.endm

.macro SKM_MULTIPLY_SUMS positions
SKM_FUNCTION split_kernels_mve_sums_\positions
    SKM_BEGIN \positions
9:
    SKM_PRODUCTS \positions
    ldrd    r0, r2, [r9], #8
    ldr     r4, [sp, #M_CHANNEL_STEP]
    vadd.i32 q0, q0, r0
    vadd.i32 q1, q1, r2
    SKM_STORE \positions, w, q0
    add     r7, r7, r4
    SKM_STORE \positions, w, q1
    add     r7, r7, r4
    SKM_END
.endm

.macro SKM_ALL_POSITIONS rounding, order
    SKM_MULTIPLY \rounding, \order, 1
    SKM_MULTIPLY \rounding, \order, 2
    SKM_MULTIPLY \rounding, \order, 3
    SKM_MULTIPLY \rounding, \order, 4
.endm

    SKM_ALL_POSITIONS once, bytes
    SKM_ALL_POSITIONS once, halves
    SKM_ALL_POSITIONS twice, bytes
    SKM_ALL_POSITIONS twice, halves
    SKM_MULTIPLY_SUMS 1
    SKM_MULTIPLY_SUMS 2
    SKM_MULTIPLY_SUMS 3
    SKM_MULTIPLY_SUMS 4

@ ---- Depthwise 3x3 ------------------------------------------------------------------------------
@ A window is nine bytes one after the other (schedule.h), and sixteen bytes hold those of two columns.
@ r0 window   r1 y   r2 bias   r3 shift to the left   r5 multiplier   r7 addend   r9 bytes of four columns of y
@ r4, r6, r8, r10 sums   r11 constants   r12 plane   lr fours left
@ q0, q1 windows   q2, q3 weights for the first and the second column   q4 where columns go
@ q5, q6 where the bytes of q2 and q3 are
@ stack: d8-d13, y, r4-r11, lr; then the arguments

    .equ MD_Y, 48
    .equ MD_PLANE_BYTES, 88
    .equ MD_CHANNELS, 92
    .equ MD_FOURS, 96
    .equ MD_REST, 100
    .equ MD_OFFSETS, 104

.macro SKM_FINISH_ROW rounding
    vmov    q0[2], q0[0], r4, r8
    vmov    q0[3], q0[1], r6, r10
    SKM_SCALE \rounding, q0, q1, r2, r5, r7, r3
    vshr.s32 q0, q0, #24
.endm

.macro SKM_DEPTHWISE rounding, stride
SKM_FUNCTION split_kernels_mve_depthwise_\rounding\()_\stride
    push    {r2, r4-r11, lr}
    vpush   {d8-d13}
    mov     r12, r0
    mov     r11, r1
    movs    r4, #0
    vidup.u32 q4, r4, #1
    vmul.i32 q4, q4, r3
    lsl     r9, r3, #2
    ldr     r4, [sp, #MD_OFFSETS]
    vldrb.u8 q5, [r4]
    vldrb.u8 q6, [r4, #16]
9:
    ldm     r11!, {r2, r3, r5, r7}
    rsb     r3, r3, #24
    vldrb.u8 q2, [r11, q5]
    vldrb.u8 q3, [r11, q6]
    add     r11, r11, #12
    mov     r0, r12
    ldr     r1, [sp, #MD_Y]
    ldr     lr, [sp, #MD_FOURS]
    adds    r4, r1, #1
    str     r4, [sp, #MD_Y]           @ of the next channel
    wls     lr, lr, 2f
1:
    vldrb.u8 q0, [r0], #6 * \stride
    vmladav.s8 r4, q0, q2
    vldrb.u8 q1, [r0], #6 * \stride
    vmladav.s8 r6, q0, q3
    vmladav.s8 r8, q1, q2
    vmladav.s8 r10, q1, q3
    SKM_FINISH_ROW \rounding
    vstrb.32 q0, [r1, q4]
    add     r1, r1, r9
    le      lr, 1b
2:
    ldr     r10, [sp, #MD_REST]
    cmp     r10, #2
    beq     4f
    blt     3f
    vldrb.u8 q0, [r0], #6 * \stride
    vmladav.s8 r4, q0, q2
    vmladav.s8 r6, q0, q3
    movs    r8, #9                    @ nothing is read behind the last window
    vctp.8  r8
    vpst
    vldrbt.u8 q1, [r0]
    vmladav.s8 r8, q1, q2
    b       5f
3:
    cmp     r10, #0
    beq     6f
    movs    r8, #9
    vctp.8  r8
    vpst
    vldrbt.u8 q0, [r0]
    vmladav.s8 r4, q0, q2
    b       5f
4:
    vldrb.u8 q0, [r0]
    vmladav.s8 r4, q0, q2
    vmladav.s8 r6, q0, q3
5:
    vctp.32 r10
    SKM_FINISH_ROW \rounding
    vpst
    vstrbt.32 q0, [r1, q4]
6:
    ldr     r2, [sp, #MD_PLANE_BYTES]
    add     r12, r12, r2
    ldr     r2, [sp, #MD_CHANNELS]
    subs    r2, r2, #1
    str     r2, [sp, #MD_CHANNELS]
    bne     9b
    vpop    {d8-d13}
    add     sp, sp, #4
    pop     {r4-r11, pc}
.endm

    SKM_DEPTHWISE once, 1
    SKM_DEPTHWISE once, 2
    SKM_DEPTHWISE twice, 1
    SKM_DEPTHWISE twice, 2
    .text
)");
// clang-format on

#endif  // SPLIT_KERNELS_MVE
