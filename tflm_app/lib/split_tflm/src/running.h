// SPDX-License-Identifier: Apache-2.0
// A device that has been set up. There is one for each program.
#ifndef SPLIT_TFLM_RUNNING_H_
#define SPLIT_TFLM_RUNNING_H_

#include "split_device/device_runner.h"
#include "split_tflm/run_device.h"

namespace split_tflm {

struct Running {
  split_device::DeviceRunner* runner;
  split_device::Graph* graph;  // null: the self-check failed
};

// Links, node, self-check, interpreter. Null, and why, if the board has not the plan's links; a
// device whose self-check failed has no graph, and `why` says what did not fit.
// host_stream: in the place of the board's link to the host; null: that link.
Running* set_up(const DeviceDescription& device, split_core::ByteStream* host_stream,
                split_device::TextLine* why);

// A sign of life of the main program, for the watchdog.
void show_life();

}  // namespace split_tflm

#endif  // SPLIT_TFLM_RUNNING_H_
