// SPDX-License-Identifier: Apache-2.0
// Any Arduino stream (a UART with the core's own buffers, USB) as a byte stream.
#ifndef SPLIT_PORT_ARDUINO_STREAM_LINK_H_
#define SPLIT_PORT_ARDUINO_STREAM_LINK_H_

#include <Arduino.h>

#include "links.h"

namespace split_port::arduino {

template <typename Serial>
class StreamLink final : public CountedStream {
 public:
  explicit StreamLink(Serial& serial) : serial_(serial) {}

  size_t read(split_core::MutableBytes to) override {
    const int available = serial_.available();
    if (available <= 0) return 0;
    size_t count = static_cast<size_t>(available);
    if (count > to.size()) count = to.size();
    for (size_t index = 0; index < count; ++index) {
      to[index] = static_cast<uint8_t>(serial_.read());
    }
    counters_.received_bytes += count;
    return count;
  }

  size_t write(split_core::ConstBytes from) override {
    // Never more than fits: write() would wait for the wire.
    const int room = serial_.availableForWrite();
    if (room <= 0 || from.empty()) return 0;
    size_t count = static_cast<size_t>(room);
    if (count > from.size()) count = from.size();
    count = serial_.write(from.data(), count);
    counters_.sent_bytes += count;
    return count;
  }

  LinkCounters counters() const override { return counters_; }

 private:
  Serial& serial_;
  LinkCounters counters_;
};

}  // namespace split_port::arduino

#endif  // SPLIT_PORT_ARDUINO_STREAM_LINK_H_
