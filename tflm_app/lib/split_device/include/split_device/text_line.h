// SPDX-License-Identifier: Apache-2.0
// One line of text for people, in memory of a fixed size; longer ones are cut. snprintf would bring
// a formatter and, in newlib, a heap.
#ifndef SPLIT_DEVICE_TEXT_LINE_H_
#define SPLIT_DEVICE_TEXT_LINE_H_

#include <cstddef>
#include <cstdint>

#include "split_device/flex_map.h"

namespace split_device {

class TextLine {
 public:
  static constexpr size_t kCapacity = 160;

  void clear() { size_ = 0, text_[0] = '\0'; }
  TextLine& add(const char* words);
  TextLine& add(int64_t number);
  // In quotes; of a long name the end, which tells more than the beginning. What is not printable
  // ASCII becomes '?'.
  TextLine& add_quoted(const Text& name);

  const char* text() const { return text_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  void put(char letter);

  char text_[kCapacity + 1] = {};
  size_t size_ = 0;
};

}  // namespace split_device

#endif  // SPLIT_DEVICE_TEXT_LINE_H_
