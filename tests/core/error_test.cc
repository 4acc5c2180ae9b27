// SPDX-License-Identifier: Apache-2.0
// Errors in words: every code has its own, and no line leaves its buffer.
#include <set>
#include <string>

#include "check.h"
#include "split_core/error.h"

namespace error_test {

using namespace split_core;

std::string words_of(const Error& error, size_t capacity = 200) {
  std::string line(capacity + 1, '#');
  const size_t length = format_error(error, &line[0], capacity);
  EXPECT_EQ(line[capacity], '#');
  return line.substr(0, length);
}

Error error_of(uint8_t code) {
  Error error;
  error.code = static_cast<ErrorCode>(code);
  return error;
}

}  // namespace error_test

using namespace error_test;

TEST(every_code_has_words_of_its_own) {
  std::set<std::string> seen;
  for (int code = 0; code < 256; ++code) {
    const std::string words = words_of(error_of(static_cast<uint8_t>(code)));
    if (words != "unknown error") EXPECT(seen.insert(words).second);
  }
  EXPECT_EQ(seen.size(), 18u);  // as many as error.h has
  EXPECT_TEXT(words_of(Error()).c_str(), "no error");
}

TEST(words_name_what_is_known) {
  Error error = error_of(static_cast<uint8_t>(ErrorCode::kTimeout));
  error.rank = 12;
  EXPECT_TEXT(words_of(error).c_str(), "rank 12 did not deliver in time");
  error.channel = 65534;
  EXPECT_TEXT(words_of(error).c_str(), "rank 12 (channel 65534) did not deliver in time");
  error.link = 0;
  error.reporter = 3;
  EXPECT_TEXT(words_of(error).c_str(),
              "rank 12 (link 0, channel 65534) did not deliver in time [seen by rank 3]");
}

TEST(words_are_cut_to_their_buffer) {
  Error error = error_of(static_cast<uint8_t>(ErrorCode::kTimeout));
  error.rank = 12;
  const std::string whole = words_of(error);
  for (size_t capacity = 0; capacity <= whole.size() + 1; ++capacity) {
    const size_t room = capacity == 0 ? 0 : capacity - 1;
    EXPECT(words_of(error, capacity) == whole.substr(0, room));
  }
}
