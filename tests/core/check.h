// SPDX-License-Identifier: Apache-2.0
// The least that a unit test needs. Also meant for emulated boards, so no iostream.
#ifndef TESTS_CORE_CHECK_H_
#define TESTS_CORE_CHECK_H_

#include <cstdio>
#include <cstring>

struct TestCase {
  const char* name;
  void (*run)();
  TestCase* next;
  static TestCase*& first() {
    static TestCase* head = nullptr;
    return head;
  }
  static int& failures() {
    static int count = 0;
    return count;
  }
  TestCase(const char* test_name, void (*body)()) : name(test_name), run(body), next(first()) {
    first() = this;
  }
};

#define TEST(test_name)                                                    \
  static void test_##test_name();                                          \
  static TestCase test_case_##test_name(#test_name, test_##test_name);     \
  static void test_##test_name()

#define EXPECT(condition)                                                       \
  do {                                                                          \
    if (!(condition)) {                                                         \
      ++TestCase::failures();                                                   \
      std::printf("%s:%d: expected %s\n", __FILE__, __LINE__, #condition);      \
    }                                                                           \
  } while (false)

#define EXPECT_EQ(left, right)                                                             \
  do {                                                                                     \
    const auto left_value = (left);                                                        \
    const auto right_value = (right);                                                      \
    if (!(left_value == right_value)) {                                                    \
      ++TestCase::failures();                                                              \
      std::printf("%s:%d: %s is %lld, expected %lld\n", __FILE__, __LINE__, #left,         \
                  static_cast<long long>(left_value), static_cast<long long>(right_value)); \
    }                                                                                      \
  } while (false)

#define EXPECT_TEXT(left, right)                                                        \
  do {                                                                                  \
    if (std::strcmp((left), (right)) != 0) {                                            \
      ++TestCase::failures();                                                           \
      std::printf("%s:%d: \"%s\", expected \"%s\"\n", __FILE__, __LINE__, (left), (right)); \
    }                                                                                   \
  } while (false)

#endif  // TESTS_CORE_CHECK_H_
