// SPDX-License-Identifier: Apache-2.0
// The few words of std::span that the core needs; C++17 has none.
#ifndef SPLIT_CORE_SPAN_H_
#define SPLIT_CORE_SPAN_H_

#include <cstddef>
#include <cstdint>

namespace split_core {

template <typename T>
class Span {
 public:
  constexpr Span() = default;
  constexpr Span(T* data, size_t size) : data_(data), size_(size) {}

  constexpr T* data() const { return data_; }
  constexpr size_t size() const { return size_; }
  constexpr bool empty() const { return size_ == 0; }
  constexpr T& operator[](size_t index) const { return data_[index]; }
  constexpr T* begin() const { return data_; }
  constexpr T* end() const { return data_ + size_; }
  constexpr Span subspan(size_t offset) const { return Span(data_ + offset, size_ - offset); }
  constexpr Span first(size_t count) const { return Span(data_, count); }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};

using ConstBytes = Span<const uint8_t>;
using MutableBytes = Span<uint8_t>;

}  // namespace split_core

#endif  // SPLIT_CORE_SPAN_H_
