// SPDX-License-Identifier: Apache-2.0
// Which schedule runs: exactly one of these is 1. SPLIT_KERNELS_PORTABLE_SCHEDULE, defined by the
// build, asks for portable C++ whatever the core.
#ifndef SPLIT_KERNELS_SRC_TARGET_H_
#define SPLIT_KERNELS_SRC_TARGET_H_

#if defined(SPLIT_KERNELS_PORTABLE_SCHEDULE)
#define SPLIT_KERNELS_MVE 0
#define SPLIT_KERNELS_DSP 0
#elif defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#define SPLIT_KERNELS_MVE 1
#define SPLIT_KERNELS_DSP 0
#elif defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_SIMD32) && defined(__thumb2__) && \
    defined(__GNUC__)
#define SPLIT_KERNELS_MVE 0
#define SPLIT_KERNELS_DSP 1
#else
#define SPLIT_KERNELS_MVE 0
#define SPLIT_KERNELS_DSP 0
#endif

// Cortex-M0 and M0+.
#if defined(__ARM_ARCH_6M__) && defined(__GNUC__) && !defined(SPLIT_KERNELS_PORTABLE_SCHEDULE)
#define SPLIT_KERNELS_V6M 1
#else
#define SPLIT_KERNELS_V6M 0
#endif

#define SPLIT_KERNELS_PORTABLE (!SPLIT_KERNELS_MVE && !SPLIT_KERNELS_DSP && !SPLIT_KERNELS_V6M)

// Whether DSP schedules are for a core that issues two instructions at once, by the build, which alone knows: such
// loops are shorter there and have more instructions, which is what they cost elsewhere.
#if defined(SPLIT_KERNELS_DUAL_ISSUE)
#define SPLIT_KERNELS_TWO_AT_ONCE 1
#else
#define SPLIT_KERNELS_TWO_AT_ONCE 0
#endif

#endif  // SPLIT_KERNELS_SRC_TARGET_H_
