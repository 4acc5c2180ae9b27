// SPDX-License-Identifier: Apache-2.0
// As much of Arduino cores as entropy.cc, links_serial.cc, port.cc and ticks.cc use, on this computer. A
// register is an object, so that what is written to one shows in another; IntervalTimer interrupts by a signal.
#ifndef TESTS_FIRMWARE_FAKE_ARDUINO_ARDUINO_H_
#define TESTS_FIRMWARE_FAKE_ARDUINO_ARDUINO_H_

#include <signal.h>
#include <sys/time.h>

#include <cstdint>
#include <string>

namespace fake {

inline bool generator_works = true;
inline uint32_t next_random = 0x10000000;  // what the generator says, counting up
inline int analog_reads = 0;
inline uint32_t time_us = 0;

struct Register {
  uint32_t (*read)(uint32_t written) = nullptr;
  uint32_t written = 0;
  operator uint32_t() const { return read != nullptr ? read(written) : written; }
  Register& operator=(uint32_t value) {
    written = value;
    return *this;
  }
  Register& operator|=(uint32_t value) { return *this = written | value; }
};

inline uint32_t draw(uint32_t) { return next_random++; }

// A port to the computer: what was given to it, and what came.
struct HostSerial {
  uint32_t baud = 0;
  int room = 1000;
  std::string sent, received;
  void begin(uint32_t rate) { baud = rate; }
  void setRxBufferSize(size_t) {}
  void setTxBufferSize(size_t) {}
  int availableForWrite() const { return room; }
  size_t write(const uint8_t* from, size_t count) {
    sent.append(reinterpret_cast<const char*>(from), count);
    return count;
  }
  int available() const { return static_cast<int>(received.size()); }
  int read() {
    const int first = received.empty() ? -1 : static_cast<uint8_t>(received[0]);
    received.erase(0, 1);
    return first;
  }
  size_t read(uint8_t* to, size_t count) {
    for (size_t index = 0; index < count; ++index) to[index] = static_cast<uint8_t>(read());
    return count;
  }
};

// A serial port with pins: how it was set up, in order.
struct Uart : HostSerial {
  std::string setup;
  Uart() = default;
  Uart(uint32_t rx, uint32_t tx) { note("pins", rx, tx); }
  void note(const char* what, int first, int second) {
    setup += std::string(what) + ' ' + std::to_string(first) + ' ' + std::to_string(second) + "; ";
  }
  void setRtsCts(uint32_t rts, uint32_t cts) { note("RTS CTS", rts, cts); }
  void begin(uint32_t rate) { note("begin", rate, 0); }
  void begin(uint32_t rate, uint32_t, int8_t rx, int8_t tx) {
    note("begin", rate, 0);
    note("pins", rx, tx);
  }
  void setPins(int8_t, int8_t, int8_t cts, int8_t rts) { note("CTS RTS", cts, rts); }
  void setHwFlowCtrlMode(int mode, uint8_t threshold) { note("flow", mode, threshold); }
  void setRxFIFOFull(uint8_t count) { note("full", count, 0); }
  template <typename Handler>
  void onReceiveError(Handler) {}
};

}  // namespace fake

constexpr int A0 = 14;
inline int analogRead(int) {
  ++fake::analog_reads;
  return 512;
}
inline uint32_t micros() { return fake::time_us += 7; }
inline void delayMicroseconds(uint32_t) {}
inline void delay(uint32_t) {}
inline void yield() {}
inline fake::HostSerial Serial;
#define SET_LOOP_TASK_STACK_SIZE(bytes) static_assert((bytes) > 0);

#if defined(__IMXRT1062__)

#define CCM_CCGR_ON 3u
#define CCM_CCGR6_TRNG(on) (static_cast<uint32_t>(on) << 12)
#define TRNG_MCTL_PRGM (1u << 16)
#define TRNG_MCTL_RST_DEF (1u << 6)
#define TRNG_MCTL_ENT_VAL (1u << 10)
#define TRNG_MCTL_ERR (1u << 12)
#define TRNG_MCTL_SAMP_MODE(mode) (static_cast<uint32_t>(mode))

