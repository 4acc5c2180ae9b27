// SPDX-License-Identifier: Apache-2.0
#include "bank_planner.h"

#include <climits>

#include "split_port/port.h"

namespace split_tflm {

// Empty buffers that are always live, so that no scratch buffer comes to lie across a start.
api::Status BankPlanner::Init(unsigned char* scratch, int scratch_bytes) {
  problem_ = nullptr;
  if (greedy_.Init(scratch, scratch_bytes) != api::kOk) return api::kError;
  for (uint8_t bank = 1; bank <= device_.bank_count; ++bank) {
    const int start = static_cast<int>(start_of(bank));
    if (greedy_.AddBuffer(0, -1, INT_MAX, start) != api::kOk) return api::kError;
  }
  return api::kOk;
}

api::Status BankPlanner::AddBuffer(int size, int first, int last) {
  return greedy_.AddBuffer(size, first, last);
}

api::Status BankPlanner::AddBuffer(int size, int first, int last, int planned) {
  const size_t begin = static_cast<size_t>(planned);
  if (planned < 0 || size < 0 || begin + static_cast<size_t>(size) > end_of(bank_at(begin))) {
    return refuse("a tensor is planned across the end of its bank");
  }
  return greedy_.AddBuffer(size, first, last, planned);
}

// TFLM reserves so much of the arena. Only scratch buffers can have come to lie beyond the last bank.
size_t BankPlanner::GetMaximumMemorySize() {
  if (greedy_.GetMaximumMemorySize() > end_of(device_.bank_count)) {
    refuse("the last bank has no room for scratch buffers");
    return SIZE_MAX / 2;
  }
  return start_of(1);
}

int BankPlanner::GetBufferCount() { return greedy_.GetBufferCount() - device_.bank_count; }

api::Status BankPlanner::GetOffsetForBuffer(int index, int* offset) {
  int planned = 0;
  if (greedy_.GetOffsetForBuffer(index + device_.bank_count, &planned) != api::kOk) {
    return api::kError;
  }
  *offset = planned;
  const uint8_t bank = bank_at(static_cast<size_t>(planned));
  if (bank == 0) return api::kOk;
  const BankPlace& place = device_.banks[bank - 1];
  const uint8_t* const at = place.memory + (static_cast<size_t>(planned) - place.start);
  // TFLM adds this to the arena's begin. On a 32-bit chip every address is within an int's reach.
  const auto way = static_cast<intptr_t>(reinterpret_cast<uintptr_t>(at) -
                                         reinterpret_cast<uintptr_t>(device_.arena));
  *offset = static_cast<int>(way);
  return *offset == way ? api::kOk : refuse("a bank is more than 2 GB from the arena");
}

uint8_t BankPlanner::bank_at(size_t planned) const {
  uint8_t bank = 0;
  while (bank < device_.bank_count && planned >= start_of(bank + 1)) ++bank;
  return bank;
}

size_t BankPlanner::end_of(uint8_t bank) const {
  if (bank < device_.bank_count) return start_of(bank + 1);
  return start_of(bank) + device_.banks[bank - 1].bytes;
}

api::Status BankPlanner::refuse(const char* problem) {
  problem_ = problem;
  return api::kError;
}

bool find_banks(const DeviceDescription& device, split_device::TextLine* why) {
  for (uint8_t i = 0; i < device.bank_count; ++i) {
    BankPlace& place = device.banks[i];
    if (place.bytes == 0) continue;
    place.memory = split_port::bank(place.name, place.memory, place.bytes);
    const bool is_there = place.memory != nullptr;
    if (is_there && reinterpret_cast<uintptr_t>(place.memory) % 16 == 0) continue;
    why->add("the board has no bank ").add(place.name).add(" of ");
    why->add(static_cast<int64_t>(place.bytes)).add(" bytes, where activations of the plan lie");
    return false;
  }
  return true;
}

}  // namespace split_tflm
