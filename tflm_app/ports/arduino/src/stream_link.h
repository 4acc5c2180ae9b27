// SPDX-License-Identifier: Apache-2.0
// Any Arduino stream (a UART with the core's own buffers, USB) as a byte stream.
#ifndef SPLIT_PORT_ARDUINO_STREAM_LINK_H_
#define SPLIT_PORT_ARDUINO_STREAM_LINK_H_

#include <atomic>
#include <chrono>  // before Arduino.h, whose macro abs() it does not survive in C++17

#include <Arduino.h>

#if defined(ARDUINO_ARCH_MBED) && defined(SERIAL_CDC)
#include <USB/PluggableUSBSerial.h>
#endif

#include "links.h"

namespace split_port::arduino {

// The port to the host computer and console. mbed's Serial is a wrapper that hides what we need.
#if defined(ARDUINO_ARCH_MBED) && defined(SERIAL_CDC)
using UsbSerial = ::arduino::USBSerial;
inline UsbSerial& host_serial() { return _SerialUSB; }
#else
using UsbSerial = decltype(Serial);
inline UsbSerial& host_serial() { return Serial; }
#endif

// Never more than fits: write() would wait for the wire.
template <typename Port>
size_t write_some(Port& serial, split_core::ConstBytes from) {
  const int room = serial.availableForWrite();
  if (room <= 0) return 0;
  const size_t count = static_cast<size_t>(room);
  return serial.write(from.data(), count < from.size() ? count : from.size());
}

#if defined(ARDUINO_ARCH_MBED) && defined(SERIAL_CDC)

// mbed's USB has no availableForWrite() of its own (the base class says 0), and its write() waits
// for the computer. One byte less than a packet: behind a full packet the computer's driver waits
// for more before it hands anything on.
inline size_t write_some(UsbSerial& serial, split_core::ConstBytes from) {
  constexpr size_t kMost = CDC_MAX_PACKET_SIZE - 1;
  const size_t count = from.size() < kMost ? from.size() : kMost;
  uint32_t taken = 0;
  serial.send_nb(const_cast<uint8_t*>(from.data()), static_cast<uint32_t>(count), &taken);
  return taken;
}

#endif

// `capacity` is what the core's receive buffer holds. Cores drop what finds no room and do not say so;
// a buffer that is seen full has probably dropped bytes. 0: nothing is lost here (USB waits).
// `has_overrun` says, and forgets, that the hardware lost something; null: nobody can tell.
template <typename Port>
class StreamLink final : public CountedStream {
 public:
  explicit StreamLink(Port& serial, size_t capacity = 0, bool (*has_overrun)() = nullptr)
      : serial_(serial), capacity_(capacity), has_overrun_(has_overrun) {}

  size_t read(split_core::MutableBytes to) override {
    if (has_overrun_ != nullptr && has_overrun_()) add_lost();
    const int available = serial_.available();
    if (available <= 0) return 0;
    size_t count = static_cast<size_t>(available);
    if (capacity_ != 0 && count >= capacity_) add_lost();
    if (count > to.size()) count = to.size();
#if defined(ARDUINO_ARCH_ESP32)
    count = serial_.read(to.data(), count);  // one by one, each byte costs a lock of the driver
#else
    for (size_t index = 0; index < count; ++index) {
      to[index] = static_cast<uint8_t>(serial_.read());
    }
#endif
    counters_.received_bytes += count;
    return count;
  }

  size_t write(split_core::ConstBytes from) override {
    if (from.empty()) return 0;
    const size_t count = write_some(serial_, from);
    counters_.sent_bytes += count;
    return count;
  }

  // Something was lost: also from an interrupt or another thread.
  void add_lost() { lost_.fetch_add(1, std::memory_order_relaxed); }

  LinkCounters counters() const override {
    LinkCounters counters = counters_;
    counters.lost_bytes = lost_.load(std::memory_order_relaxed);
    return counters;
  }

 private:
  Port& serial_;
  size_t capacity_;
  bool (*has_overrun_)();
  LinkCounters counters_;
  std::atomic<uint32_t> lost_{0};
};

}  // namespace split_port::arduino

#endif  // SPLIT_PORT_ARDUINO_STREAM_LINK_H_
