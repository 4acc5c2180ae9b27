// SPDX-License-Identifier: Apache-2.0
#include "split_device/text_line.h"

namespace split_device {
namespace {

constexpr uint32_t kMostOfAName = 60;

}  // namespace

void TextLine::put(char letter) {
  if (size_ == kCapacity) return;
  text_[size_++] = letter;
  text_[size_] = '\0';
}

TextLine& TextLine::add(const char* words) {
  while (*words != '\0') put(*words++);
  return *this;
}

TextLine& TextLine::add(int64_t number) {
  char digits[20];
  size_t count = 0;
  uint64_t rest = static_cast<uint64_t>(number);
  if (number < 0) {
    put('-');
    rest = 0 - rest;
  }
  do {
    digits[count++] = static_cast<char>('0' + rest % 10);
    rest /= 10;
  } while (rest > 0);
  while (count > 0) put(digits[--count]);
  return *this;
}

TextLine& TextLine::add_quoted(const Text& name) {
  uint32_t from = 0;
  put('\'');
  if (name.size > kMostOfAName) {
    from = name.size - kMostOfAName;
    add("...");
  }
  for (uint32_t i = from; i < name.size; ++i) {
    const char letter = name.data[i];
    put(letter >= ' ' && letter <= '~' ? letter : '?');
  }
  put('\'');
  return *this;
}

}  // namespace split_device
