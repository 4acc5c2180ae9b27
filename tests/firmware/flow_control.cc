// SPDX-License-Identifier: Apache-2.0
// The least image that opens a bare-metal port's UARTs, for tests/firmware/bare_chip.py.
#if defined(TEST_STM32F405)
#include "usart.h"
#else
#include "uart.h"
#endif

#include "split_port/port.h"

namespace {

#if defined(TEST_STM32F405)
using namespace split_port::stm32f405;
Usart g_ports[kLinkCount];
void begin_ports() {
  constexpr Clocks clocks = {168'000'000, 42'000'000, 84'000'000};
  for (uint32_t index = 0; index < kLinkCount; ++index) {
    g_ports[index].begin(kUsarts[index], clocks, kBauds[index]);
  }
}
#else
using namespace split_port::rp2040;
Uart g_ports[kUartCount];
void begin_ports() {
  for (uint32_t index = 0; index < kUartCount; ++index) {
    g_ports[index].begin(kUarts[index], 125'000'000, SPLIT_PORT_BAUD);
  }
}
#endif

void entry() {
  begin_ports();
  split_app_main();
}

void fault() { split_app_main(); }

}  // namespace

extern "C" {
extern const void* const split_port_vectors[4];
const void* const split_port_vectors[4] = {reinterpret_cast<void*>(0x20008000),
                                           reinterpret_cast<void*>(entry), nullptr,
                                           reinterpret_cast<void*>(fault)};
}

[[gnu::noinline]] int split_app_main() {
  while (true) {
  }
}
