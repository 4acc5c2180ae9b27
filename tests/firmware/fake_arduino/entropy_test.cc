// SPDX-License-Identifier: Apache-2.0
// Prints two words of the port's random numbers, and how often the analogue input was read for them;
// then the same with a generator that reports an error.
#include "entropy.h"

#include <Arduino.h>

#include <cstdio>
#include <initializer_list>

int main() {
  for (const bool works : {true, false}) {
    fake::generator_works = works;
    fake::analog_reads = 0;
    const uint32_t first = split_port::arduino::random_word();
    const uint32_t second = split_port::arduino::random_word();
    std::printf("%08x %08x %d\n", first, second, fake::analog_reads);
  }
}
