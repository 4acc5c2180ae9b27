// SPDX-License-Identifier: Apache-2.0
// What fused blocks are made of: a part of a row of e, and positions of y from their d.
#ifndef SPLIT_KERNELS_SRC_BLOCK_STEPS_H_
#define SPLIT_KERNELS_SRC_BLOCK_STEPS_H_

#include "add.h"
#include "arithmetic.h"
#include "gather.h"
#include "planes.h"
#include "split_kernels/kernels.h"

namespace split_kernels {

// Scratch of expand(), for so many columns at most.
inline size_t expansion_bytes(const WindowParams& p, int32_t columns) {
  const int32_t products = products_of(p);
  return widened_bytes(columns, products) + (is_dense(p) ? 0 : gathered_bytes(columns, products));
}

// Some channels of a layer whose results scale by pairs; `from` is even.
inline Product some_channels(const Product& product, int32_t from, int32_t count) {
  const PairRecord* const records = static_cast<const PairRecord*>(product.records);
  return {records + from / 2, product.weights + from * product.products, count, product.products};
}

// Columns [column, column + count) of row `row` of an expansion of x, as columns of planes. `columns`:
// as expansion_bytes() was told.
inline void expand(const FusedStage& stage, const int8_t* constants, const int8_t* x, int32_t row,
                   int32_t column, int32_t count, int32_t columns, int8_t* work, int8_t* to,
                   int32_t column_step, int32_t plane_bytes) {
  const WindowParams& p = stage.window;
  const int32_t products = products_of(p);
  int16_t* const widened = reinterpret_cast<int16_t*>(work);
  int8_t* const gathered = work + widened_bytes(columns, products);
  const Product product = product_of(constants, p.out_channels, products, sizeof(PairRecord));
  for (int32_t at = 0; at < count; at += kPositions) {
    const int32_t positions = least(kPositions, count - at);
    widen_windows(p, x, 0, row, column + at, positions, doubles(stage.finish), gathered, widened);
    multiply(product, stage.finish, widened, positions, {to + at * column_step, column_step, plane_bytes});
  }
}

// Columns of x, `step` apart, as planes of some channels: instead of an expansion.
inline void copy_columns(const int8_t* x, int32_t step, int32_t channels, int32_t columns,
                         int32_t plane_bytes, int32_t column_step, int8_t* to) {
  const int32_t most = kCopiesAllPlanes ? channels : kPlanes;
  for (int32_t channel = 0; channel < channels; channel += most) {
    to_planes(x + channel, step, columns, least(most, channels - channel), plane_bytes, column_step,
              to + channel * plane_bytes);
  }
}

// So many positions of d.
inline size_t chunk_bytes(const WindowParams& depthwise, int32_t positions) {
  return fours(static_cast<size_t>(positions) * static_cast<size_t>(depthwise.out_channels));
}

// Scratch of project(), for so many positions at most. p of up to four positions, before it is added
// to, lies where their d was, which is widened by then; if it is the larger, here: y may lie over what
// is added, which is read value by value.
inline size_t sum_bytes(const WindowParams& p, bool adds, int32_t positions) {
  if (!adds || p.out_channels <= p.in_channels) return 0;
  return fours(static_cast<size_t>(least(positions, kPositions)) *
               static_cast<size_t>(p.out_channels));
}
inline size_t projection_bytes(const WindowParams& p, bool adds, int32_t positions) {
  return sum_bytes(p, adds, positions) + widened_bytes(positions, p.in_channels);
}

// `count` positions of p and of what is added to them, the first of which is number `position` of y.
inline void add_positions(const ResidualAdd& add, const WindowParams& p, const int8_t* sum,
                          const int8_t* residual, int32_t position, int32_t count, int8_t* y) {
  if (add.row_positions == 0) {
    add_residual(add, sum, residual + position * p.out_channels, count * p.out_channels, y);
    return;
  }
  while (count > 0) {  // at most one row at a time
    const int32_t row = position / p.out_columns, column = position - row * p.out_columns;
    const int32_t here = least(count, p.out_columns - column), values = here * p.out_channels;
    add_residual(add, sum, residual + (row * add.row_positions + column) * p.out_channels, values, y);
    sum += values, y += values;
    position += here, count -= here;
  }
}

struct Projection {
  const FusedStage* stage;
  const int8_t* constants;
  const ResidualAdd* add;
  bool sums;
};

inline Product product_of(const Projection& projection) {
  const WindowParams& p = projection.stage->window;
  return product_of(projection.constants, p.out_channels, p.in_channels,
                    projection.sums ? sizeof(SumsRecord) : sizeof(PairRecord));
}

// y[first position on] of up to four widened positions of d. `sum`: where p lies that is added to.
inline void project_widened(const Projection& projection, const int16_t* widened, int32_t count,
                            int8_t* sum, const int8_t* residual, int32_t position, void* y) {
  const WindowParams& p = projection.stage->window;
  const Product product = product_of(projection);
  const int32_t first = position * p.out_channels;
  if (projection.sums) {
    multiply_sums(product, widened, count, p.out_channels, static_cast<int32_t*>(y) + first);
    return;
  }
  int8_t* const result = static_cast<int8_t*>(y) + first;
  const bool adds = projection.add->present;
  multiply(product, projection.stage->finish, widened, count,
           {adds ? sum : result, p.out_channels, 1});
  if (adds) add_positions(*projection.add, p, sum, residual, position, count, result);
}

// y[first position on] of `positions` of d. `most`: as projection_bytes() was told. d is lost.
inline void project(const Projection& projection, int8_t* d, int32_t positions, int32_t most,
                    int8_t* work, const int8_t* residual, int32_t position, void* y) {
  const WindowParams& p = projection.stage->window;
  const size_t waiting = sum_bytes(p, projection.add->present, most);
  int16_t* const widened = reinterpret_cast<int16_t*>(work + waiting);
  const Product product = product_of(projection);
  const int32_t rounding = projection.sums ? kAnyRounding : projection.stage->finish.rounding;
  for (int32_t at = 0; at < positions; at += kPositions) {
    const int32_t count = least(kPositions, positions - at);
    int8_t* const here = d + at * p.in_channels;
    widen(here, p.in_channels, count, p.in_channels, 0, doubles_rows(product, rounding, count), widened);
    project_widened(projection, widened, count, waiting != 0 ? work : here, residual, position + at, y);
  }
}

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_SRC_BLOCK_STEPS_H_
