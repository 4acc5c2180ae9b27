// SPDX-License-Identifier: Apache-2.0
// What the example asks of a camera: pictures of the model's size, row by row.
#ifndef CAMERA_H_
#define CAMERA_H_

#include <cstdint>

// The model's input: rows of columns of channels, int8 or uint8.
struct Picture {
  uint32_t rows;
  uint32_t columns;
  uint32_t channels;
};

bool camera_begin(const Picture& picture);
// Takes the next picture; its rows are then asked for from the top to the bottom.
bool camera_take();
// Rows [first, first + count) of that picture, as split_device::ReadRows wants them.
bool camera_rows(void* context, uint8_t input, uint32_t first, uint32_t count, uint8_t* to);

#endif  // CAMERA_H_
