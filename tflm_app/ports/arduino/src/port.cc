// SPDX-License-Identifier: Apache-2.0
// split_port/port.h on Arduino cores. USB (Serial) is the console until the application takes it
// as the link to the host computer; from then on text would only disturb frames.
#include "split_port/port.h"

#include "stream_link.h"

#include <Arduino.h>

#include "chip_id.h"
#include "entropy.h"
#include "links.h"
#include "split_port/board_facts.h"
#include "split_port/console_buffer.h"
#include "split_port/last_words.h"
#include "watchdog.h"
#include "wiring.h"

namespace split_port {
namespace {

using arduino::kNeighbourCount;

arduino::StreamLink<arduino::UsbSerial> g_host(arduino::host_serial());
bool g_host_taken = false;

constexpr size_t kConsoleBytes = 512;
constexpr uint32_t kLastWordsMs = 5'000;
constexpr uint32_t kRepeatMs = 1'000;
ConsoleBuffer<kConsoleBytes> g_console;

LastWords g_last_words;

size_t send_console(split_core::ConstBytes from) {
  return arduino::write_some(arduino::host_serial(), from);
}

class ArduinoClock final : public split_core::Clock {
 public:
  uint32_t now_us() override { return static_cast<uint32_t>(micros()); }
  void idle() override {
    if (!g_host_taken) g_console.pump(send_console);
    yield();
  }

  // Call at least once per turn of micros(), 71 minutes.
  uint64_t ticks() {
    total_us_ += now_us() - static_cast<uint32_t>(total_us_);
    return total_us_;
  }

 private:
  uint64_t total_us_ = 0;
};

ArduinoClock g_clock;

}  // namespace

size_t link_count() { return kNeighbourCount + 1; }
size_t host_link() { return kNeighbourCount; }

split_core::ByteStream& link(size_t index) {
  if (index < kNeighbourCount) return arduino::neighbour(index);
  g_host_taken = true;
  return g_host;
}

LinkCounters link_counters(size_t index) {
  return index < kNeighbourCount ? arduino::neighbour(index).counters() : g_host.counters();
}

split_core::Clock& clock() { return g_clock; }
uint64_t ticks() { return g_clock.ticks(); }
uint32_t ticks_per_second() { return 1'000'000; }

uint32_t boot_nonce() { return arduino::random_word(); }

void console_write(const char* text, size_t size) {
  if (g_host_taken) {
    g_last_words.remember(text, size);
    return;
  }
  g_console.write(text, size);
  g_console.pump(send_console);
}

uint32_t console_lost_bytes() { return g_console.lost_bytes(); }

bool unique_id(uint8_t* to) { return arduino::chip_id(to); }

bool argument(const char*, char*, size_t) { return false; }

// The link to the host, if there was one, is over: the console is the console again.
void stop(int status) {
  g_host_taken = false;
  const bool is_well = status == 0;
  for (uint32_t ms = 0; is_well || ms < kLastWordsMs; ms += kRepeatMs) {
    if (!is_well) g_last_words.say(status);
    for (uint32_t turn = 0; turn < kRepeatMs; ++turn) {
      feed_watchdog();
      g_clock.idle();
      delay(1);
    }
  }
  arduino::restart();
}

}  // namespace split_port

#if defined(ARDUINO_ARCH_ESP32)
SET_LOOP_TASK_STACK_SIZE(16 * 1024)  // what setup() runs on; the core's 8 KB are little for TFLM
#endif

void setup() {
#if defined(ARDUINO_ARCH_ESP32) && !ARDUINO_USB_CDC_ON_BOOT
  // Both have to come before begin(); the core's own 256 bytes hold no frame.
  Serial.setRxBufferSize(SPLIT_PORT_RX_BYTES);
  Serial.setTxBufferSize(SPLIT_PORT_TX_BYTES);
#endif
  Serial.begin(SPLIT_PORT_HOST_BAUD);
  split_port::arduino::begin_neighbours();
  split_port::stop(split_app_main());
}

void loop() {}
