// SPDX-License-Identifier: Apache-2.0
// Convolutions and fully connected operators as matrix products of four positions at a time.
#include "gather.h"
#include "split_kernels/kernels.h"

namespace split_kernels {
namespace {

int32_t positions_of(const WindowParams& p) { return p.batches * p.out_rows * p.out_columns; }

int32_t at_most_four(int32_t count) { return count < kPositions ? count : kPositions; }

// Calls finish(product, widened, positions, first position, first channel) for all positions of a
// convolution, group by group.
template <typename FinishPositions>
void convolve(const WindowParams& p, const int8_t* x, const void* constants, size_t record_bytes,
              int32_t rounding, void* scratch, FinishPositions finish) {
  int16_t* const widened = static_cast<int16_t*>(scratch);
  const int32_t groups = groups_of(p), products = products_of(p);
  const int32_t per_group = p.out_channels / groups;
  const size_t group_bytes = pairs_bytes(per_group, products, record_bytes);
  int8_t* const gathered = reinterpret_cast<int8_t*>(widened) +
                           widened_bytes(p.out_columns, products);
  const int32_t batch_values = p.in_rows * p.in_columns * p.in_channels;
  for (int32_t group = 0; group < groups; ++group) {
    const Product product = product_of(
        static_cast<const int8_t*>(constants) + static_cast<size_t>(group) * group_bytes,
        per_group, products, record_bytes);
    int32_t position = 0;
    for (int32_t batch = 0; batch < p.batches; ++batch) {
      for (int32_t row = 0; row < p.out_rows; ++row) {
        for (int32_t column = 0; column < p.out_columns; column += kPositions) {
          const int32_t count = at_most_four(p.out_columns - column);
          widen_windows(p, x + batch * batch_values, group, row, column, count,
                        doubles_rows(product, rounding, count), gathered, widened);
          finish(product, widened, count, position, group * per_group);
          position += count;
        }
      }
    }
  }
}

// The same where positions are those of x.
template <typename FinishPositions>
void multiply_all(int32_t positions, int32_t depth, int32_t channels, const int8_t* x,
                  const void* constants, size_t record_bytes, int32_t rounding, void* scratch,
                  FinishPositions finish) {
  int16_t* const widened = static_cast<int16_t*>(scratch);
  const Product product = product_of(constants, channels, depth, record_bytes);
  for (int32_t position = 0; position < positions; position += kPositions) {
    const int32_t count = at_most_four(positions - position);
    widen(x + position * depth, depth, count, depth, 0, doubles_rows(product, rounding, count),
          widened);
    finish(product, widened, count, position, 0);
  }
}

template <typename FinishPositions>
void convolve_any(const WindowParams& p, const int8_t* x, const void* constants,
                  size_t record_bytes, int32_t rounding, void* scratch, FinishPositions finish) {
  if (is_dense(p)) {
    multiply_all(positions_of(p), p.in_channels, p.out_channels, x, constants, record_bytes,
                 rounding, scratch, finish);
  } else {
    convolve(p, x, constants, record_bytes, rounding, scratch, finish);
  }
}

// Writes sums y[position, channel] of `channels` channels.
struct SumsOf {
  int32_t channels;
  int32_t* y;
  void operator()(const Product& product, const int16_t* widened, int32_t count, int32_t position,
                  int32_t) const {
    multiply_sums(product, widened, count, channels, y + position * channels);
  }
};

}  // namespace

size_t conv_2d_get_scratch_bytes(const WindowParams& p) {
  const int32_t products = products_of(p);
  if (is_dense(p)) return widened_bytes(positions_of(p), products);
  return widened_bytes(p.out_columns, products) + gathered_bytes(p.out_columns, products);
}

void conv_2d(const WindowParams& p, const Finish& finish, const int8_t* x, const void* constants,
             void* scratch, int8_t* y) {
  const int32_t channels = p.out_channels;
  convolve_any(p, x, constants, sizeof(PairRecord), finish.rounding, scratch,
               [&finish, channels, y](const Product& product, const int16_t* widened, int32_t count,
                                      int32_t position, int32_t channel) {
                 multiply(product, finish, widened, count,
                          {y + position * channels + channel, channels, 1});
               });
}

size_t partial_conv_2d_get_scratch_bytes(const WindowParams& p) {
  return conv_2d_get_scratch_bytes(p);
}

void partial_conv_2d(const WindowParams& p, const int8_t* x, const void* constants, void* scratch,
                     int32_t* y) {
  convolve_any(p, x, constants, sizeof(SumsRecord), kAnyRounding, scratch, SumsOf{p.out_channels, y});
}

size_t partial_fully_connected_get_scratch_bytes(const FullyConnectedParams& p) {
  return widened_bytes(p.batches, p.in_channels);
}

void partial_fully_connected(const FullyConnectedParams& p, const int8_t* x, const void* constants,
                             void* scratch, int32_t* y) {
  multiply_all(p.batches, p.in_channels, p.out_channels, x, constants, sizeof(SumsRecord),
               kAnyRounding, scratch, SumsOf{p.out_channels, y});
}

}  // namespace split_kernels
