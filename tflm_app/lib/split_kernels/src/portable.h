// SPDX-License-Identifier: Apache-2.0
// The portable convolutions, for a part of a result too: pad_top and pad_left may be negative (the
// window begins inside x), in_rows and in_columns 0 (it sees padding only). pad_bottom and pad_right
// are not read.
#ifndef SPLIT_KERNELS_SRC_PORTABLE_H_
#define SPLIT_KERNELS_SRC_PORTABLE_H_

#include "split_kernels/params.h"

namespace split_kernels {

void conv_2d_portable(const WindowParams& window, const Requantization& requantization,
                      const int8_t* x, const int8_t* weights, int8_t* y);

void depthwise_conv_2d_portable(const WindowParams& window, const Requantization& requantization,
                                const int8_t* x, const int8_t* weights, int8_t* y);

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_SRC_PORTABLE_H_
