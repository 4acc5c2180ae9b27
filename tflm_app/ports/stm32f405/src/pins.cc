// SPDX-License-Identifier: Apache-2.0
#include "pins.h"

#include "registers.h"

namespace split_port::stm32f405 {
namespace {

constexpr uint32_t kMode = 0x00;
constexpr uint32_t kSpeed = 0x08;
constexpr uint32_t kPull = 0x0C;
constexpr uint32_t kAlternateLow = 0x20;

constexpr uint32_t kAlternateMode = 2;
constexpr uint32_t kFastSpeed = 2;  // 50 MHz
constexpr uint32_t kPullUp = 1;
constexpr uint32_t kUsart1To3 = 7;  // alternate function

}  // namespace

void begin_usart_pin(char port, uint8_t pin) {
  const auto index = static_cast<uint32_t>(port - 'A');
  const uint32_t base = kGpioA + index * kGpioStep;
  enable_clock(kRccAhb1enr, index);
  const uint32_t alternate = base + kAlternateLow + 4 * (pin / 8u);
  change(alternate, 0xFu << (pin % 8u * 4), kUsart1To3 << (pin % 8u * 4));
  change(base + kSpeed, 3u << (pin * 2), kFastSpeed << (pin * 2));
  change(base + kPull, 3u << (pin * 2), kPullUp << (pin * 2));
  change(base + kMode, 3u << (pin * 2), kAlternateMode << (pin * 2));
}

}  // namespace split_port::stm32f405
