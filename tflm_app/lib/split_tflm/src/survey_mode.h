// SPDX-License-Identifier: Apache-2.0
// A firmware of one plan in a survey: it is found, says what it holds, and goes back to its plan.
#ifndef SPLIT_TFLM_SURVEY_MODE_H_
#define SPLIT_TFLM_SURVEY_MODE_H_

#include "split_deploy/survey_bodies.h"
#include "split_tflm/run_device.h"

namespace split_tflm {

// The stream of a port as plans and surveys number it.
split_core::ByteStream& stream_of(uint8_t port);

// What the links of the board are.
void describe_links(split_deploy::Identity* identity);

// Answers surveys over the links of the plan, in their memory, until this one is over. No node may be
// using them. `alive` is called at every turn.
void serve_survey(const DeviceDescription& device, uint32_t boot, void (*alive)());

}  // namespace split_tflm

#endif  // SPLIT_TFLM_SURVEY_MODE_H_
