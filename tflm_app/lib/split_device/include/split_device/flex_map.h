// SPDX-License-Identifier: Apache-2.0
// Reads the FlexBuffer maps of docs/custom_ops.md where they lie: integers, vectors of integers
// and strings by key. No heap, nothing copied, no alignment needed, and no byte outside of what
// open() was given is ever read, whatever the bytes are.
#ifndef SPLIT_DEVICE_FLEX_MAP_H_
#define SPLIT_DEVICE_FLEX_MAP_H_

#include <cstddef>
#include <cstdint>

namespace split_device {

// A typed vector of integers; elements are read one at a time.
class IntVector {
 public:
  IntVector() = default;
  IntVector(const uint8_t* data, uint32_t count, uint8_t width, bool is_signed)
      : data_(data), count_(count), width_(width), is_signed_(is_signed) {}

  uint32_t size() const { return count_; }
  // index < size(). Unsigned elements above 2^63 - 1 come out negative.
  int64_t operator[](uint32_t index) const;
  // The same for elements that a check has found to be within int32.
  int32_t at(uint32_t index) const { return static_cast<int32_t>((*this)[index]); }

 private:
  const uint8_t* data_ = nullptr;
  uint32_t count_ = 0;
  uint8_t width_ = 1;
  bool is_signed_ = true;
};

// Not zero-terminated.
struct Text {
  const char* data = nullptr;
  uint32_t size = 0;
};

class FlexMap {
 public:
  // False if `bytes` do not hold a map. They must stay where they are.
  static bool open(const void* bytes, size_t size, FlexMap* map);

  uint32_t size() const { return count_; }
  // Key number `index` < size(); null if it is damaged. Zero-terminated.
  const char* key(uint32_t index) const;

  // Each returns false if there is no such key or if its value is of another kind or damaged.
  bool has(const char* key) const { return find(key) < count_; }
  bool integer(const char* key, int64_t* value) const;
  bool integers(const char* key, IntVector* value) const;
  bool text(const char* key, Text* value) const;

 private:
  uint32_t find(const char* key) const;
  bool read_offset(size_t at, uint8_t width, size_t* target) const;
  bool read_size(size_t vector, uint8_t width, uint32_t* count) const;
  bool follow(uint32_t index, size_t* target) const;
  uint8_t type(uint32_t index) const { return bytes_[types_ + index]; }

  const uint8_t* bytes_ = nullptr;
  size_t size_ = 0;
  size_t values_ = 0;  // offset of the first value
  size_t types_ = 0;   // offset of the first value's type
  size_t keys_ = 0;    // offset of the first key's offset
  uint32_t count_ = 0;
  uint8_t width_ = 1;  // bytes of a value
  uint8_t key_width_ = 1;
};

}  // namespace split_device

#endif  // SPLIT_DEVICE_FLEX_MAP_H_
