// SPDX-License-Identifier: Apache-2.0
// The same kernels by CMSIS-NN, where it is there (TFLSPLIT_CMSIS_NN).
//
// CMSIS-NN is told the leading pads and the size of the result; the trailing pads follow. Where
// that goes wrong in it, takes_...() says no, and the portable kernel runs:
//   * its 1x1 kernels take the size of the result from x, so trailing pads would be lost; with any
//     pad the general kernel is called instead;
//   * its 1xN kernel (MVE) insists on nearly symmetric pads: never called;
//   * its 3x3 depthwise kernel reads the middle column unasked: at most one column of right pad;
//   * its other depthwise kernel clears whole rows of padding: pads must be smaller than the kernel;
//   * some of its kernels add an offset to the bias without asking whether there is one.
#ifndef SPLIT_KERNELS_SRC_CMSIS_H_
#define SPLIT_KERNELS_SRC_CMSIS_H_

#include "dense.h"
#include "split_kernels/params.h"

namespace split_kernels {
namespace cmsis {

#if defined(TFLSPLIT_CMSIS_NN)

inline constexpr bool kAvailable = true;

bool takes_conv_2d(const WindowParams& window, bool has_bias);
size_t conv_2d_get_scratch_bytes(const WindowParams& window);
void conv_2d(const WindowParams& window, const Requantization& requantization, const int8_t* x,
             const int8_t* weights, void* scratch, int8_t* y);

bool takes_depthwise(const WindowParams& window, bool has_bias);
size_t depthwise_get_scratch_bytes(const WindowParams& window);
void depthwise(const WindowParams& window, const Requantization& requantization, const int8_t* x,
               const int8_t* weights, void* scratch, int8_t* y);

size_t partial_conv_2d_get_scratch_bytes(const WindowParams& window);
void partial_conv_2d(const WindowParams& window, const int8_t* x, const int8_t* weights,
                     int8_t* scratch, int32_t* y);

bool takes_dense(const DenseParams& params);
void dense(const DenseParams& params, const Requantization& requantization, const int8_t* x,
           const int8_t* weights, int8_t* y);
void dense_sums(const DenseParams& params, const int8_t* x, const int8_t* weights, int32_t* y);

// A convolution, not grouped, by windows that are copied to `spare`, as many at a time as fit: for
// windows that CMSIS-NN's own convolutions cannot address. False, and nothing done, if not one fits.
bool conv_2d_gathered(const WindowParams& window, const Requantization& requantization,
                      const int8_t* x, const int8_t* weights, int8_t* spare, size_t spare_bytes,
                      int8_t* y);

#else

inline constexpr bool kAvailable = false;

inline bool takes_conv_2d(const WindowParams&, bool) { return false; }
inline size_t conv_2d_get_scratch_bytes(const WindowParams&) { return 0; }
inline void conv_2d(const WindowParams&, const Requantization&, const int8_t*, const int8_t*, void*,
                    int8_t*) {}

inline bool takes_depthwise(const WindowParams&, bool) { return false; }
inline size_t depthwise_get_scratch_bytes(const WindowParams&) { return 0; }
inline void depthwise(const WindowParams&, const Requantization&, const int8_t*, const int8_t*,
                      void*, int8_t*) {}

inline size_t partial_conv_2d_get_scratch_bytes(const WindowParams&) { return 0; }
inline void partial_conv_2d(const WindowParams&, const int8_t*, const int8_t*, int8_t*, int32_t*) {}

inline bool takes_dense(const DenseParams&) { return false; }
inline void dense(const DenseParams&, const Requantization&, const int8_t*, const int8_t*,
                  int8_t*) {}
inline void dense_sums(const DenseParams&, const int8_t*, const int8_t*, int32_t*) {}

inline bool conv_2d_gathered(const WindowParams&, const Requantization&, const int8_t*,
                             const int8_t*, int8_t*, size_t, int8_t*) {
  return false;
}

#endif

}  // namespace cmsis
}  // namespace split_kernels

#endif  // SPLIT_KERNELS_SRC_CMSIS_H_
