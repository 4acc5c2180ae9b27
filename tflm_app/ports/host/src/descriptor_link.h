// SPDX-License-Identifier: Apache-2.0
// A file descriptor (socket, pty, pipe pair) as a byte stream.
#ifndef SPLIT_PORT_HOST_DESCRIPTOR_LINK_H_
#define SPLIT_PORT_HOST_DESCRIPTOR_LINK_H_

#include <poll.h>

#include "split_core/byte_stream.h"
#include "split_port/port.h"

namespace split_port::host {

class DescriptorLink final : public split_core::ByteStream {
 public:
  // Opens "fd:N" (inherited), "tcp:HOST:PORT" (connects) or the path of a serial port or pty.
  // Returns nullptr, or a message for the user that says what failed.
  const char* open(const char* where);

  size_t read(split_core::MutableBytes to) override;
  size_t write(split_core::ConstBytes from) override;

  // What poll(2) should wait for; an unused or closed link waits for nothing.
  pollfd interest() const;
  const LinkCounters& counters() const { return counters_; }

 private:
  int descriptor_ = -1;
  bool peer_closed_ = false;
  bool wants_to_write_ = false;
  LinkCounters counters_;
};

}  // namespace split_port::host

#endif  // SPLIT_PORT_HOST_DESCRIPTOR_LINK_H_
