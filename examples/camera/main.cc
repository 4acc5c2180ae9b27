// SPDX-License-Identifier: Apache-2.0
// A camera on the gateway of a cluster, and no host computer: each picture's rows go from the camera
// to the devices that read them, the answer comes back here. docs/firmware.md says how to build it.
#include <cstdio>

#include "application.h"  // of this plan: firmware/node<gateway>/
#include "camera.h"
#include "split_core/crc32.h"
#include "split_port/port.h"

namespace {

namespace tables = tflsplit_application_tables;

// As many rows at a time as the memory that one likes to give: here eight of them.
alignas(16) uint8_t rows[8 * tables::kRowBytes];
uint8_t output[tables::kOutputBytes];

void print_answer(int number) {
  size_t best = 0;
  for (size_t i = 1; i < sizeof output; ++i) {
    if (static_cast<int8_t>(output[i]) > static_cast<int8_t>(output[best])) best = i;
  }
  char line[80];
  std::snprintf(line, sizeof line, "picture %d: class %u, score %d, crc32 %08x\n", number,
                static_cast<unsigned>(best), static_cast<int8_t>(output[best]),
                static_cast<unsigned>(split_core::crc32({output, sizeof output})));
  split_port::console_write(line);
}

void print_problem(const char* problem) {
  split_port::console_write("no answer: ");
  split_port::console_write(problem);
  split_port::console_write("\n");
}

}  // namespace

int split_app_main() {
  const uint32_t(&shape)[4] = tables::kInputs[0].shape;
  if (!camera_begin({shape[0], shape[1], shape[2]})) {
    print_problem("the camera does not start");
    return 1;
  }
  split_tflm::Application& cluster = tflsplit_application();
  const int32_t pictures = split_port::argument_or("inferences", 0);
  for (int number = 0; pictures == 0 || number < pictures; ++number) {
    const char* problem = "the camera gives no picture";
    if (camera_take()) problem = cluster.infer(camera_rows, nullptr, rows, sizeof rows, output);
    if (problem == nullptr) {
      print_answer(number);
    } else {
      print_problem(problem);
    }
    cluster.turn();
  }
  return 0;
}
