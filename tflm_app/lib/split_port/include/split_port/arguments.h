// SPDX-License-Identifier: Apache-2.0
// Looking up "key=value" arguments; shared by the ports that have arguments.
#ifndef SPLIT_PORT_ARGUMENTS_H_
#define SPLIT_PORT_ARGUMENTS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace split_port {

// If `word` (not zero-terminated, `size` long) is "key=value", copies the value and a final zero.
inline bool match_argument(const char* word, size_t size, const char* key, char* to,
                           size_t capacity) {
  const size_t key_size = std::strlen(key);
  if (size <= key_size || std::memcmp(word, key, key_size) != 0 || word[key_size] != '=') {
    return false;
  }
  const size_t value_size = size - key_size - 1;
  if (value_size >= capacity) return false;
  std::memcpy(to, word + key_size + 1, value_size);
  to[value_size] = '\0';
  return true;
}

// A decimal number with an optional sign and nothing behind it; returns false for anything else.
inline bool parse_decimal(const char* text, int32_t* value) {
  const bool negative = *text == '-';
  if (negative) ++text;
  if (*text == '\0') return false;
  int64_t number = 0;
  for (; *text != '\0'; ++text) {
    if (*text < '0' || *text > '9') return false;
    number = number * 10 + (*text - '0');
    if (number > INT32_MAX) return false;
  }
  *value = static_cast<int32_t>(negative ? -number : number);
  return true;
}

}  // namespace split_port

#endif  // SPLIT_PORT_ARGUMENTS_H_
