// SPDX-License-Identifier: Apache-2.0
// How the interpreter finds operators. The order of the virtual functions is the wheel's
// (wheel_check.py).
#ifndef TFLM_WHEEL_MICRO_OP_RESOLVER_H_
#define TFLM_WHEEL_MICRO_OP_RESOLVER_H_

#include "tensorflow/lite/micro/micro_common.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace tflite {
struct Operator;
class ErrorReporter;
class BuiltinDataAllocator;
}  // namespace tflite

TFLM_WHEEL_BEGIN

#if TFLM_WHEEL_NAMESPACED
class BuiltinDataAllocator;
using BuiltinParser = TfLiteStatus (*)(const Operator*, BuiltinDataAllocator*, void** options);
#else
using BuiltinParser = TfLiteStatus (*)(const Operator*, ErrorReporter*, BuiltinDataAllocator*,
                                       void** options);
#endif

class MicroOpResolver {
 public:
  virtual const TFLMRegistration* FindOp(BuiltinOperator op) const = 0;
  virtual const TFLMRegistration* FindOp(const char* name) const = 0;
  virtual BuiltinParser GetOpDataParser(BuiltinOperator op) const = 0;
  virtual ~MicroOpResolver() = default;
};

TFLM_WHEEL_END

#endif  // TFLM_WHEEL_MICRO_OP_RESOLVER_H_
