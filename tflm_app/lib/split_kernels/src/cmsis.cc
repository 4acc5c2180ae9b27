// SPDX-License-Identifier: Apache-2.0
#if defined(TFLSPLIT_CMSIS_NN)

#include "cmsis.h"

#include <cstring>

#include "arithmetic.h"

#include <arm_nnfunctions.h>
#include <arm_nnsupportfunctions.h>

namespace split_kernels {
namespace cmsis {
namespace {

#if defined(__ARM_FEATURE_MVE)
constexpr bool kMve = true;
#else
constexpr bool kMve = false;
#endif

// CMSIS-NN keeps coordinates in 16 bits in places.
constexpr int32_t kMaxExtent = 32767;

// Positions of the result that one call of the s32 matrix product takes: the most that it handles
// at a time (4 with MVE, 2 with DSP).
constexpr int32_t kPositions = kMve ? 4 : 2;

bool small(const WindowParams& p) {
  return p.in_rows <= kMaxExtent && p.in_columns <= kMaxExtent && p.in_channels <= kMaxExtent &&
         p.out_rows <= kMaxExtent && p.out_columns <= kMaxExtent && p.out_channels <= kMaxExtent &&
         int64_t{p.kernel_rows} * p.dilation_rows <= kMaxExtent &&
         int64_t{p.kernel_columns} * p.dilation_columns <= kMaxExtent;
}

bool pointwise(const WindowParams& p) {
  return p.kernel_rows == 1 && p.kernel_columns == 1 && p.kernel_channels == p.in_channels &&
         p.pad_top == 0 && p.pad_bottom == 0 && p.pad_left == 0 && p.pad_right == 0;
}

cmsis_nn_dims dims(int32_t n, int32_t h, int32_t w, int32_t c) {
  cmsis_nn_dims result;
  result.n = n, result.h = h, result.w = w, result.c = c;
  return result;
}

cmsis_nn_dims x_dims(const WindowParams& p) {
  return dims(p.batches, p.in_rows, p.in_columns, p.in_channels);
}

cmsis_nn_dims y_dims(const WindowParams& p) {
  return dims(p.batches, p.out_rows, p.out_columns, p.out_channels);
}

cmsis_nn_dims filter_dims(const WindowParams& p) {
  return dims(p.out_channels, p.kernel_rows, p.kernel_columns, p.kernel_channels);
}

cmsis_nn_dims depthwise_filter_dims(const WindowParams& p) {
  return dims(1, p.kernel_rows, p.kernel_columns, p.out_channels);
}

// The fields that cmsis_nn_conv_params and cmsis_nn_dw_conv_params share.
template <typename Params>
Params params_of(const WindowParams& p, const Requantization& q) {
  Params result = {};
  result.input_offset = -p.x_zero_point;
  result.output_offset = q.y_zero_point;
  result.stride.h = p.stride_rows, result.stride.w = p.stride_columns;
  result.padding.h = p.pad_top, result.padding.w = p.pad_left;
  result.dilation.h = p.dilation_rows, result.dilation.w = p.dilation_columns;
  result.activation.min = q.activation_min, result.activation.max = q.activation_max;
  return result;
}

// CMSIS-NN's type has no const; it only reads.
cmsis_nn_per_channel_quant_params quantization_of(const Requantization& q) {
  cmsis_nn_per_channel_quant_params result;
  result.multiplier = const_cast<int32_t*>(q.multiplier);
  result.shift = const_cast<int32_t*>(q.shift);
  return result;
}

cmsis_nn_context context_of(void* scratch, size_t size_bytes) {
  cmsis_nn_context result;
  result.buf = scratch;
  result.size = static_cast<int32_t>(size_bytes);
  return result;
}

}  // namespace

bool takes_conv_2d(const WindowParams& p, bool has_bias) {
  return small(p) && (has_bias || p.kernel_channels == p.in_channels);
}

size_t conv_2d_get_scratch_bytes(const WindowParams& p) {
  const cmsis_nn_dims x = x_dims(p), filter = filter_dims(p);
  return pointwise(p) ? 0 : static_cast<size_t>(arm_convolve_s8_get_buffer_size(&x, &filter));
}

void conv_2d(const WindowParams& p, const Requantization& q, const int8_t* x,
             const int8_t* weights, void* scratch, int8_t* y) {
  const cmsis_nn_context context = context_of(scratch, conv_2d_get_scratch_bytes(p));
  const cmsis_nn_conv_params params = params_of<cmsis_nn_conv_params>(p, q);
  const cmsis_nn_per_channel_quant_params quantization = quantization_of(q);
  const cmsis_nn_dims in = x_dims(p), filter = filter_dims(p), out = y_dims(p);
  const cmsis_nn_dims bias = dims(1, 1, 1, p.out_channels);
  if (pointwise(p)) {
    arm_convolve_1x1_s8(&context, &params, &quantization, &in, x, &filter, weights, &bias, q.bias,
                        &out, y);
    return;
  }
  arm_convolve_s8(&context, &params, &quantization, &in, x, &filter, weights, &bias, q.bias,
                  nullptr, &out, y);
}

bool takes_depthwise(const WindowParams& p, bool has_bias) {
  const bool pads_fit = p.pad_top < p.kernel_rows && p.pad_bottom < p.kernel_rows &&
                        p.pad_left < p.kernel_columns && p.pad_right < p.kernel_columns;
  const bool is_3x3 = p.kernel_rows == 3 && p.kernel_columns == 3;
  return p.in_channels == p.out_channels && p.batches == 1 && p.dilation_rows == 1 &&
         p.dilation_columns == 1 && small(p) && pads_fit && (has_bias || !kMve) &&
         (kMve || !is_3x3 || p.pad_right <= 1);
}

size_t depthwise_get_scratch_bytes(const WindowParams& p) {
  cmsis_nn_dw_conv_params params = params_of<cmsis_nn_dw_conv_params>(p, Requantization());
  params.ch_mult = 1;
  const cmsis_nn_dims in = x_dims(p), filter = depthwise_filter_dims(p), out = y_dims(p);
  return static_cast<size_t>(
      arm_depthwise_conv_wrapper_s8_get_buffer_size(&params, &in, &filter, &out));
}

void depthwise(const WindowParams& p, const Requantization& q, const int8_t* x,
               const int8_t* weights, void* scratch, int8_t* y) {
  const cmsis_nn_context context = context_of(scratch, depthwise_get_scratch_bytes(p));
  cmsis_nn_dw_conv_params params = params_of<cmsis_nn_dw_conv_params>(p, q);
  params.ch_mult = 1;
  const cmsis_nn_per_channel_quant_params quantization = quantization_of(q);
  const cmsis_nn_dims in = x_dims(p), filter = depthwise_filter_dims(p), out = y_dims(p);
  const cmsis_nn_dims bias = dims(1, 1, 1, p.out_channels);
  arm_depthwise_conv_wrapper_s8(&context, &params, &quantization, &in, x, &filter, weights, &bias,
                                q.bias, &out, y);
}

bool takes_dense(const DenseParams& p) {
  return p.depth <= kMaxExtent && p.channels <= kMaxExtent;
}

void dense(const DenseParams& p, const Requantization& q, const int8_t* x, const int8_t* weights,
           int8_t* y) {
  // CMSIS-NN calls the positions lhs_rows, the depth rhs_cols and the channels rhs_rows.
  arm_nn_mat_mult_nt_t_s8(x, weights, q.bias, y, q.multiplier, q.shift, p.positions, p.channels,
                          p.depth, -p.x_zero_point, q.y_zero_point, q.activation_min,
                          q.activation_max, p.channels, p.depth);
}

void dense_sums(const DenseParams& p, const int8_t* x, const int8_t* weights, int32_t* y) {
  std::memset(y, 0, static_cast<size_t>(p.positions) * p.channels * sizeof(int32_t));
  // Here it calls the depth rhs_rows and the channels rhs_cols.
  arm_nn_mat_mult_nt_t_s8_s32(x, weights, y, p.positions, p.depth, p.channels, -p.x_zero_point, 1);
}

namespace {

int32_t depth_of(const WindowParams& p) {
  return p.kernel_rows * p.kernel_columns * p.in_channels;
}

// One row of a window, padding included, as kernel_columns * C values.
void gather_row(const WindowParams& p, const int8_t* x_row, int32_t in_column, int8_t* to) {
  const int32_t pixel = p.in_channels;
  const int32_t beyond = in_column + p.kernel_columns;
  if (p.dilation_columns == 1 && in_column >= 0 && beyond <= p.in_columns) {
    std::memcpy(to, x_row + in_column * pixel, static_cast<size_t>(p.kernel_columns * pixel));
    return;
  }
  for (int32_t j = 0; j < p.kernel_columns; ++j, to += pixel) {
    const int32_t column = in_column + j * p.dilation_columns;
    if (column < 0 || column >= p.in_columns) {
      std::memset(to, p.x_zero_point, static_cast<size_t>(pixel));
    } else {
      std::memcpy(to, x_row + column * pixel, static_cast<size_t>(pixel));
    }
  }
}

// One position's window, row by row, padding included, as kernel_rows * kernel_columns * C values.
void gather(const WindowParams& p, const int8_t* x, int32_t row, int32_t column, int8_t* to) {
  const int32_t row_values = p.kernel_columns * p.in_channels;
  const int32_t in_column = column * p.stride_columns - p.pad_left;
  for (int32_t i = 0; i < p.kernel_rows; ++i, to += row_values) {
    const int32_t in_row = row * p.stride_rows - p.pad_top + i * p.dilation_rows;
    if (in_row < 0 || in_row >= p.in_rows) {
      std::memset(to, p.x_zero_point, static_cast<size_t>(row_values));
    } else {
      gather_row(p, x + in_row * p.in_columns * p.in_channels, in_column, to);
    }
  }
}

// Calls product(number of positions, first of them in y) for `most` gathered positions at a time.
template <typename Product>
void gather_all(const WindowParams& p, const int8_t* x, int8_t* to, int32_t most,
                Product product) {
  const int32_t depth = depth_of(p);
  const int32_t positions = p.out_rows * p.out_columns;
  for (int32_t batch = 0; batch < p.batches; ++batch) {
    for (int32_t at = 0; at < positions; at += most) {
      const int32_t count = positions - at < most ? positions - at : most;
      for (int32_t k = 0; k < count; ++k) {
        gather(p, x, (at + k) / p.out_columns, (at + k) % p.out_columns, to + k * depth);
      }
      product(count, batch * positions + at);
    }
    x += p.in_rows * p.in_columns * p.in_channels;
  }
}

}  // namespace

size_t partial_conv_2d_get_scratch_bytes(const WindowParams& p) {
  return is_dense(p) ? 0 : static_cast<size_t>(kPositions) * depth_of(p);
}

void partial_conv_2d(const WindowParams& p, const int8_t* x, const int8_t* weights,
                     int8_t* scratch, int32_t* y) {
  gather_all(p, x, scratch, kPositions, [&](int32_t count, int32_t first) {
    const DenseParams product = {count, depth_of(p), p.out_channels, p.x_zero_point};
    cmsis::dense_sums(product, scratch, weights, y + first * p.out_channels);
  });
}

bool conv_2d_gathered(const WindowParams& p, const Requantization& q, const int8_t* x,
                      const int8_t* weights, int8_t* spare, size_t spare_bytes, int8_t* y) {
  const size_t most = spare_bytes / static_cast<size_t>(depth_of(p));
  if (most == 0 || !takes_dense({1, depth_of(p), p.out_channels, p.x_zero_point})) return false;
  gather_all(p, x, spare, static_cast<int32_t>(most), [&](int32_t count, int32_t first) {
    const DenseParams product = {count, depth_of(p), p.out_channels, p.x_zero_point};
    cmsis::dense(product, q, spare, weights, y + first * p.out_channels);
  });
  return true;
}

}  // namespace cmsis
}  // namespace split_kernels

#endif  // TFLSPLIT_CMSIS_NN
