// SPDX-License-Identifier: Apache-2.0
#ifndef SPLIT_PORT_ARDUINO_LINKS_H_
#define SPLIT_PORT_ARDUINO_LINKS_H_

#include "split_core/byte_stream.h"
#include "split_port/port.h"

namespace split_port::arduino {

inline constexpr size_t kNeighbourCount = 2;

// A stream of the board's own making that counts what passes.
class CountedStream : public split_core::ByteStream {
 public:
  virtual LinkCounters counters() const = 0;

 protected:
  ~CountedStream() = default;
};

// Opens the two serial ports. Implemented once per family of Arduino cores:
// links_serial.cc (Teensy, STM32, ESP32), links_pico.cc, links_mbed.cc (Nano 33 BLE),
// links_spi_teensy.cc, links_spi_pico.cc.
void begin_neighbours();
CountedStream& neighbour(size_t index);

}  // namespace split_port::arduino

#endif  // SPLIT_PORT_ARDUINO_LINKS_H_
