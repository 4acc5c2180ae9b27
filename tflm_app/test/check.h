// SPDX-License-Identifier: Apache-2.0
// Test programs for `pio test`: one line per case, as test_custom_runner.py reads it. No heap and
// no iostream, so that the same program runs on a board.
#ifndef TFLM_APP_TEST_CHECK_H_
#define TFLM_APP_TEST_CHECK_H_

#include <cstdio>

#include "split_port/port.h"

namespace check {

inline char g_reason[160] = "";

inline void fail(const char* file, int line, const char* condition) {
  if (g_reason[0] != '\0') return;  // the first failure of a case tells the most
  const char* name = file;
  for (const char* it = file; *it != '\0'; ++it) {
    if (*it == '/') name = it + 1;
  }
  std::snprintf(g_reason, sizeof g_reason, "%s:%d: not true: %s", name, line, condition);
}

struct Case {
  const char* name;
  void (*run)();
};

inline void report(const char* name) {
  char line[256];
  const bool passed = g_reason[0] == '\0';
  std::snprintf(line, sizeof line, passed ? "PASS %s\n" : "FAIL %s: %s\n", name, g_reason);
  split_port::console_write(line);
  g_reason[0] = '\0';
}

// Runs the cases in order. Always returns 0: PlatformIO reads other statuses as signals.
template <size_t kCount>
int run_all(const Case (&cases)[kCount]) {
  for (const Case& one : cases) {
    one.run();
    report(one.name);
  }
  split_port::console_write("DONE\n");
  return 0;
}

}  // namespace check

#define CHECK(condition)                                        \
  do {                                                          \
    if (!(condition)) check::fail(__FILE__, __LINE__, #condition); \
  } while (false)

#endif  // TFLM_APP_TEST_CHECK_H_
