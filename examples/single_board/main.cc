// SPDX-License-Identifier: Apache-2.0
// A model of `tflsplit rewrite -n 1` in an ordinary TFLM application: the input's bytes from stdin,
// the output's to stdout. On a board these two lines are a sensor and whatever you do with the answer.
#include <cstdint>
#include <cstdio>

#include "operators.h"  // Resolver and add_operators: tflsplit inspect node0.tflite --resolver

namespace api = split_tflm::api;

extern "C" const unsigned char model_tflite[];

namespace {
alignas(16) uint8_t arena[ARENA_BYTES];
}

int main() {
  static Resolver resolver;
  if (!add_operators(resolver)) return 1;
  static api::MicroInterpreter interpreter(api::GetModel(model_tflite), resolver, arena,
                                           sizeof arena);
  if (interpreter.AllocateTensors() != api::kOk) return 2;

  api::Tensor* const input = interpreter.input(0);
  if (std::fread(input->data.data, 1, input->bytes, stdin) != input->bytes) return 3;
  if (interpreter.Invoke() != api::kOk) return 4;
  const api::Tensor* const output = interpreter.output(0);
  std::fwrite(output->data.data, 1, output->bytes, stdout);
  std::fprintf(stderr, "%u bytes of arena\n",
               static_cast<unsigned>(interpreter.arena_used_bytes()));
  return 0;
}
