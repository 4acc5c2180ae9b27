// SPDX-License-Identifier: Apache-2.0
// What the fuzz harnesses share. Each defines LLVMFuzzerTestOneInput(): libFuzzer calls it with what
// it makes up (clang), replay.cc with the files of the corpus (any compiler).
#ifndef TESTS_FUZZ_INPUT_H_
#define TESTS_FUZZ_INPUT_H_

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

// What must hold for every input; libFuzzer keeps the input that ends the program.
#define REQUIRE(condition)                                                               \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                      \
    }                                                                                    \
  } while (false)

namespace fuzz {

// The bytes of an input as numbers, little endian; behind the end come zeros.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}

  bool empty() const { return at_ == end_; }
  size_t size() const { return static_cast<size_t>(end_ - at_); }
  const uint8_t* rest() const { return at_; }

  uint8_t u8() { return empty() ? uint8_t{0} : *at_++; }
  uint16_t u16() {
    const uint16_t low = u8();
    return static_cast<uint16_t>(low | u8() << 8);
  }
  uint32_t u32() {
    const uint32_t low = u16();
    return low | uint32_t{u16()} << 16;
  }
  int32_t i32() { return static_cast<int32_t>(u32()); }
  uint64_t u64() {
    const uint64_t low = u32();
    return low | uint64_t{u32()} << 32;
  }
  bool flag() { return (u8() & 1) != 0; }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
};

// Memory of exactly `count` values, so that AddressSanitizer sees the first one beside it.
template <typename T>
std::unique_ptr<T[]> exactly(size_t count) {
  return std::unique_ptr<T[]>(new T[count]());
}

inline std::unique_ptr<uint8_t[]> copy_of(const uint8_t* data, size_t size) {
  auto copy = exactly<uint8_t>(size);
  if (size > 0) std::memcpy(copy.get(), data, size);
  return copy;
}

}  // namespace fuzz

#endif  // TESTS_FUZZ_INPUT_H_
