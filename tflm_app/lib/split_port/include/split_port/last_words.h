// SPDX-License-Identifier: Apache-2.0
// What a board says at a program's end, when nobody is there to take its exit status.
#ifndef SPLIT_PORT_LAST_WORDS_H_
#define SPLIT_PORT_LAST_WORDS_H_

#include <cstddef>
#include <cstring>

#include "split_port/port.h"

namespace split_port {

class LastWords {
 public:
  // What the console was given while the host had its port; the start of it, if it is long.
  void remember(const char* text, size_t size) {
    const size_t kept = size < sizeof text_ ? size : sizeof text_ - 1;
    std::memcpy(text_, text, kept);
    text_[kept] = '\0';
  }

  // The status and those words, on the console.
  void say(int status) const {
    char text[] = "STOPPED, status 000, the board restarts in a moment. ";
    char* const digits = std::strchr(text, '0');
    for (int index = 2; index >= 0; --index, status /= 10) {
      digits[index] = static_cast<char>('0' + status % 10);
    }
    console_write(text);
    console_write(text_);
    console_write("\n");
  }

 private:
  char text_[96] = "";
};

}  // namespace split_port

#endif  // SPLIT_PORT_LAST_WORDS_H_
