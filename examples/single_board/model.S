/* SPDX-License-Identifier: Apache-2.0 */
/* The model's file, in flash, aligned as the kernels of a Cortex-M read it. */
  .section .rodata
  .balign 16
  .global model_tflite
model_tflite:
  .incbin MODEL
#if defined(__ELF__) && !defined(__arm__)
  .section .note.GNU-stack, "", %progbits
#endif
