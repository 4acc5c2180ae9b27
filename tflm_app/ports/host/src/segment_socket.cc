// SPDX-License-Identifier: Apache-2.0
#include "segment_socket.h"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>

#include "descriptor_link.h"
#include "split_port/arguments.h"

namespace split_port::host {

using split_core::ConstBytes;
using split_core::MutableBytes;

const char* SegmentSocket::open(const char* where) {
  int32_t number;
  const bool is_number = std::strncmp(where, "fd:", 3) == 0 && parse_decimal(where + 3, &number);
  int kind = 0;
  socklen_t size = sizeof kind;
  if (!is_number || getsockopt(number, SOL_SOCKET, SO_TYPE, &kind, &size) != 0 || kind == SOCK_STREAM) {
    return "is no socket of packets; give fd:N";
  }
  descriptor_ = number;
  return nullptr;
}

void SegmentSocket::join(const SegmentPlace& place) {
  if (is_open()) segment_.begin(place);
}

bool SegmentSocket::send(ConstBytes frame) {
  const ssize_t sent = ::send(descriptor_, frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  // With the switch gone, frames are lost as on any cable.
  return sent >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

void SegmentSocket::poll() {
  uint8_t frame[kMaxEthernetBytes];
  while (true) {
    const ssize_t count = ::recv(descriptor_, frame, sizeof frame, MSG_DONTWAIT);
    if (count <= 0) return;
    segment_.take(MutableBytes(frame, static_cast<size_t>(count)));
  }
}

pollfd SegmentSocket::interest() const {
  pollfd wanted{};
  wanted.fd = has_ended_ ? -1 : descriptor_;
  wanted.events = static_cast<short>(POLLIN | (segment_.sent_all() ? 0 : POLLOUT));
  return wanted;
}

void SegmentSocket::notice(const pollfd& happened) {
  has_ended_ = has_ended_ || is_over(happened);
}

}  // namespace split_port::host
