// SPDX-License-Identifier: Apache-2.0
// TFLM's planner for an arena that lies in several memories (docs/arena.md, "Boards with more than
// one RAM").
//
// TFLM adds a planner's offsets to the begin of the arena, and looks at nothing else. Offsets below
// the start of the first bank stay what they are; others become the way from the arena to their bank.
#ifndef SPLIT_TFLM_BANK_PLANNER_H_
#define SPLIT_TFLM_BANK_PLANNER_H_

#include "split_device/text_line.h"
#include "split_tflm/run_device.h"
#include "tensorflow/lite/micro/memory_planner/greedy_memory_planner.h"
#include "tensorflow/lite/micro/memory_planner/micro_memory_planner.h"

#if !defined(TF_LITE_REMOVE_VIRTUAL_DELETE)
#define TF_LITE_REMOVE_VIRTUAL_DELETE
#endif

namespace split_tflm {

class BankPlanner final : public api::MicroMemoryPlanner {
 public:
  explicit BankPlanner(const DeviceDescription& device) : device_(device) {}

  api::Status Init(unsigned char* scratch, int scratch_bytes) override;
  api::Status AddBuffer(int size, int first, int last) override;
  api::Status AddBuffer(int size, int first, int last, int planned) override;
  size_t GetMaximumMemorySize() override;
  int GetBufferCount() override;
  api::Status GetOffsetForBuffer(int index, int* offset) override;
  bool preserves_all_tensors() const { return false; }  // older ones do not ask
  void PrintMemoryPlan() override { greedy_.PrintMemoryPlan(); }

  // What TFLM was refused because of the banks; null: nothing.
  const char* problem() const { return problem_; }

 private:
  // 0: the arena; else the number of a bank, from 1 on.
  uint8_t bank_at(size_t planned) const;
  size_t start_of(uint8_t bank) const { return bank == 0 ? 0 : device_.banks[bank - 1].start; }
  size_t end_of(uint8_t bank) const;
  api::Status refuse(const char* problem);

  const DeviceDescription& device_;
  api::GreedyMemoryPlanner greedy_;
  const char* problem_ = nullptr;

  TF_LITE_REMOVE_VIRTUAL_DELETE
};

// Whether the memories of all banks are there, set by the port where the linker did not; else why not.
bool find_banks(const DeviceDescription& device, split_device::TextLine* why);

}  // namespace split_tflm

#endif  // SPLIT_TFLM_BANK_PLANNER_H_
