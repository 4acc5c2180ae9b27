// SPDX-License-Identifier: Apache-2.0
// The watchdog of port.h, and why the board began to run, by the chip's registers where a core has no
// functions for them. ESP32: a timer of high priority, since what may feed its task watchdog is the
// task that is watched, and here ticks do; its interrupt watchdog stays on beside it.
#include <atomic>
#include <chrono>  // before Arduino.h, whose macro abs() it does not survive in C++17

#include <Arduino.h>

#include "split_port/port.h"
#include "watchdog.h"

#if defined(ARDUINO_ARCH_MBED)
#include <mbed.h>
#if DEVICE_WATCHDOG
#include <drivers/Watchdog.h>
#endif
#if DEVICE_RESET_REASON
#include <drivers/ResetReason.h>
#endif
#elif defined(ARDUINO_ARCH_ESP32)
#include <esp_system.h>
#include <esp_timer.h>
#endif

namespace split_port {
namespace {

ResetReason first_of(bool watchdog, bool software, bool power, bool button) {
  if (watchdog) return ResetReason::kWatchdog;
  if (software) return ResetReason::kSoftware;
  if (power) return ResetReason::kPower;
  return button ? ResetReason::kButton : ResetReason::kUnknown;
}

#if defined(TEENSYDUINO)

// i.MX RT1060 manual, 57 (WDOG1: half seconds, up to 128 s) and 21.8 (SRC_SRSR).
constexpr uint32_t kStepMs = 500;
constexpr uint32_t kMostMs = 256 * kStepMs;

bool start(uint32_t timeout_ms) {
  CCM_CCGR3 |= CCM_CCGR3_WDOG1(CCM_CCGR_ON);
  WDOG1_WMCR = 0;  // the power-down counter, which would end in 16 s
  const uint32_t steps = (timeout_ms + kStepMs - 1) / kStepMs;
  WDOG1_WCR = WDOG_WCR_WT(steps == 0 ? 0 : steps - 1) | WDOG_WCR_SRS | WDOG_WCR_WDA | WDOG_WCR_WDE;
  return true;
}

void feed() {
  WDOG1_WSR = 0x5555;
  WDOG1_WSR = 0xAAAA;
}

ResetReason read_reason() {
  const uint32_t flags = SRC_SRSR;
  SRC_SRSR = flags;  // written ones clear; else they would be there the next time, too
  return first_of((flags & SRC_SRSR_WDOG_RST_B) != 0, (flags & SRC_SRSR_LOCKUP_SYSRESETREQ) != 0,
                  (flags & SRC_SRSR_IPP_RESET_B) != 0, (flags & SRC_SRSR_IPP_USER_RESET_B) != 0);
}

#elif defined(ARDUINO_ARCH_STM32)

// The independent watchdog: its own oscillator of 32 kHz, divided by 256, counts 12 bits.
#if defined(IWDG1)
#define SPLIT_PORT_IWDG IWDG1
#define SPLIT_PORT_IWDG_FLAG RCC_FLAG_IWDG1RST
#else
#define SPLIT_PORT_IWDG IWDG
#define SPLIT_PORT_IWDG_FLAG RCC_FLAG_IWDGRST
#endif
constexpr uint32_t kTicksPerSecond = 32'000 / 256;
constexpr uint32_t kMostMs = 0xFFF * 1000 / kTicksPerSecond;

bool start(uint32_t timeout_ms) {
  SPLIT_PORT_IWDG->KR = 0xCCCC;
  SPLIT_PORT_IWDG->KR = 0x5555;
  SPLIT_PORT_IWDG->PR = 6;
  SPLIT_PORT_IWDG->RLR = timeout_ms * kTicksPerSecond / 1000;
  // Five cycles of the oscillator; by then it runs even if SR is not looked at.
  for (int turn = 0; turn < 1'000'000 && SPLIT_PORT_IWDG->SR != 0; ++turn) {
  }
  SPLIT_PORT_IWDG->KR = 0xAAAA;
  return true;
}

void feed() { SPLIT_PORT_IWDG->KR = 0xAAAA; }

ResetReason read_reason() {
  const bool watchdog = __HAL_RCC_GET_FLAG(SPLIT_PORT_IWDG_FLAG) != 0;
  const bool software = __HAL_RCC_GET_FLAG(RCC_FLAG_SFTRST) != 0;
  const bool power = __HAL_RCC_GET_FLAG(RCC_FLAG_PORRST) != 0;
  const bool button = __HAL_RCC_GET_FLAG(RCC_FLAG_PINRST) != 0;
  __HAL_RCC_CLEAR_RESET_FLAGS();
  return first_of(watchdog, software, power, button);
}

#elif defined(ARDUINO_ARCH_ESP32)

constexpr uint32_t kMostMs = 1'000'000;
constexpr uint32_t kBitten = 0x7F1A9B33;
RTC_NOINIT_ATTR uint32_t g_bitten;  // a reset leaves it alone; after power has come it is anything
std::atomic<uint32_t> g_left_ms{0};
constexpr uint32_t kPeriodMs = 100;
uint32_t g_timeout_ms = 0;

void on_timer(void*) {
  const uint32_t left_ms = g_left_ms.load(std::memory_order_relaxed);
  g_left_ms.store(left_ms > kPeriodMs ? left_ms - kPeriodMs : 0, std::memory_order_relaxed);
  if (left_ms > kPeriodMs) return;
  g_bitten = kBitten;
  esp_restart();
}

bool start(uint32_t timeout_ms) {
  g_timeout_ms = timeout_ms;
  g_left_ms = timeout_ms;
  esp_timer_create_args_t description = {};
  description.callback = on_timer;
  description.name = "tflsplit_watchdog";
  esp_timer_handle_t timer;
  return esp_timer_create(&description, &timer) == ESP_OK &&
         esp_timer_start_periodic(timer, kPeriodMs * 1000) == ESP_OK;
}

void feed() { g_left_ms.store(g_timeout_ms, std::memory_order_relaxed); }

ResetReason read_reason() {
  const esp_reset_reason_t why = esp_reset_reason();
  const bool bitten = why == ESP_RST_SW && g_bitten == kBitten;
  g_bitten = 0;
  const bool other_watchdog = why == ESP_RST_INT_WDT || why == ESP_RST_TASK_WDT || why == ESP_RST_WDT;
  return first_of(bitten || other_watchdog, why == ESP_RST_SW || why == ESP_RST_PANIC,
                  why == ESP_RST_POWERON || why == ESP_RST_BROWNOUT, why == ESP_RST_EXT);
}

#elif defined(ARDUINO_ARCH_MBED) && DEVICE_WATCHDOG

#if defined(TARGET_RP2040)
constexpr uint32_t kMostMs = 8'388;  // RP2040 data sheet, 4.7: 24 bits, counted twice a microsecond
#else
constexpr uint32_t kMostMs = 100'000;  // nRF52840: 32 bits at 32 kHz
#endif

bool start(uint32_t timeout_ms) { return mbed::Watchdog::get_instance().start(timeout_ms); }
void feed() { mbed::Watchdog::get_instance().kick(); }

#if DEVICE_RESET_REASON

ResetReason read_reason() {
  const reset_reason_t why = mbed::ResetReason::get();
  return first_of(why == RESET_REASON_WATCHDOG, why == RESET_REASON_SOFTWARE,
                  why == RESET_REASON_POWER_ON || why == RESET_REASON_BROWN_OUT,
                  why == RESET_REASON_PIN_RESET);
}

#elif defined(TARGET_NRF52840)

// nRF52840 specification, 5.3.7.9; a boot loader may have cleared it, and no bit means power.
ResetReason read_reason() {
  const uint32_t flags = NRF_POWER->RESETREAS;
  NRF_POWER->RESETREAS = flags;
  return first_of((flags & POWER_RESETREAS_DOG_Msk) != 0, (flags & POWER_RESETREAS_SREQ_Msk) != 0,
                  flags == 0, (flags & POWER_RESETREAS_RESETPIN_Msk) != 0);
}

#else
ResetReason read_reason() { return first_of(false, false, false, false); }
#endif

#else
constexpr uint32_t kMostMs = 0;
bool start(uint32_t) { return false; }
void feed() {}
ResetReason read_reason() { return first_of(false, false, false, false); }
#endif

std::atomic<bool> g_started{false};

}  // namespace

namespace arduino {

void restart() {
#if defined(TEENSYDUINO)
  SCB_AIRCR = 0x05FA0004;
#elif defined(ARDUINO_ARCH_ESP32)
  esp_restart();
#else
  NVIC_SystemReset();
#endif
  for (;;) {
  }
}

}  // namespace arduino

bool start_watchdog(uint32_t timeout_ms) {
  if (timeout_ms == 0 || timeout_ms > kMostMs || !start(timeout_ms)) return false;
  g_started = true;
  return true;
}

void feed_watchdog() {
  if (g_started) feed();
}

// Read once: reading clears what the chip knows.
ResetReason reset_reason() {
  static const ResetReason reason = read_reason();
  return reason;
}

}  // namespace split_port
