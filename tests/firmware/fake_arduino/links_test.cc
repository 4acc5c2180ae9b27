// SPDX-License-Identifier: Apache-2.0
// How the core's ports to the neighbours are set up, a line each.
#include "links_serial.cc"

#include <cstdio>

int main() {
  split_port::arduino::begin_neighbours();
#if defined(ARDUINO_ARCH_STM32)
  const fake::Uart* const ports[] = {&split_port::arduino::g_previous, &split_port::arduino::g_next};
#else
  const fake::Uart* const ports[] = {&Serial1, &Serial2};
#endif
  for (const fake::Uart* port : ports) std::puts(port->setup.c_str());
}
