// SPDX-License-Identifier: Apache-2.0
// The format: https://flatbuffers.dev/internals/#flexbuffers
#include "split_device/flex_map.h"

#include <cstring>

namespace split_device {
namespace {

// A packed type: the kind in the upper six bits, log2 of a width in the lower two.
enum Kind : uint8_t {
  kInt = 1,
  kUint = 2,
  kString = 5,
  kIndirectInt = 6,
  kIndirectUint = 7,
  kMap = 9,
  kVectorInt = 11,
  kVectorUint = 12,
};

Kind kind_of(uint8_t packed) { return static_cast<Kind>(packed >> 2); }
uint8_t width_of(uint8_t packed) { return static_cast<uint8_t>(1u << (packed & 3)); }

uint64_t load(const uint8_t* from, uint8_t width) {
  if (width == 1) return from[0];  // nearly always: each inference reads the options of its SENDs and RECVs
  uint64_t value = 0;
  for (uint8_t i = 0; i < width; ++i) value |= uint64_t{from[i]} << (8 * i);
  return value;
}

int64_t load_signed(const uint8_t* from, uint8_t width) {
  if (width == 1) return static_cast<int8_t>(from[0]);
  const uint8_t spare = static_cast<uint8_t>(64 - 8 * width);
  return static_cast<int64_t>(load(from, width) << spare) >> spare;
}

}  // namespace

// Offsets count back from where they lie. `at` has `width` bytes within the buffer.
inline bool FlexMap::read_offset(size_t at, uint8_t width, size_t* target) const {
  const uint64_t back = load(bytes_ + at, width);
  if (back > at) return false;
  *target = static_cast<size_t>(at - back);
  return true;
}

int64_t IntVector::operator[](uint32_t index) const {
  const uint8_t* const at = data_ + static_cast<size_t>(index) * width_;
  return is_signed_ ? load_signed(at, width_) : static_cast<int64_t>(load(at, width_));
}

//  ... keys | keys offset, keys width, count | values | their types | ... | root, type, width
bool FlexMap::open(const void* bytes, size_t size, FlexMap* map) {
  *map = FlexMap();
  if (bytes == nullptr || size < 3) return false;
  map->bytes_ = static_cast<const uint8_t*>(bytes);
  map->size_ = size;
  const uint8_t root_width = map->bytes_[size - 1];
  const uint8_t packed = map->bytes_[size - 2];
  if (root_width != 1 && root_width != 2 && root_width != 4 && root_width != 8) return false;
  if (kind_of(packed) != kMap || root_width > size - 2) return false;
  size_t values = 0;
  if (!map->read_offset(size - 2 - root_width, root_width, &values)) return false;
  const uint8_t width = width_of(packed);
  uint32_t count = 0;
  if (values < size_t{3} * width || !map->read_size(values, width, &count)) return false;
  if (size - values - size_t{count} * width < count) return false;  // no room for the types
  const uint64_t key_width = load(map->bytes_ + values - 2 * width, width);
  if (key_width != 1 && key_width != 2 && key_width != 4 && key_width != 8) return false;
  map->width_ = width;
  map->key_width_ = static_cast<uint8_t>(key_width);
  map->values_ = values;
  map->types_ = values + size_t{count} * width;
  if (!map->read_offset(values - 3 * width, width, &map->keys_)) return false;
  uint32_t keys = 0;
  if (!map->read_size(map->keys_, map->key_width_, &keys) || keys != count) return false;
  map->count_ = count;
  return true;
}

// The count before a vector (or string), if its elements lie within the buffer.
bool FlexMap::read_size(size_t vector, uint8_t width, uint32_t* count) const {
  if (vector < width || vector > size_) return false;
  const uint64_t elements = load(bytes_ + vector - width, width);
  if (elements > (size_ - vector) / width) return false;
  *count = static_cast<uint32_t>(elements);
  return true;
}

const char* FlexMap::key(uint32_t index) const {
  size_t at = 0;
  if (!read_offset(keys_ + size_t{index} * key_width_, key_width_, &at)) return nullptr;
  const bool ends = std::memchr(bytes_ + at, 0, size_ - at) != nullptr;
  return ends ? reinterpret_cast<const char*>(bytes_ + at) : nullptr;
}

// Keys are compared where they lie: key() looks for the end of each, and operators read their options in every
// inference.
uint32_t FlexMap::find(const char* wanted) const {
  const auto first = static_cast<uint8_t>(wanted[0]);
  for (uint32_t index = 0; index < count_; ++index) {
    size_t at = 0;
    if (!read_offset(keys_ + size_t{index} * key_width_, key_width_, &at)) continue;
    if (at >= size_ || bytes_[at] != first) continue;
    for (const char* next = wanted; bytes_[at] == static_cast<uint8_t>(*next); ++next) {
      if (*next == 0) return index;
      if (++at == size_) break;
    }
  }
  return count_;
}

bool FlexMap::follow(uint32_t index, size_t* target) const {
  return read_offset(values_ + size_t{index} * width_, width_, target);
}

bool FlexMap::integer(const char* wanted, int64_t* value) const {
  const uint32_t index = find(wanted);
  if (index == count_) return false;
  const Kind kind = kind_of(type(index));
  size_t at = values_ + size_t{index} * width_;
  uint8_t width = width_;
  if (kind == kIndirectInt || kind == kIndirectUint) {
    width = width_of(type(index));
    if (!follow(index, &at) || size_ - at < width) return false;
  } else if (kind != kInt && kind != kUint) {
    return false;
  }
  const bool is_signed = kind == kInt || kind == kIndirectInt;
  *value = IntVector(bytes_ + at, 1, width, is_signed)[0];
  return true;
}

bool FlexMap::integers(const char* wanted, IntVector* value) const {
  const uint32_t index = find(wanted);
  if (index == count_) return false;
  const Kind kind = kind_of(type(index));
  if (kind != kVectorInt && kind != kVectorUint) return false;
  const uint8_t width = width_of(type(index));
  size_t at = 0;
  uint32_t count = 0;
  if (!follow(index, &at) || !read_size(at, width, &count)) return false;
  *value = IntVector(bytes_ + at, count, width, kind == kVectorInt);
  return true;
}

bool FlexMap::text(const char* wanted, Text* value) const {
  const uint32_t index = find(wanted);
  if (index == count_ || kind_of(type(index)) != kString) return false;
  const uint8_t width = width_of(type(index));
  size_t at = 0;
  if (!follow(index, &at) || at < width) return false;
  const uint64_t length = load(bytes_ + at - width, width);  // bytes, whatever the width
  if (length > size_ - at) return false;
  value->data = reinterpret_cast<const char*>(bytes_ + at);
  value->size = static_cast<uint32_t>(length);
  return true;
}

}  // namespace split_device
