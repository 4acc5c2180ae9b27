// SPDX-License-Identifier: Apache-2.0
#ifndef TFLM_WHEEL_KERNEL_UTIL_H_
#define TFLM_WHEEL_KERNEL_UTIL_H_

#include "tensorflow/lite/c/common.h"

namespace tflite {
namespace micro {

const TfLiteEvalTensor* GetEvalInput(const TfLiteContext*, const TfLiteNode*, int index);
TfLiteEvalTensor* GetEvalOutput(const TfLiteContext*, const TfLiteNode*, int index);

}  // namespace micro
}  // namespace tflite

#endif  // TFLM_WHEEL_KERNEL_UTIL_H_
