// SPDX-License-Identifier: Apache-2.0
#include <initializer_list>

#include "chain_layout.h"

namespace split_kernels {
namespace {

constexpr int64_t kMaxElements = INT32_MAX;

// Whether a product of positive numbers stays within an int32 index.
bool indexable(int64_t a, int64_t b, int64_t c, int64_t d) {
  if (a > kMaxElements / b || a * b > kMaxElements / c) return false;
  return a * b * c <= kMaxElements / d;
}

int64_t extent_of(int64_t in, int64_t before, int64_t after, int64_t kernel, int64_t dilation,
                  int64_t stride) {
  const int64_t room = in + before + after - (kernel - 1) * dilation - 1;
  return room < 0 ? 0 : room / stride + 1;
}

const char* check_window(const WindowParams& p) {
  if (p.batches < 1 || p.in_rows < 1 || p.in_columns < 1 || p.in_channels < 1) {
    return "x: an extent is not positive";
  }
  if (p.kernel_rows < 1 || p.kernel_columns < 1 || p.out_channels < 1) {
    return "weights: an extent is not positive";
  }
  if (p.stride_rows < 1 || p.stride_columns < 1) return "stride: not positive";
  if (p.dilation_rows < 1 || p.dilation_columns < 1) return "dilation: not positive";
  if (p.pad_top < 0 || p.pad_bottom < 0 || p.pad_left < 0 || p.pad_right < 0) {
    return "pads: negative";
  }
  if (p.x_zero_point < -128 || p.x_zero_point > 127) return "x: zero point outside -128..127";
  if (extent_of(p.in_rows, p.pad_top, p.pad_bottom, p.kernel_rows, p.dilation_rows,
                p.stride_rows) != p.out_rows ||
      p.out_rows < 1) {
    return "y: rows do not follow from x, weights, stride, dilation and pads";
  }
  if (extent_of(p.in_columns, p.pad_left, p.pad_right, p.kernel_columns, p.dilation_columns,
                p.stride_columns) != p.out_columns ||
      p.out_columns < 1) {
    return "y: columns do not follow from x, weights, stride, dilation and pads";
  }
  if (!indexable(p.batches, int64_t{p.in_rows} + p.pad_top + p.pad_bottom,
                 int64_t{p.in_columns} + p.pad_left + p.pad_right, p.in_channels) ||
      !indexable(p.batches, p.out_rows, p.out_columns, p.out_channels)) {
    return "x or y: too large";
  }
  return nullptr;
}

}  // namespace

namespace {

int32_t extent_or_0(int32_t in, int32_t before, int32_t after, int32_t kernel, int32_t dilation,
                    int32_t stride) {
  if (stride < 1) return 0;
  const int64_t extent = extent_of(in, before, after, kernel, dilation, stride);
  return extent > kMaxElements ? 0 : static_cast<int32_t>(extent);
}

}  // namespace

void set_out_extent(WindowParams* p) {
  p->out_rows = extent_or_0(p->in_rows, p->pad_top, p->pad_bottom, p->kernel_rows,
                            p->dilation_rows, p->stride_rows);
  p->out_columns = extent_or_0(p->in_columns, p->pad_left, p->pad_right, p->kernel_columns,
                               p->dilation_columns, p->stride_columns);
}

const char* check_convolution(const WindowParams& p) {
  if (const char* problem = check_window(p)) return problem;
  if (p.kernel_channels < 1 || p.in_channels % p.kernel_channels != 0) {
    return "weights: their input channels do not divide those of x";
  }
  if (p.out_channels % (p.in_channels / p.kernel_channels) != 0) {
    return "weights: their output channels cannot be divided by the number of groups";
  }
  if (!indexable(kPositions * 4, p.kernel_rows, p.kernel_columns, p.kernel_channels)) {
    return "weights: too large";
  }
  // As packed: padded, with records. Neither these nor scratch can then leave size_t.
  const int64_t groups = groups_of(p);
  if (!indexable(1, groups, p.out_channels / groups + 1, fours(products_of(p)) + int64_t{16})) {
    return "weights: too large";
  }
  return nullptr;
}

const char* check_depthwise(const WindowParams& p) {
  if (const char* problem = check_window(p)) return problem;
  if (p.out_channels % p.in_channels != 0) {
    return "weights: their channels are no multiple of those of x";
  }
  if (!indexable(1, p.kernel_rows, p.kernel_columns + int64_t{3}, 1) ||
      !indexable(1, 1, p.out_channels, static_cast<int64_t>(taps_bytes(p)))) {
    return "weights: too large";
  }
  return nullptr;
}

const char* check_fully_connected(const FullyConnectedParams& p) {
  if (p.batches < 1 || p.in_channels < 1) return "x: an extent is not positive";
  if (p.out_channels < 1) return "weights: an extent is not positive";
  if (p.x_zero_point < -128 || p.x_zero_point > 127) return "x: zero point outside -128..127";
  if (!indexable(1, kPositions * 4, p.in_channels, 1) ||
      !indexable(1, 1, p.in_channels + int64_t{19}, p.out_channels + int64_t{1}) ||
      !indexable(1, 1, p.batches, p.in_channels) || !indexable(1, 1, p.batches, p.out_channels)) {
    return "x, weights or y: too large";
  }
  return nullptr;
}

namespace {

const char* check_finish(const Finish& f) {
  if (f.rounding < kAnyRounding || f.rounding > kOneRounding) return "rounding: not 0, 1 or 2";
  if (f.y_zero_point < -128 || f.y_zero_point > 127) return "y: zero point outside -128..127";
  if (f.activation_min < -128 || f.activation_max > 127 || f.activation_min > f.activation_max) {
    return "activation: no range within -128..127";
  }
  if (f.rounding == kOneRounding && f.activation_min < f.y_zero_point) {
    return "rounding: 2 needs an activation from the zero point of y on";
  }
  return nullptr;
}

}  // namespace

const char* check_partial_sum(const PartialSumParams& p, int32_t most) {
  if (p.outer < 1 || p.summed < 1 || p.inner < 1) return "x: an extent is not positive";
  if (p.summed > kMostSummed) return "x: more values to add up than 65536";
  if (p.summed > most) return "x: more values to add up in 16 bits than 128";
  if (p.x_zero_point < -128 || p.x_zero_point > 127) return "x: zero point outside -128..127";
  return indexable(1, p.outer, p.summed, p.inner) ? nullptr : "x: too large";
}

const char* check_mean(const MeanParams& p) {
  if (const char* problem = check_partial_sum(p.sums)) return problem;
  if (p.multiplier < 0) return "scaling: a multiplier is negative";
  if (p.shift < -31 || p.shift > 30) return "scaling: a shift outside -31..30";
  return p.y_zero_point < -128 || p.y_zero_point > 127 ? "y: zero point outside -128..127" : nullptr;
}

const char* check_pool_2d(const WindowParams& p, const PoolFinish& f) {
  if (const char* problem = check_depthwise(p)) return problem;
  if (p.out_channels != p.in_channels) return "y: its channels are not those of x";
  if (p.dilation_rows != 1 || p.dilation_columns != 1) return "dilation: a pool has none";
  if (int64_t{p.kernel_rows} * p.kernel_columns > kMostSummed) return "kernel: more than 65536 values";
  // So that each window has a value.
  if (p.pad_top >= p.kernel_rows || p.pad_bottom >= p.kernel_rows || p.pad_left >= p.kernel_columns ||
      p.pad_right >= p.kernel_columns) {
    return "pads: as large as the kernel";
  }
  if (f.activation_min < -128 || f.activation_max > 127 || f.activation_min > f.activation_max) {
    return "activation: no range within -128..127";
  }
  return nullptr;
}

const char* check_requantize(const Finish& finish, int32_t channels) {
  return channels < 1 ? "y: an extent is not positive" : check_finish(finish);
}

namespace {

// Whether the result of one stage is x of the next.
bool follows(const FusedStage& stage, const WindowParams& next) {
  const WindowParams& p = stage.window;
  return p.batches == next.batches && p.out_rows == next.in_rows &&
         p.out_columns == next.in_columns && p.out_channels == next.in_channels &&
         stage.finish.y_zero_point == next.x_zero_point;
}

const char* check_expansion(const FusedStage& expand, const WindowParams& depthwise) {
  const WindowParams& p = expand.window;
  if (const char* problem = check_convolution(p)) return problem;
  if (p.kernel_channels != p.in_channels) return "expansion: grouped";
  if (!follows(expand, depthwise)) {
    return "expansion: its result is not what the depthwise convolution reads";
  }
  return check_finish(expand.finish);
}

const char* check_projection(const FusedStage& depthwise, const FusedStage& project, bool sums) {
  const WindowParams& p = project.window;
  if (const char* problem = check_convolution(p)) return problem;
  if (p.kernel_channels != p.in_channels) return "projection: grouped";
  if (!is_dense(p)) return "projection: not 1x1";
  if (!follows(depthwise, p)) {
    return "projection: does not read what the depthwise convolution makes";
  }
  return sums ? nullptr : check_finish(project.finish);
}

const char* check_unit(const FusedStage* expand, const FusedStage& depthwise,
                       const FusedStage& project, bool sums) {
  const WindowParams& p = depthwise.window;
  if (expand != nullptr) {
    if (const char* problem = check_expansion(*expand, p)) return problem;
  }
  if (const char* problem = check_depthwise(p)) return problem;
  if (p.in_channels != p.out_channels) return "depthwise convolution: with a channel multiplier";
  if (const char* problem = check_finish(depthwise.finish)) return problem;
  return check_projection(depthwise, project, sums);
}

const char* check_window_columns(const FusedBlockParams& block) {
  if (block.window_columns < 0) return "window_columns: negative";
  if (block.window_columns == 0) return block.chained ? "chained: needs window_columns" : nullptr;
  if (block.tile_columns != 0) return "window_columns: not with tiles";
  return block.depthwise.window.batches == 1 ? nullptr : "window_columns: of one batch only";
}

const char* check_first(const FusedBlockParams& block) {
  if (!block.chained) return nullptr;
  if (const char* problem =
          check_unit(block.first_expands ? &block.first_expand : nullptr, block.first_depthwise,
                     block.first_project, false)) {
    return problem;
  }
  if (block.expands && !is_dense(block.expand.window)) return "chained: its expansion is not 1x1";
  const WindowParams& x = block.expands ? block.expand.window : block.depthwise.window;
  return follows(block.first_project, x) ? nullptr : "chained: does not read what comes before";
}

}  // namespace

namespace {

const char* check_add_scale(const AddScale& scale) {
  if (scale.multiplier < 0) return "add: a multiplier is negative";
  return scale.shift < -31 || scale.shift > 0 ? "add: a shift outside -31..0" : nullptr;
}

bool is_int8(int32_t value) { return value >= -128 && value <= 127; }

}  // namespace

const char* check_residual_add(const ResidualAdd& add) {
  if (!add.present) return nullptr;
  if (!is_int8(add.p_zero_point) || !is_int8(add.residual_zero_point) ||
      !is_int8(add.y_zero_point)) {
    return "add: zero point outside -128..127";
  }
  if (!is_int8(add.activation_min) || !is_int8(add.activation_max) ||
      add.activation_min > add.activation_max) {
    return "activation: no range within -128..127";
  }
  for (const AddScale* scale : {&add.p, &add.residual, &add.sum}) {
    if (const char* problem = check_add_scale(*scale)) return problem;
  }
  return nullptr;
}

int32_t middle_position(const FusedBlockParams& block) {
  const WindowParams& p = block.depthwise.window;
  const WindowParams& x = block.expands ? block.expand.window : p;
  if (block.chained || x.batches != 1 || (block.expands && !is_dense(x))) return -1;
  if (p.stride_rows != 1 || p.stride_columns != 1) return -1;
  if (p.kernel_rows % 2 == 0 || p.kernel_columns % 2 == 0) return -1;
  const int64_t row = int64_t{p.kernel_rows / 2} * p.dilation_rows - p.pad_top;
  const int64_t column = int64_t{p.kernel_columns / 2} * p.dilation_columns - p.pad_left;
  if (row < 0 || row + p.out_rows > x.in_rows) return -1;
  if (column < 0 || column + p.out_columns > x.in_columns) return -1;
  return static_cast<int32_t>(row * x.in_columns + column);
}

namespace {

const char* check_middle(const FusedBlockParams& block) {
  if (!block.add.present || block.add.row_positions == 0) return nullptr;
  const WindowParams& x = block.expands ? block.expand.window : block.depthwise.window;
  const bool fits = middle_position(block) >= 0 && block.add.row_positions == x.in_columns &&
                    x.in_channels == block.project.window.out_channels;
  return fits ? nullptr : "add: the middles of the windows are no part of x like y";
}

}  // namespace

const char* check_fused_block(const FusedBlockParams& block) {
  if (block.sums && block.add.present) return "add: sums are not added to";
  if (const char* problem = check_residual_add(block.add)) return problem;
  if (block.tile_columns < 0) return "tile_columns: negative";
  if (const char* problem = check_unit(block.expands ? &block.expand : nullptr, block.depthwise,
                                       block.project, block.sums)) {
    return problem;
  }
  if (const char* problem = check_window_columns(block)) return problem;
  if (const char* problem = check_middle(block)) return problem;
  return check_first(block);
}

namespace {

// What a unit of a chain adds is its x under the middle of the window.
const char* check_added(const ChainUnit& unit) {
  if (!unit.add.present) return nullptr;
  if (const char* problem = check_residual_add(unit.add)) return problem;
  const WindowParams &x = reads(unit), &p = unit.depthwise.window;
  const bool plain = !unit.expands || is_dense(x);
  const bool fits = plain && p.stride_rows == 1 && p.stride_columns == 1 && p.kernel_rows % 2 == 1 &&
                    p.kernel_columns % 2 == 1 && x.in_channels == unit.project.window.out_channels;
  if (!fits || unit.add.row_positions != 0 || unit.add.residual_zero_point != x.x_zero_point) {
    return "chain: what a unit adds is no part of its x like its result";
  }
  const bool inside = added_row(p) >= 0 && p.out_rows <= x.in_rows - added_row(p) &&
                      added_column(p) >= 0 && p.out_columns <= x.in_columns - added_column(p);
  return inside ? nullptr : "chain: the middles of a unit's windows are no part of its x";
}

bool leads_to(const ChainUnit& unit, const WindowParams& next) {
  FusedStage made = unit.project;
  if (unit.add.present) made.finish.y_zero_point = unit.add.y_zero_point;
  return follows(made, next);
}

const char* check_chain_unit(const ChainParams& chain, int32_t number) {
  const ChainUnit& unit = chain.units[number];
  const WindowParams& p = unit.depthwise.window;
  if (const char* problem = check_unit(unit.expands ? &unit.expand : nullptr, unit.depthwise,
                                       unit.project, false)) {
    return problem;
  }
  if (p.batches != 1) return "chain: of one batch only";
  if (p.stride_rows > reach_rows(p)) return "chain: a stride leaves rows out";
  if (number > 0) {
    if (unit.expands && !is_dense(unit.expand.window)) return "chain: an expansion is not 1x1";
    if (!leads_to(chain.units[number - 1], reads(unit))) {
      return "chain: a unit does not read what comes before";
    }
  }
  return check_added(unit);
}

const char* check_tiles(const ChainParams& chain) {
  const bool sound = for_tiles(chain, [&](int32_t, int32_t) {
    for (int32_t i = 0; i < chain.count; ++i) {
      const ChainUnit& unit = chain.units[i];
      if (unit.depthwise.window.in_columns < 1 || reads(unit).in_columns < 1) return false;
    }
    return lay_out(chain).bytes <= static_cast<uint64_t>(kMaxElements);
  });
  set_tile(chain, 0, whole_columns(chain));
  return sound ? nullptr : "chain: a tile is empty or too large";
}

}  // namespace

const char* check_chain(const ChainParams& chain) {
  if (chain.count < 1 || chain.count > kMostChainUnits) return "chain: not 1 to 8 units";
  if (chain.window_columns < 1) return "window_columns: not positive";
  if (chain.tile_columns < 0 || chain.piece_rows < 0) return "tile_columns or rolling: negative";
  if (chain.piece_rows == 0 && (chain.tile_columns != 0 || chain.is_unsigned)) {
    return "tile_columns: x is all there";
  }
  for (int32_t i = 0; i < chain.count; ++i) {
    if (const char* problem = check_chain_unit(chain, i)) return problem;
  }
  return check_tiles(chain);
}

}  // namespace split_kernels
