// SPDX-License-Identifier: Apache-2.0
// What the kernels are told of an operator. Everything is fixed before the first inference: check
// once with check() (in Prepare), then run blind.
#ifndef SPLIT_KERNELS_PARAMS_H_
#define SPLIT_KERNELS_PARAMS_H_

#include <cstddef>
#include <cstdint>

namespace split_kernels {

// Shapes and window of a convolution. Tensors are dense and row major:
//   x  int8  [batches, in_rows, in_columns, in_channels]
//   y        [batches, out_rows, out_columns, out_channels]
// What the window reaches outside x is padding, with the zero point of x. Weights are packed
// (docs/custom_ops.md).
struct WindowParams {
  int32_t batches = 1;
  int32_t in_rows = 0;
  int32_t in_columns = 0;
  int32_t in_channels = 0;
  int32_t kernel_rows = 1;
  int32_t kernel_columns = 1;
  // Input channels of one filter: in_channels, or a divisor of it if the convolution is grouped.
  // Not used by depthwise convolutions.
  int32_t kernel_channels = 0;
  int32_t out_rows = 0;
  int32_t out_columns = 0;
  int32_t out_channels = 0;
  int32_t stride_rows = 1;
  int32_t stride_columns = 1;
  int32_t dilation_rows = 1;
  int32_t dilation_columns = 1;
  int32_t pad_top = 0;
  int32_t pad_bottom = 0;
  int32_t pad_left = 0;
  int32_t pad_right = 0;
  int32_t x_zero_point = 0;  // -128..127
};

// A fully connected operator: x [batches, in_channels], weights [out_channels, in_channels].
struct FullyConnectedParams {
  int32_t batches = 1;
  int32_t in_channels = 0;
  int32_t out_channels = 0;
  int32_t x_zero_point = 0;  // -128..127
};

// Sums of x [outer, summed, inner] minus its zero point over the dimension in the middle.
struct PartialSumParams {
  int32_t outer = 1;
  int32_t summed = 1;  // at most kMostSummed
  int32_t inner = 1;
  int32_t x_zero_point = 0;  // -128..127
};
inline constexpr int32_t kMostSummed = 65536;    // docs/custom_ops.md
inline constexpr int32_t kMostShortSummed = 128;  // the same of sums of 16 bits: 128 * 255 < 2^15

// MEAN: such sums, scaled as sums of convolutions are.
struct MeanParams {
  PartialSumParams sums;
  int32_t multiplier = 0;    // not negative
  int32_t shift = 0;         // TFLM's, -31..30
  int32_t y_zero_point = 0;  // -128..127
};

// AVERAGE_POOL_2D, which divides by the values of x under the window, or MAX_POOL_2D: of a window as that
// of a depthwise convolution, without dilation and its zero point without meaning.
struct PoolFinish {
  bool maximum = false;
  int32_t activation_min = -128;
  int32_t activation_max = 127;
};

// How int32 sums become int8 (docs/custom_ops.md, "Packed constants"): the constants of an operator
// hold bias (with the zero point of x folded in), multiplier, addend and shift of each channel.
enum Rounding : int32_t {
  kAnyRounding = 0,  // as TFLM does it; shift is TFLM's, -31..30, addend is 0
  kTwoRoundings = 1,
  kOneRounding = 2,
};
struct Finish {
  int32_t rounding = kAnyRounding;
  int32_t y_zero_point = 0;  // -128..127
  int32_t activation_min = -128;
  int32_t activation_max = 127;
  bool clamps() const { return activation_min != -128 || activation_max != 127; }
};

// One convolution of a fused block.
struct FusedStage {
  WindowParams window;
  Finish finish;
};

// How an int8 operand of an ADD, or its sum, is scaled: multiplier 0..2^31-1, shift -31..0.
struct AddScale {
  int32_t multiplier = 0;
  int32_t shift = 0;
};

// ADD of the projection's result p and a residual, as TFLM's ADD of int8:
//   y = clamp(scale(scale((p - zero point) << 20) + scale((residual - zero point) << 20)) + zero point)
struct ResidualAdd {
  bool present = false;
  int32_t p_zero_point = 0;         // -128..127, like the others
  int32_t residual_zero_point = 0;
  int32_t y_zero_point = 0;
  int32_t activation_min = -128;
  int32_t activation_max = 127;
  AddScale p, residual, sum;
  // 0: the residual is like y. Else it is a part of x (docs/custom_ops.md, "A residual in x"), and this
  // the columns of x: from one of its rows to the next.
  int32_t row_positions = 0;
};

// An expansion (any window, not grouped, or none), a depthwise convolution without channel
// multiplier, and a 1x1 convolution, one after the other: the result of each is x of the next, so
// shapes and zero points must agree.
//
// With `window_columns` (one batch, no tiles) only those rows of the expansion's result stay in memory
// that two rows of y need, and of the others so many columns of y at a time. Then the block may be
// `chained`: a unit comes before, whose result, made row by row, is its x; it expands by 1x1 or not at all.
struct FusedBlockParams {
  bool chained = false;
  bool first_expands = false;
  FusedStage first_expand, first_depthwise, first_project;  // without meaning unless `chained`
  int32_t window_columns = 0;                               // 0: whole rows
  bool expands = false;
  FusedStage expand;  // without meaning unless `expands`
  FusedStage depthwise;
  FusedStage project;        // finish without meaning if `sums`
  bool sums = false;         // y is the int32 sums of the projection, not int8
  ResidualAdd add;           // finish of `project` is then that of p
  int32_t tile_columns = 0;  // columns of y that are made at a time; 0: all
};

// Sets out_rows and out_columns as they follow from the rest; 0 if nothing sound does.
void set_out_extent(WindowParams* window);

// Each returns null for parameters that the kernels take, else what is wrong with them, in words
// that name the field. Sizes are limited to 2^31 - 1 elements a tensor.
const char* check_convolution(const WindowParams& window);
const char* check_depthwise(const WindowParams& window);
const char* check_fully_connected(const FullyConnectedParams& params);
// `most`: kMostSummed, or kMostShortSummed.
const char* check_partial_sum(const PartialSumParams& params, int32_t most = kMostSummed);
const char* check_mean(const MeanParams& params);
const char* check_pool_2d(const WindowParams& window, const PoolFinish& finish);
const char* check_requantize(const Finish& finish, int32_t channels);
const char* check_residual_add(const ResidualAdd& add);
const char* check_fused_block(const FusedBlockParams& block);

// Where in x, in positions, what is added to the first position of y lies, if the residual is a part of
// x: under the middle of the window. -1 if the middles of all windows are no part of x.
int32_t middle_position(const FusedBlockParams& block);

// The same of packed constants, whose parameters have passed: size and alignment, and of every
// channel that its multiplier, addend and shift are what the kernels rely on.
struct Constants {
  const void* data = nullptr;  // aligned to 4 bytes
  size_t size_bytes = 0;
};
const char* check_conv_2d_constants(const WindowParams& window, const Finish& finish,
                                    const Constants& constants);
const char* check_depthwise_constants(const WindowParams& window, const Finish& finish,
                                      const Constants& constants);
const char* check_partial_conv_2d_constants(const WindowParams& window, const Constants& constants);
const char* check_fully_connected_constants(const FullyConnectedParams& params,
                                            const Constants& constants);
const char* check_requantize_constants(int32_t channels, const Finish& finish,
                                       const Constants& constants);
const char* check_fused_block_constants(const FusedBlockParams& block, const Constants& constants);

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_PARAMS_H_
