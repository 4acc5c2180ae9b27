// SPDX-License-Identifier: Apache-2.0
// In which namespace the wheel has its names. release.h is generated for one release of the wheel:
//
//   TFLM_WHEEL_NAMESPACED            1: everything is in tflite::micro (from October 2026)
//   TFLM_WHEEL_CONTEXT_BYTES         of TfLiteContext
//   TFLM_WHEEL_CONTEXT_IMPL          offset of its pointer to the MicroContext
//   TFLM_WHEEL_INTERPRETER_BYTES     of MicroInterpreter
//   TFLM_WHEEL_INTERPRETER_ALLOCATOR offset of its pointer to the MicroAllocator
//   TFLM_WHEEL_BUILTINS(X)           X(AddName, opcode, register, parse) for each operator
#ifndef TFLM_WHEEL_API_H_
#define TFLM_WHEEL_API_H_

#include "tflm_wheel/release.h"

#if TFLM_WHEEL_NAMESPACED
#define TFLM_WHEEL_BEGIN_C namespace tflite { namespace micro {
#define TFLM_WHEEL_END_C } }
#define TFLM_WHEEL_BEGIN namespace tflite { namespace micro {
#define TFLM_WHEEL_END } }
#else
#define TFLM_WHEEL_BEGIN_C
#define TFLM_WHEEL_END_C
#define TFLM_WHEEL_BEGIN namespace tflite {
#define TFLM_WHEEL_END }
#endif

#if !defined(__x86_64__) || !defined(__linux__)
#error "The wheel's layouts are known for Linux on x86-64 only."
#endif

#endif  // TFLM_WHEEL_API_H_
