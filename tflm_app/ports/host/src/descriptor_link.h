// SPDX-License-Identifier: Apache-2.0
// A file descriptor (socket, pty, pipe pair) as a byte stream.
#ifndef SPLIT_PORT_HOST_DESCRIPTOR_LINK_H_
#define SPLIT_PORT_HOST_DESCRIPTOR_LINK_H_

#include <poll.h>

#include "split_core/byte_stream.h"
#include "split_port/port.h"

namespace split_port::host {

// Whether poll(2) found that the other side is gone, with nothing of it left to read.
bool is_over(const pollfd& happened);

class DescriptorLink final : public split_core::ByteStream {
 public:
  // Opens "fd:N" (inherited), "tcp:HOST:PORT" (connects) or the path of a serial port or pty.
  // Returns nullptr, or a message for the user that says what failed.
  const char* open(const char* where);

  size_t read(split_core::MutableBytes to) override;
  size_t write(split_core::ConstBytes from) override;

  // What poll(2) should wait for; an unused or ended link waits for nothing.
  pollfd interest() const;
  // What it found.
  void notice(const pollfd& happened);
  bool is_open() const { return descriptor_ >= 0; }
  bool has_ended() const { return has_ended_; }
  const LinkCounters& counters() const { return counters_; }

 private:
  int descriptor_ = -1;
  bool has_ended_ = false;    // nothing will come any more
  bool takes_bytes_ = true;  // what a peer sent before it went can still be read
  bool wants_to_write_ = false;
  LinkCounters counters_;
};

}  // namespace split_port::host

#endif  // SPLIT_PORT_HOST_DESCRIPTOR_LINK_H_
