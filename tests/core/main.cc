// SPDX-License-Identifier: Apache-2.0
// Runs the tests whose names contain the argument, or all; prints one line for each.
#include "check.h"

int main(int count, char** words) {
  int run = 0;
  for (TestCase* test = TestCase::first(); test != nullptr; test = test->next) {
    if (count > 1 && std::strstr(test->name, words[1]) == nullptr) continue;
    const int before = TestCase::failures();
    test->run();
    ++run;
    std::printf("%s %s\n", TestCase::failures() == before ? "PASS" : "FAIL", test->name);
  }
  std::printf("%d tests, %d failed checks\n", run, TestCase::failures());
  return TestCase::failures() == 0 && run > 0 ? 0 : 1;
}
