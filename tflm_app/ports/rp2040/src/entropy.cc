// SPDX-License-Identifier: Apache-2.0
#include "entropy.h"

#include "registers.h"

namespace split_port::rp2040 {
namespace {

constexpr uint32_t kRandomBit = 0x4006001C;
constexpr int kSamples = 256;  // the bits are biased and depend on each other: eight to a bit

}  // namespace

uint32_t random_word() {
  uint32_t word = 2166136261u;  // FNV-1a (Fowler, Noll, Vo), bit by bit
  for (int sample = 0; sample < kSamples; ++sample) {
    word = (word ^ (reg(kRandomBit) & 1)) * 16777619u;
  }
  return word;
}

}  // namespace split_port::rp2040
