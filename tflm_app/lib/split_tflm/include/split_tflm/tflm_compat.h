// SPDX-License-Identifier: Apache-2.0
// The only place that knows which TFLM it is compiled against:
//
//   2022, Arduino libraries   TfLiteRegistration of lite/c/common.h
//   2023 to September 2026    TFLMRegistration of micro/micro_common.h
//   from October 2026         everything, C structs too, in namespace tflite::micro; a context has
//                             no pointers to functions: all goes through MicroContext
//
// Names of TFLM are used as split_tflm::api::Name, those of its C API inside split_tflm as they
// are. Where a name lives follows from using-directives: namespaces that do not have it add nothing.
#ifndef SPLIT_TFLM_TFLM_COMPAT_H_
#define SPLIT_TFLM_TFLM_COMPAT_H_

#if defined(__has_include)
#if !__has_include("tensorflow/lite/micro/micro_interpreter.h")
#error "TensorFlow Lite for Microcontrollers is missing: see docs/firmware.md, 'Getting TFLM'."
#endif
#endif

#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/kernels/kernel_util.h"
#include "tensorflow/lite/micro/micro_context.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

#if __has_include("tensorflow/lite/micro/micro_common.h")
#include "tensorflow/lite/micro/micro_common.h"
#define SPLIT_TFLM_HAS_TFLM_REGISTRATION 1
#endif

namespace tflite {
namespace micro {}
}  // namespace tflite

namespace split_tflm {

using namespace ::tflite::micro;  // NOLINT: kTfLiteOk, TfLiteType, where they are not global

// Both generations of the C API are at global scope or in one of the two namespaces.
namespace api {
using namespace ::tflite;         // NOLINT: this is the point of the file
using namespace ::tflite::micro;  // NOLINT

#if defined(SPLIT_TFLM_HAS_TFLM_REGISTRATION)
using Registration = TFLMRegistration;
using Registered = const Registration;  // as AddCustom takes it
#else
using Registration = TfLiteRegistration;
using Registered = Registration;
#endif
using Context = TfLiteContext;
using OpNode = TfLiteNode;
using Tensor = TfLiteTensor;
using EvalTensor = TfLiteEvalTensor;
using Status = TfLiteStatus;
inline constexpr Status kOk = kTfLiteOk;
inline constexpr Status kError = kTfLiteError;
}  // namespace api

}  // namespace split_tflm

#endif  // SPLIT_TFLM_TFLM_COMPAT_H_
