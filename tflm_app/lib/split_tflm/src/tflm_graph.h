// SPDX-License-Identifier: Apache-2.0
// A device graph under TFLM's interpreter.
#ifndef SPLIT_TFLM_TFLM_GRAPH_H_
#define SPLIT_TFLM_TFLM_GRAPH_H_

#include "split_device/device_runner.h"
#include "split_tflm/run_device.h"

namespace split_tflm {

class TflmGraph final : public split_device::Graph {
 public:
  // `interpreter` must outlive the graph and have its tensors. `hang_at`: number of the inference in
  // which the program hangs, for trials of the watchdog; 0: none.
  TflmGraph(api::MicroInterpreter& interpreter, int32_t hang_at)
      : interpreter_(interpreter), left_until_hang_(hang_at) {}

  size_t input_count() const override { return interpreter_.inputs_size(); }
  size_t output_count() const override { return interpreter_.outputs_size(); }
  split_core::MutableBytes input(size_t index) override;
  split_core::MutableBytes output(size_t index) override;
  bool invoke() override;

 private:
  api::MicroInterpreter& interpreter_;
  volatile int32_t left_until_hang_;
};

// The self-check: the model is of this plan and rank, its schema is known, the arena is large
// enough and every operator takes its tensors. False: `why` says what is not so.
bool check_model(const DeviceDescription& device, split_device::TextLine* why);
bool allocate(const DeviceDescription& device, api::MicroInterpreter& interpreter,
              split_device::Exchange& exchange, split_device::TextLine* why);

}  // namespace split_tflm

#endif  // SPLIT_TFLM_TFLM_GRAPH_H_
