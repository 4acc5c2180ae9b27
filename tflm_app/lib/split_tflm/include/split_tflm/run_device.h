// SPDX-License-Identifier: Apache-2.0
// The main program of a device, given what the generator wrote about it.
#ifndef SPLIT_TFLM_RUN_DEVICE_H_
#define SPLIT_TFLM_RUN_DEVICE_H_

#include "split_core/node.h"
#include "split_device/exchange.h"
#include "split_tflm/tflm_compat.h"

namespace split_tflm {

// Port of a link that leads to the host computer, wherever the board has it.
inline constexpr uint8_t kHostPort = 0xFF;

// One of the memories beside that of the arena: from `start` on, planned offsets lie in it.
struct BankPlace {
  const char* name;
  uint32_t start;
  uint8_t* memory;  // aligned to 16 bytes; null: the port knows where
  size_t bytes;     // 0: nothing lies there
};

// One device of a plan. Everything it points to lives as long as the program.
struct DeviceDescription {
  const char* board;             // at most 16 characters
  const char* mark;              // metadata "tflsplit" of its model: plan, fingerprint, rank
  split_core::NodeConfig node;   // without boot_nonce
  const uint8_t* ports;          // port of each link
  const uint8_t* model;          // a .tflite file, aligned to 16 bytes
  size_t model_bytes;
  uint8_t* arena;                // aligned to 16 bytes
  size_t arena_bytes;
  size_t predicted_arena_bytes;  // without the margin
  void* link_memory;             // Node::required_bytes(node), aligned to 8
  size_t link_memory_bytes;
  split_device::PostedSend* posted;  // node.send_slots of them
  uint32_t timeout_us;               // longest wait for one box
  uint32_t background_poll_us;       // how often links are polled while kernels run; 0: never
  api::Status (*resolve)(const api::MicroOpResolver** resolver);  // its operators
  BankPlace* banks = nullptr;        // by rising start
  uint8_t bank_count = 0;
  uint8_t* next_input = nullptr;     // for the input of the next inference; null: none
  size_t next_input_bytes = 0;       // as all inputs of the graph have
};

struct Running;  // set up: split_tflm/src/running.h

// Serves the host for ever; returns after `inferences` of them if the start-up argument of that
// name is given, and an exit status.
int run_device(const DeviceDescription& device);

}  // namespace split_tflm

#endif  // SPLIT_TFLM_RUN_DEVICE_H_