inline fake::Register CCM_CCGR6;
// Words come in run mode, with a clock.
inline fake::Register TRNG_MCTL{[](uint32_t written) {
  const bool runs = CCM_CCGR6 == CCM_CCGR6_TRNG(CCM_CCGR_ON) && (written & TRNG_MCTL_PRGM) == 0;
  if (!fake::generator_works) return written | TRNG_MCTL_ERR;
  return runs ? written | TRNG_MCTL_ENT_VAL : written;
}};
inline fake::Register TRNG_ENT0{fake::draw}, TRNG_ENT15{[](uint32_t) { return 0u; }};

#elif defined(ARDUINO_ARCH_STM32) && !defined(FAKE_CHIP_WITHOUT_GENERATOR)

#define RCC_CR_HSI48ON (1u << 12)
#define RCC_CR_HSI48RDY (1u << 13)
#define RNG_CR_RNGEN (1u << 2)
#define RNG_SR_DRDY (1u << 0)
#define RNG_SR_CEIS (1u << 5)
#define RNG_SR_SEIS (1u << 6)

namespace fake {

inline bool generator_has_clock = false;
inline Register rcc_control{[](uint32_t written) {
  return (written & RCC_CR_HSI48ON) != 0 ? written | RCC_CR_HSI48RDY : written;
}};
inline Register rng_control;
inline Register rng_status{[](uint32_t) {
  const bool clocked = generator_has_clock && (rcc_control & RCC_CR_HSI48RDY) != 0;
  if (!generator_works) return RNG_SR_DRDY | RNG_SR_SEIS;
  return clocked && (rng_control & RNG_CR_RNGEN) != 0 ? RNG_SR_DRDY : 0u;
}};
inline Register rng_data{draw};

struct Rcc {
  Register& CR = rcc_control;
};
struct Rng {
  Register& CR = rng_control;
  Register& SR = rng_status;
  Register& DR = rng_data;
};
inline Rcc rcc;
inline Rng rng;

}  // namespace fake

#define RCC (&fake::rcc)
#define RNG (&fake::rng)
#define __HAL_RCC_RNG_CLK_ENABLE() (fake::generator_has_clock = true)

#endif

#if defined(ARDUINO_ARCH_STM32) || defined(ARDUINO_ARCH_ESP32)

inline fake::Uart Serial1, Serial2;

#endif

#if defined(ARDUINO_ARCH_STM32)

constexpr uint32_t PD3 = 3, PD4 = 4, PD5 = 5, PD6 = 6, PG9 = 109, PG12 = 112, PG14 = 114, PG15 = 115;

#endif

#if defined(ARDUINO_ARCH_ESP32)

enum hardwareSerial_error_t { UART_FIFO_OVF_ERROR, UART_BUFFER_FULL_ERROR };
constexpr uint32_t SERIAL_8N1 = 1;
constexpr int UART_HW_FLOWCTRL_CTS_RTS = 3;

struct FakeEsp {
  uint64_t getEfuseMac() { return 0x0605'0403'0201; }
};
inline FakeEsp ESP;

#endif

#if defined(TEENSYDUINO)

class IntervalTimer {
 public:
  void priority(uint8_t) {}
  bool begin(void (*interrupt)(), uint32_t period_us) {
    handler = interrupt;
    signal(SIGALRM, [](int) { handler(); });
    const timeval period = {0, static_cast<suseconds_t>(period_us)};
    const itimerval timer = {period, period};
    return setitimer(ITIMER_REAL, &timer, nullptr) == 0;
  }

 private:
  static inline void (*handler)() = nullptr;
};

#endif

#endif  // TESTS_FIRMWARE_FAKE_ARDUINO_ARDUINO_H_
