// SPDX-License-Identifier: Apache-2.0
// A wire between two nodes of one program, polled by turns and never from an interrupt at once.
#ifndef SPLIT_DEVICE_MEMORY_WIRE_H_
#define SPLIT_DEVICE_MEMORY_WIRE_H_

#include <cstring>

#include "split_core/byte_stream.h"

namespace split_device {

class MemoryWire {
 public:
  MemoryWire() : near_(to_near_, to_far_), far_(to_far_, to_near_) {}
  MemoryWire(const MemoryWire&) = delete;
  MemoryWire& operator=(const MemoryWire&) = delete;

  split_core::ByteStream& near_end() { return near_; }
  split_core::ByteStream& far_end() { return far_; }

 private:
  // What is full takes no more, so nothing is ever lost here.
  struct Queue {
    static constexpr size_t kBytes = 1024;
    size_t put(const uint8_t* from, size_t count) {
      size_t taken = 0;
      for (; taken < count && size < kBytes; ++taken, ++size) {
        bytes[(first + size) % kBytes] = from[taken];
      }
      return taken;
    }
    size_t take(uint8_t* to, size_t count) {
      size_t given = 0;
      for (; given < count && size > 0; ++given, --size) {
        to[given] = bytes[first];
        first = (first + 1) % kBytes;
      }
      return given;
    }
    size_t first = 0;
    size_t size = 0;
    uint8_t bytes[kBytes];
  };

  class End final : public split_core::ByteStream {
   public:
    End(Queue& in, Queue& out) : in_(in), out_(out) {}
    size_t read(split_core::MutableBytes to) override { return in_.take(to.data(), to.size()); }
    size_t write(split_core::ConstBytes from) override {
      return out_.put(from.data(), from.size());
    }

   private:
    Queue& in_;
    Queue& out_;
  };

  Queue to_near_;
  Queue to_far_;
  End near_;
  End far_;
};

}  // namespace split_device

#endif  // SPLIT_DEVICE_MEMORY_WIRE_H_
