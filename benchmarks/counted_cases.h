// SPDX-License-Identifier: Apache-2.0
// Cases from stdin and counted answers on stdout, in the terms of tests/kernels/driver.cc: what the programs
// beside our kernels share.
#ifndef BENCHMARKS_COUNTED_CASES_H_
#define BENCHMARKS_COUNTED_CASES_H_

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace counted {

constexpr int kMaxIntegers = 24;
constexpr int kMaxArrays = 5;

struct Case {
  int32_t op;
  int32_t n[kMaxIntegers];
  void* arrays[kMaxArrays];
  int32_t sizes[kMaxArrays];
  int32_t array_count;

  int8_t* bytes(int i) const { return static_cast<int8_t*>(arrays[i]); }
  int32_t* words(int i) const { return static_cast<int32_t*>(arrays[i]); }
};

// Not null: without memory the program ends.
inline void* memory_of(int32_t size) {
  void* const memory = std::malloc(static_cast<size_t>(size) + 16);
  if (memory == nullptr) std::abort();
  return memory;
}

inline bool read(void* to, size_t size) { return std::fread(to, 1, size, stdin) == size; }

inline bool read_case(Case* to) {
  int32_t integers = 0;
  if (!read(&to->op, 4) || !read(&integers, 4) || integers > kMaxIntegers) return false;
  if (!read(to->n, 4 * static_cast<size_t>(integers)) || !read(&to->array_count, 4)) return false;
  if (to->array_count > kMaxArrays) return false;
  for (int32_t i = 0; i < to->array_count; ++i) {
    if (!read(&to->sizes[i], 4)) return false;
    to->arrays[i] = memory_of(to->sizes[i]);
    if (!read(to->arrays[i], static_cast<size_t>(to->sizes[i]))) return false;
  }
  return true;
}

inline void free_case(const Case& c) {
  for (int32_t i = 0; i < c.array_count; ++i) std::free(c.arrays[i]);
}

// SysTick as QEMU counts it: SPLIT_KERNELS_TICK instructions to a tick.
class Ticks {
 public:
  Ticks() {
    registers()[1] = kReload;
    registers()[0] = 5;  // on, processor clock, no interrupt
  }
  static void begin() { registers()[2] = 0; }
  // Instructions since begin().
  static int32_t instructions() {
    const uint32_t left = registers()[2];  // 0: not one tick yet
    return left == 0 ? 0 : static_cast<int32_t>((kReload - left) * SPLIT_KERNELS_TICK);
  }

 private:
  static constexpr uint32_t kReload = 0xFFFFFF;
  static volatile uint32_t* registers() { return reinterpret_cast<uint32_t*>(0xE000E010); }
};

inline void answer(int32_t scratch_bytes, int32_t instructions, const int8_t* y, int32_t size) {
  const int32_t head[3] = {scratch_bytes, instructions, size};
  std::fwrite(head, 1, sizeof head, stdout);
  std::fwrite(y, 1, static_cast<size_t>(size), stdout);
}

}  // namespace counted

#endif  // BENCHMARKS_COUNTED_CASES_H_
