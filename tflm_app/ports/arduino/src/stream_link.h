// SPDX-License-Identifier: Apache-2.0
// Any Arduino stream (a UART with the core's own buffers, USB) as a byte stream.
#ifndef SPLIT_PORT_ARDUINO_STREAM_LINK_H_
#define SPLIT_PORT_ARDUINO_STREAM_LINK_H_

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

template <typename Port>
class StreamLink final : public CountedStream {
 public:
  explicit StreamLink(Port& serial) : serial_(serial) {}

  size_t read(split_core::MutableBytes to) override {
    const int available = serial_.available();
    if (available <= 0) return 0;
    size_t count = static_cast<size_t>(available);
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

  LinkCounters counters() const override { return counters_; }

 private:
  Port& serial_;
  LinkCounters counters_;
};

}  // namespace split_port::arduino

#endif  // SPLIT_PORT_ARDUINO_STREAM_LINK_H_
