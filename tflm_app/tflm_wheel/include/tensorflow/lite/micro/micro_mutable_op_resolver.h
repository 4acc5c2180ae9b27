// SPDX-License-Identifier: Apache-2.0
// A table of at most `kOperators` operators, with TFLM's name of the call that adds each.
#ifndef TFLM_WHEEL_MICRO_MUTABLE_OP_RESOLVER_H_
#define TFLM_WHEEL_MICRO_MUTABLE_OP_RESOLVER_H_

#include <cstring>

#include "tensorflow/lite/micro/micro_op_resolver.h"

// ---- What the wheel exports for each operator ----

namespace tflite {
namespace micro {
#define TFLM_WHEEL_DECLARE(add, opcode, create, parse) TFLMRegistration create();
TFLM_WHEEL_BUILTINS(TFLM_WHEEL_DECLARE)
#undef TFLM_WHEEL_DECLARE
}  // namespace micro
}  // namespace tflite

TFLM_WHEEL_BEGIN

#if TFLM_WHEEL_NAMESPACED
#define TFLM_WHEEL_DECLARE(add, opcode, create, parse) \
  TfLiteStatus parse(const Operator*, BuiltinDataAllocator*, void** options);
#else
#define TFLM_WHEEL_DECLARE(add, opcode, create, parse) \
  TfLiteStatus parse(const Operator*, ErrorReporter*, BuiltinDataAllocator*, void** options);
#endif
TFLM_WHEEL_BUILTINS(TFLM_WHEEL_DECLARE)
#undef TFLM_WHEEL_DECLARE

// ---- The table ----

template <unsigned int kOperators>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
  const TFLMRegistration* FindOp(BuiltinOperator op) const override {
    const Entry* const entry = find(op);
    return entry == nullptr ? nullptr : &entry->registration;
  }

  const TFLMRegistration* FindOp(const char* name) const override {
    for (const Entry* entry = entries_; entry != entries_ + count_; ++entry) {
      const TFLMRegistration& known = entry->registration;
      if (known.custom_name != nullptr && std::strcmp(known.custom_name, name) == 0) return &known;
    }
    return nullptr;
  }

  BuiltinParser GetOpDataParser(BuiltinOperator op) const override {
    const Entry* const entry = find(op);
    return entry == nullptr ? nullptr : entry->parser;
  }

  // Error: the table is full, or has the operator already.
  TfLiteStatus AddCustom(const char* name, const TFLMRegistration* registration) {
    if (FindOp(name) != nullptr) return kTfLiteError;
    TFLMRegistration named = *registration;
    named.custom_name = name;
    return append(BuiltinOperator_CUSTOM, named, nullptr);
  }

#define TFLM_WHEEL_ADD(add, opcode, create, parse)                                        \
  TfLiteStatus add() {                                                                    \
    return add_builtin(static_cast<BuiltinOperator>(opcode), tflite::micro::create(), parse); \
  }
  TFLM_WHEEL_BUILTINS(TFLM_WHEEL_ADD)
#undef TFLM_WHEEL_ADD

 private:
  struct Entry {
    TFLMRegistration registration;
    BuiltinParser parser;
  };

  const Entry* find(BuiltinOperator op) const {
    for (const Entry* entry = entries_; entry != entries_ + count_; ++entry) {
      if (entry->registration.custom_name == nullptr && entry->registration.builtin_code == op) {
        return entry;
      }
    }
    return nullptr;
  }

  TfLiteStatus add_builtin(BuiltinOperator op, TFLMRegistration registration,
                           BuiltinParser parser) {
    if (find(op) != nullptr) return kTfLiteError;
    registration.custom_name = nullptr;
    return append(op, registration, parser);
  }

  TfLiteStatus append(BuiltinOperator op, const TFLMRegistration& registration,
                      BuiltinParser parser) {
    if (count_ == kOperators) return kTfLiteError;
    entries_[count_] = {registration, parser};
    entries_[count_].registration.builtin_code = op;
    ++count_;
    return kTfLiteOk;
  }

  Entry entries_[kOperators];
  unsigned int count_ = 0;
};

TFLM_WHEEL_END

#endif  // TFLM_WHEEL_MICRO_MUTABLE_OP_RESOLVER_H_
