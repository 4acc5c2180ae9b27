// SPDX-License-Identifier: Apache-2.0
// The two things a new board implements: a stream of bytes to each neighbour, and a clock.
#ifndef SPLIT_CORE_BYTE_STREAM_H_
#define SPLIT_CORE_BYTE_STREAM_H_

#include "split_core/span.h"

namespace split_core {

// One full-duplex, ordered stream to one neighbour: a UART, an SPI link with a ready line, a
// socket. It may lose, change or repeat bytes (the link repairs that); it must not reorder them.
// Neither call blocks. A receiver that fills by DMA or interrupt must hold at least
// rx_slots * max_encoded_bytes(mtu_bytes) + 256 bytes: that much may arrive while its owner is
// inside a kernel (the 256 are for polls; see docs/wire_format.md, "Credits"). On a wire that damages
// frames twice as much spares a repetition.
class ByteStream {
 public:
  // Takes up to to.size() received bytes; returns how many.
  virtual size_t read(MutableBytes to) = 0;
  // Queues up to from.size() bytes for sending; returns how many were taken.
  virtual size_t write(ConstBytes from) = 0;

 protected:
  ~ByteStream() = default;
};

class Clock {
 public:
  // Microseconds since any moment; wraps after 71.6 minutes. Only differences are used.
  virtual uint32_t now_us() = 0;
  // Called by the blocking waits between two polls: sleep until an interrupt, yield, or nothing.
  virtual void idle() {}

 protected:
  ~Clock() = default;
};

}  // namespace split_core

#endif  // SPLIT_CORE_BYTE_STREAM_H_
