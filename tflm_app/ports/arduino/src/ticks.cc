// SPDX-License-Identifier: Apache-2.0
// start_ticks() of port.h: from a timer's interrupt on cores without an operating system (Teensy,
// STM32), from a thread of high priority on those with one (mbed, ESP32). Either way the interrupts
// of the serial ports come first, so no byte is lost for a tick.
#include <atomic>
#include <chrono>  // before Arduino.h, whose macro abs() it does not survive in C++17

#include <Arduino.h>

#include "split_port/port.h"

#if defined(ARDUINO_ARCH_MBED)
#include <mbed.h>
#elif defined(ARDUINO_ARCH_ESP32)
#include <esp_timer.h>
#endif

namespace split_port {
namespace {

void (*g_tick)() = nullptr;

#if defined(TEENSYDUINO) || defined(ARDUINO_ARCH_STM32)

volatile bool g_ticking = false;

// An interrupt runs to its end before what it interrupted goes on: a flag is lock enough.
void on_timer() {
  if (g_ticking) g_tick();
}

#if defined(TEENSYDUINO)

constexpr uint8_t kBelowSerialPorts = 224;  // theirs is 64; a smaller number comes first
IntervalTimer g_timer;

bool start_timer(uint32_t period_us) {
  g_timer.priority(kBelowSerialPorts);
  return g_timer.begin(on_timer, period_us);
}

#else

constexpr uint32_t kBelowSerialPorts = 14;  // theirs is 1; a smaller number comes first

bool start_timer(uint32_t period_us) {
  static HardwareTimer timer(TIM7);  // a basic timer: no pin needs it
  timer.setOverflow(period_us, MICROSEC_FORMAT);
  timer.setInterruptPriority(kBelowSerialPorts, 0);
  timer.attachInterrupt(on_timer);
  timer.resume();
  return true;
}

#endif

// The fences keep what the caller reads and writes on its side of the flag: only other volatile
// accesses would stay there by themselves, and with link-time optimization these are inlined.
void hold() {
  g_ticking = false;
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

void let_go() {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  g_ticking = true;
}

#elif defined(ARDUINO_ARCH_MBED)

constexpr uint32_t kDue = 1;
constexpr uint32_t kStackBytes = 2048;

rtos::Mutex& mutex() {
  static rtos::Mutex mutex;
  return mutex;
}

rtos::EventFlags& due() {
  static rtos::EventFlags flags;
  return flags;
}

void run_ticks() {
  while (true) {
    due().wait_any(kDue);
    mutex().lock();
    g_tick();
    mutex().unlock();
  }
}

bool start_timer(uint32_t period_us) {
  static rtos::Thread thread(osPriorityHigh, kStackBytes);
  static mbed::Ticker ticker;
  ticker.attach([] { due().set(kDue); }, std::chrono::microseconds(period_us));
  return thread.start(run_ticks) == osOK;
}

void hold() { mutex().lock(); }
void let_go() { mutex().unlock(); }

#elif defined(ARDUINO_ARCH_ESP32)

SemaphoreHandle_t g_mutex = nullptr;

// Runs in the timer service's task, which must not wait: a tick that comes during a SEND or RECV
// is left out.
void on_timer(void*) {
  if (xSemaphoreTake(g_mutex, 0) != pdTRUE) return;
  g_tick();
  xSemaphoreGive(g_mutex);
}

bool start_timer(uint32_t period_us) {
  esp_timer_create_args_t description = {};
  description.callback = on_timer;
  description.name = "tflsplit";
  description.skip_unhandled_events = true;  // late ticks are not made up for
  esp_timer_handle_t timer;
  return esp_timer_create(&description, &timer) == ESP_OK &&
         esp_timer_start_periodic(timer, period_us) == ESP_OK;
}

void hold() { xSemaphoreTake(g_mutex, portMAX_DELAY); }
void let_go() { xSemaphoreGive(g_mutex); }

#else
#error "This Arduino core has no timer yet: see docs/adding_a_board.md."
#endif

}  // namespace

bool start_ticks(void (*tick)(), uint32_t period_us) {
  g_tick = tick;
#if defined(ARDUINO_ARCH_ESP32)
  g_mutex = xSemaphoreCreateMutex();
  if (g_mutex == nullptr) return false;
#endif
  hold();
  return start_timer(period_us);
}

void pause_ticks() { hold(); }
void resume_ticks() { let_go(); }

}  // namespace split_port
