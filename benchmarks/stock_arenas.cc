// SPDX-License-Identifier: Apache-2.0
// What TFLM itself takes of its arena for a model: stdin is the predicted smallest arena (int32) and
// the .tflite file, stdout the status of AllocateTensors, the bytes used, and the statuses with the predicted
// arena (int32 each).
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "split_tflm/all_operators.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {

constexpr size_t kArenaBytes = 1 << 20;
alignas(16) uint8_t arena[kArenaBytes];
alignas(16) uint8_t model[1 << 20];

}  // namespace

int main() {
  int32_t predicted = 0;
  if (std::fread(&predicted, 4, 1, stdin) != 1) return 1;
  if (std::fread(model, 1, sizeof model, stdin) == 0) return 1;
  static tflite::MicroMutableOpResolver<split_tflm::kOperators> resolver;
  if (split_tflm::add_operators(resolver) != kTfLiteOk) return 2;
  const tflite::Model* const network = tflite::GetModel(model);
  int32_t answer[3] = {-1, 0, -1};
  {
    static tflite::MicroInterpreter roomy(network, resolver, arena, kArenaBytes);
    answer[0] = roomy.AllocateTensors();
    answer[1] = static_cast<int32_t>(roomy.arena_used_bytes());
  }
  if (answer[0] == kTfLiteOk) {
    static tflite::MicroInterpreter tight(network, resolver, arena, static_cast<size_t>(predicted));
    answer[2] = tight.AllocateTensors();
  }
  std::fwrite(answer, sizeof answer, 1, stdout);
  return 0;
}
