// SPDX-License-Identifier: Apache-2.0
// A firmware without a model: one for all boards of a kind. It is flashed once, and takes its slice over
// the links.
//
//   TFLSPLIT_BOARD       the board's kind, as a string
//   TFLSPLIT_WORK_BYTES  of memory for arena and links; a linker script of ours gives what is left
//   TFLSPLIT_KEY         of deployments, as a string; whoever has not got it cannot deploy
//   TFLSPLIT_OPERATORS   a header in the place of split_tflm/all_operators.h, with fewer operators
#if defined(TFLSPLIT_OPERATORS)
#include TFLSPLIT_OPERATORS
#else
#include "split_tflm/all_operators.h"
#endif
#include "split_core/node.h"
#include "split_deploy/session.h"
#include "split_device/device_runner.h"
#include "split_kernels/kernels.h"
#include "split_port/port.h"
#include "split_tflm/run_generic.h"

namespace {

namespace api = split_tflm::api;
using split_core::ConstBytes;
using split_core::MutableBytes;

#if defined(TFLSPLIT_WORK_BYTES)
#if defined(__IMXRT1062__)  // Teensy 4 has half of its RAM for data that the program asks to be there
#define TFLSPLIT_WORK_ATTRIBUTE __attribute__((section(".dmabuffers")))
#else
#define TFLSPLIT_WORK_ATTRIBUTE
#endif
alignas(16) TFLSPLIT_WORK_ATTRIBUTE uint8_t g_work[TFLSPLIT_WORK_BYTES];
MutableBytes work_memory() { return MutableBytes(g_work, sizeof g_work); }
#else
extern "C" uint8_t __work_begin__[], __work_end__[];
MutableBytes work_memory() {
  return MutableBytes(__work_begin__, static_cast<size_t>(__work_end__ - __work_begin__));
}
#endif

// An emulated board may be given less, to stand for a smaller one.
MutableBytes limited(MutableBytes memory) {
  const int32_t wanted = split_port::argument_or("work_bytes", 0);
  const bool is_less = wanted > 0 && static_cast<size_t>(wanted) < memory.size();
  return is_less ? memory.first(static_cast<size_t>(wanted)) : memory;
}

#if defined(TFLSPLIT_KEY)
constexpr char kKey[] = TFLSPLIT_KEY;
ConstBytes key() { return ConstBytes(reinterpret_cast<const uint8_t*>(kKey), sizeof kKey - 1); }
#else
ConstBytes key() { return ConstBytes(); }
#endif

#if defined(CMSIS_NN)
constexpr bool kHasCmsisNn = true;
#else
constexpr bool kHasCmsisNn = false;
#endif

api::Status resolve(const api::MicroOpResolver** result) {
  static api::MicroMutableOpResolver<split_tflm::kOperators> resolver;
  *result = &resolver;
  return split_tflm::add_operators(resolver);
}

}  // namespace

int split_app_main() {
  const split_tflm::GenericFirmware firmware = {TFLSPLIT_BOARD, kHasCmsisNn, limited(work_memory()),
                                                key(), resolve};
  split_tflm::run_generic(firmware);
}
