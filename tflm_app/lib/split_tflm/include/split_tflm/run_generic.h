// SPDX-License-Identifier: Apache-2.0
// The main program of a device without a model of its own: it is found, takes its slice over the links,
// and computes it (docs/deployment.md).
#ifndef SPLIT_TFLM_RUN_GENERIC_H_
#define SPLIT_TFLM_RUN_GENERIC_H_

#include "split_core/span.h"
#include "split_tflm/tflm_compat.h"

namespace split_tflm {

struct GenericFirmware {
  const char* board;  // its kind, at most 16 characters
  bool has_cmsis_nn;  // its kernels are CMSIS-NN's
  // For arenas, links and what a survey or a session needs, one after the other; aligned to 16.
  split_core::MutableBytes work;
  split_core::ConstBytes key;  // of deployments; empty: none is wanted
  api::Status (*resolve)(const api::MicroOpResolver** resolver);
};

// For ever. Everything that `firmware` points to lives as long as the program.
[[noreturn]] void run_generic(const GenericFirmware& firmware);

}  // namespace split_tflm

#endif  // SPLIT_TFLM_RUN_GENERIC_H_
