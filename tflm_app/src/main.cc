// SPDX-License-Identifier: Apache-2.0
// The firmware of one device. What it is, the generator wrote: tflsplit_device() is in the folder
// that the environment's custom_node_folder names.

// PlatformIO builds the libraries that it sees named here.
#include "split_core/node.h"
#include "split_deploy/survey_desk.h"
#include "split_device/device_runner.h"
#include "split_kernels/kernels.h"
#include "split_port/port.h"
#include "split_tflm/run_device.h"

const split_tflm::DeviceDescription& tflsplit_device();

// Weak, so that an application of one's own takes its place (docs/firmware.md).
__attribute__((weak)) int split_app_main() { return split_tflm::run_device(tflsplit_device()); }
