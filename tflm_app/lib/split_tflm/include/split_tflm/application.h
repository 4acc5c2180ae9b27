// SPDX-License-Identifier: Apache-2.0
// Inferences of the whole cluster from the gateway's own program, without a host computer:
//
//   split_tflm::Application& cluster = tflsplit_application();   // "application.h" of the device
//   const char* problem = cluster.infer(camera_rows, nullptr, rows, sizeof rows, scores);
//
// docs/firmware.md, "Input from the application".
#ifndef SPLIT_TFLM_APPLICATION_H_
#define SPLIT_TFLM_APPLICATION_H_

#include "split_device/application_host.h"
#include "split_tflm/run_device.h"

namespace split_tflm {

using split_device::ReadRows;

class Application {
 public:
  // One for each program: the device that it makes is its own.
  Application(const DeviceDescription& device,
              const split_device::ApplicationDescription& application)
      : device_(device), host_(application) {}

  // One inference; returns when the outputs are there, or have failed to come. Null: all is well;
  // else what went wrong, in words that stay until the next call, which is not affected by it.
  //
  // read: gives the rows of the inputs, from the first to the last, as many at a time as fit into
  //     rows[rows_bytes]: at least one; called from this function only, with `context`.
  // outputs: the outputs, one behind the other, as they are in the model.
  const char* infer(ReadRows read, void* context, uint8_t* rows, size_t rows_bytes,
                    uint8_t* outputs);

  // Keeps the links alive while the program has something else to do; to be called every second.
  // Its first call, or that of infer(), sets the device up. What is wrong with it; null: nothing.
  const char* turn();

 private:
  const DeviceDescription& device_;
  split_device::ApplicationHost host_;
  Running* running_ = nullptr;
  split_device::TextLine why_;
};

}  // namespace split_tflm

#endif  // SPLIT_TFLM_APPLICATION_H_
