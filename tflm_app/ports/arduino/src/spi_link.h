// SPDX-License-Identifier: Apache-2.0
#ifndef SPLIT_PORT_ARDUINO_SPI_LINK_H_
#define SPLIT_PORT_ARDUINO_SPI_LINK_H_

#include "links.h"
#include "split_port/spi_stream.h"

namespace split_port::arduino {

// One end of an SPI link as a neighbour.
template <typename End>
class SpiLink final : public CountedStream {
 public:
  explicit SpiLink(End& end) : end_(end) {}

  size_t read(split_core::MutableBytes to) override { return end_.read(to); }
  size_t write(split_core::ConstBytes from) override { return end_.write(from); }

  // Bytes of a block without a header are counted as if it had been full.
  LinkCounters counters() const override {
    const SpiCounters& counted = end_.counters();
    LinkCounters counters;
    counters.received_bytes = counted.received_bytes;
    counters.sent_bytes = counted.sent_bytes;
    counters.lost_bytes = counted.bad_blocks * static_cast<uint32_t>(kSpiPayloadBytes);
    return counters;
  }

 private:
  End& end_;
};

}  // namespace split_port::arduino

#endif  // SPLIT_PORT_ARDUINO_SPI_LINK_H_
