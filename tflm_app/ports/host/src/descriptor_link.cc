// SPDX-License-Identifier: Apache-2.0
#include "descriptor_link.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "split_port/arguments.h"

namespace split_port::host {
namespace {

// Returns a connected socket or -1. `where` is HOST:PORT.
int connect_tcp(const char* where) {
  const char* colon = std::strrchr(where, ':');
  char host[128];
  if (colon == nullptr || static_cast<size_t>(colon - where) >= sizeof host) return -1;
  std::memcpy(host, where, static_cast<size_t>(colon - where));
  host[colon - where] = '\0';
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host, colon + 1, &hints, &found) != 0) return -1;
  int descriptor = -1;
  for (const addrinfo* it = found; it != nullptr && descriptor < 0; it = it->ai_next) {
    descriptor = socket(it->ai_family, it->ai_socktype, it->ai_protocol);
    if (descriptor >= 0 && connect(descriptor, it->ai_addr, it->ai_addrlen) != 0) {
      close(descriptor);
      descriptor = -1;
    }
  }
  freeaddrinfo(found);
  const int on = 1;
  if (descriptor >= 0) setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return descriptor;
}

// Raw bytes: a terminal would otherwise translate line ends and swallow control characters.
int open_terminal(const char* path) {
  const int descriptor = ::open(path, O_RDWR | O_NOCTTY);
  termios settings;
  if (descriptor >= 0 && tcgetattr(descriptor, &settings) == 0) {
    cfmakeraw(&settings);
    tcsetattr(descriptor, TCSANOW, &settings);
  }
  return descriptor;
}

}  // namespace

const char* DescriptorLink::open(const char* where) {
  if (std::strncmp(where, "fd:", 3) == 0) {
    int32_t number;
    descriptor_ = parse_decimal(where + 3, &number) ? number : -1;
  } else if (std::strncmp(where, "tcp:", 4) == 0) {
    descriptor_ = connect_tcp(where + 4);
  } else {
    descriptor_ = open_terminal(where);
  }
  const int flags = descriptor_ < 0 ? -1 : fcntl(descriptor_, F_GETFL);
  if (flags < 0 || fcntl(descriptor_, F_SETFL, flags | O_NONBLOCK) != 0) {
    descriptor_ = -1;
    return "cannot be opened; give fd:N, tcp:HOST:PORT or the path of a serial port";
  }
  return nullptr;
}

size_t DescriptorLink::read(split_core::MutableBytes to) {
  if (descriptor_ < 0 || has_ended_ || to.empty()) return 0;
  const ssize_t count = ::read(descriptor_, to.data(), to.size());
  if (count > 0) {
    counters_.received_bytes += static_cast<uint64_t>(count);
    return static_cast<size_t>(count);
  }
  // A vanished peer is not an error here: the link above notices the silence and names the rank.
  if (count == 0 || (errno != EAGAIN && errno != EINTR)) has_ended_ = true;
  return 0;
}

size_t DescriptorLink::write(split_core::ConstBytes from) {
  if (descriptor_ < 0 || !takes_bytes_ || from.empty()) return 0;
  const ssize_t count = ::write(descriptor_, from.data(), from.size());
  const size_t taken = count > 0 ? static_cast<size_t>(count) : 0;
  if (count < 0 && errno != EAGAIN && errno != EINTR) takes_bytes_ = false;
  wants_to_write_ = takes_bytes_ && taken < from.size();
  counters_.sent_bytes += taken;
  return taken;
}

pollfd DescriptorLink::interest() const {
  pollfd wanted{};
  wanted.fd = has_ended_ ? -1 : descriptor_;
  wanted.events = static_cast<short>(POLLIN | (wants_to_write_ ? POLLOUT : 0));
  return wanted;
}

void DescriptorLink::notice(const pollfd& happened) {
  has_ended_ = has_ended_ || is_over(happened);
}

bool is_over(const pollfd& happened) {
  if ((happened.revents & (POLLHUP | POLLERR | POLLNVAL)) == 0) return false;
  int unread_bytes = 0;
  return ioctl(happened.fd, FIONREAD, &unread_bytes) != 0 || unread_bytes == 0;
}

}  // namespace split_port::host
