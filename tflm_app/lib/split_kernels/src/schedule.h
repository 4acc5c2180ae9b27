// SPDX-License-Identifier: Apache-2.0
// The inner loops, which every core has its own way of running ("schedules", one a file; target.h
// chooses). All read the same constants and give the same bits; how they lay out widened values is
// their own affair.
#ifndef SPLIT_KERNELS_SRC_SCHEDULE_H_
#define SPLIT_KERNELS_SRC_SCHEDULE_H_

#include <cstdint>

#include "layout.h"
#include "target.h"

namespace split_kernels {

// A matrix product: records and weights of a layer (or of a group of one).
struct Product {
  const void* records;     // PairRecord or SumsRecord, one for two channels
  const int8_t* weights;
  int32_t channels;
  int32_t products;        // padded: a multiple of 4
};

inline Product product_of(const void* constants, int32_t channels, int32_t products,
                          size_t record_bytes) {
  const size_t pairs = (static_cast<size_t>(channels) + 1) / 2;
  const int8_t* const data = static_cast<const int8_t*>(constants);
  return {data, data + pairs * record_bytes, channels, fours(products)};
}

// Where a product's results go: y[position * position_step + channel * channel_step].
struct Results {
  int8_t* y;
  int32_t position_step;
  int32_t channel_step;
};

// Windows may be widened part by part, of so many values each.
constexpr int32_t kWidenedTogether = SPLIT_KERNELS_MVE ? 16 : 4;

// Prepares `count` values of each of 1 to 4 positions, which lie `step` apart, for products.
// `fours_done`: so many fours of each position are in `to` already, a multiple of kWidenedTogether
// values. The last four is filled up.
// `doubled`: for multiply() with a short rounding, not for sums that stay sums.
void widen(const int8_t* x, int32_t step, int32_t positions, int32_t count, int32_t fours_done,
           bool doubled, int16_t* to);

// The same of windows of `rows` rows of `run` values, row_step apart, of four positions: no value need be gathered.
// Only where widens_ragged(): of DSP, those of three rows of nine values, which begin many networks.
constexpr bool widens_ragged(int32_t rows, int32_t run) {
  return SPLIT_KERNELS_DSP ? rows == 3 && run == 9 : !SPLIT_KERNELS_MVE;
}
#if SPLIT_KERNELS_DSP
void widen_nines(const int8_t* x, int32_t row_step, int32_t step, bool doubled, int16_t* to);
inline void widen_ragged(const int8_t* x, int32_t row_step, int32_t, int32_t, int32_t step, bool doubled,
                         int16_t* to) {
  widen_nines(x, row_step, step, doubled, to);
}
#else
void widen_ragged(const int8_t* x, int32_t row_step, int32_t rows, int32_t run, int32_t step,
                  bool doubled, int16_t* to);
#endif

inline bool doubles(const Finish& finish) { return finish.rounding != kAnyRounding; }
// The same where results are rows; Finish::rounding, or kAnyRounding where sums stay sums. Of whole groups with
// many products the DSP schedule doubles sums instead; the others double nothing.
inline bool is_narrow(const Product& product) {
  return 2 * product.products <= 3 * product.channels;
}
inline bool doubles_rows(const Product& product, int32_t rounding, int32_t positions) {
  return SPLIT_KERNELS_DSP && rounding != kAnyRounding &&
         (positions < kPositions || (rounding == kOneRounding && is_narrow(product)));
}

// Products of 1 to 4 widened positions with all channels.
void multiply(const Product& product, const Finish& finish, const int16_t* x, int32_t positions,
              const Results& results);
// The same of several groups of four positions, one after the other in x, where position_step is 1 and
// the rounding short. `room`: 4 bytes a product, for weights. Only where kMultipliesGroups.
constexpr bool kMultipliesGroups = SPLIT_KERNELS_DSP || SPLIT_KERNELS_V6M;
constexpr bool kWidensWeights = SPLIT_KERNELS_DSP;  // else there need not be room
void multiply_groups(const Product& product, const Finish& finish, const int16_t* x, int32_t groups,
                     int16_t* room, const Results& results);
// The same in rows, y[position * step + channel], of values that are not doubled.
void multiply_group_rows(const Product& product, const Finish& finish, const int16_t* x,
                         int32_t groups, int16_t* room, int32_t step, int8_t* y);
// The same as int32 sums y[position * channels + channel].
void multiply_sums(const Product& product, const int16_t* x, int32_t positions, int32_t channels,
                   int32_t* y);

// Rows of channels one by one: value `column` of a row of plane `channel` is
// data[channel * plane_bytes + place of the row + column * column_step]. Row i under the window is in slot
// first + i modulo `rows`, slots `row_step` apart; behind `rows` of them come others, from `fresh` on. Of row_step
// and column_step one is 1 on MVE, where the rows of a column lie side by side, so that a window of any
// row is a run of bytes.
constexpr bool kRowsSideBySide = SPLIT_KERNELS_MVE;
struct Planes {
  const int8_t* data;
  int32_t plane_bytes;
  int32_t row_step;
  int32_t column_step;
  int32_t rows;
  int32_t first;
  int32_t fresh;
  int32_t fresh_step;

  int32_t place_of(int32_t i) const {
    if (i >= rows) return fresh + (i - rows) * fresh_step;
    return (first + i < rows ? first + i : first + i - rows) * row_step;
  }
};

// A depthwise convolution's window and constants.
struct Taps {
  const int8_t* constants;  // of the first channel
  int32_t kernel_rows;
  int32_t kernel_columns;
  int32_t stride;           // of columns
  int32_t dilation_rows;
  int32_t dilation_columns;
  int32_t multiplier;       // output channels of one plane
};

// One row of `columns` results of each of `planes` channels: y[column * step + output channel].
void depthwise_row(const Taps& taps, const Finish& finish, const Planes& planes, int32_t count,
                   int32_t columns, int32_t step, int8_t* y);

// The same, all channels of a projection's x, as values widened for multiply_group_rows(): columns are
// positions from `position` on, of groups of four that lie one after the other in y. Only where
// kMultipliesGroups and widens_depthwise(). With kWidensPairs, `position` and all columns of a row are even.
constexpr bool kWidensPairs = SPLIT_KERNELS_V6M;
bool widens_depthwise(const Taps& taps, const Finish& finish);
void depthwise_row_widened(const Taps& taps, const Finish& finish, const Planes& planes,
                           int32_t count, int32_t columns, int32_t position, int16_t* y);

// `columns` columns of up to four channels of x, with kCopiesAllPlanes of any number, `step` apart, as a row of
// planes.
constexpr bool kCopiesAllPlanes = SPLIT_KERNELS_DSP;
void to_planes(const int8_t* x, int32_t step, int32_t columns, int32_t count, int32_t plane_bytes,
               int32_t column_step, int8_t* to);

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_SRC_SCHEDULE_H_
