// SPDX-License-Identifier: Apache-2.0
// port.cc on a pretended core: the console gives way to the host, waits for nobody, and the board says
// why it ends. Exit code 1, and what failed, if not.
#include "port.cc"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

namespace {

int g_failures = 0;
int g_fed = 0;
bool g_neighbours_begun = false;

void expect(bool holds, const char* what) {
  if (holds) return;
  std::printf("FAIL %s\n", what);
  ++g_failures;
}

// What the computer got, and forgets.
std::string heard() { return std::exchange(Serial.sent, ""); }

class Nowhere final : public split_port::arduino::CountedStream {
 public:
  size_t read(split_core::MutableBytes) override { return 0; }
  size_t write(split_core::ConstBytes from) override { return from.size(); }
  split_port::LinkCounters counters() const override { return {1, 2, 3}; }
} g_neighbour;

split_core::ConstBytes bytes_of(const char* text) {
  return split_core::ConstBytes(reinterpret_cast<const uint8_t*>(text), std::strlen(text));
}

void check_console() {
  split_port::console_write("hello\n");
  expect(heard() == "hello\n", "the console is the host's port until the application takes it");
  Serial.room = 0;
  for (int line = 0; line < 100; ++line) split_port::console_write("nobody reads this\n");
  expect(heard().empty(), "a full port is given nothing");
  const uint32_t lost = split_port::console_lost_bytes();
  expect(lost > 0 && lost % 18 == 0, "what found no room is counted, line by line");
  Serial.room = 1000;
  split_port::clock().idle();
  expect(heard().size() == 1800 - lost, "what waited leaves when there is room");
}

void check_host() {
  split_core::ByteStream& host = split_port::link(split_port::host_link());
  split_port::console_write("a last word");
  expect(heard().empty(), "no text between frames");
  Serial.received = "frame";
  uint8_t got[8] = {};
  expect(host.read(split_core::MutableBytes(got, 8)) == 5 && got[4] == 'e', "bytes of the host");
  expect(host.write(bytes_of("answer")) == 6 && heard() == "answer", "bytes to the host");
  Serial.room = 2;
  expect(host.write(bytes_of("answer")) == 2 && heard() == "an", "no more than fits");
  Serial.room = 1000;
  const split_port::LinkCounters counters = split_port::link_counters(split_port::host_link());
  expect(counters.received_bytes == 5 && counters.sent_bytes == 8, "the host's link is counted");
  expect(split_port::link_counters(0).lost_bytes == 3, "a neighbour counts for itself");
  expect(split_port::link_count() == 3, "two neighbours and the host");
}

}  // namespace

namespace split_port {

void feed_watchdog() { ++g_fed; }

namespace arduino {

void begin_neighbours() { g_neighbours_begun = true; }
CountedStream& neighbour(size_t) { return g_neighbour; }
uint32_t random_word() { return 7; }
void restart() {
  const std::string words = heard();
  expect(words.find("STOPPED, status 042") != std::string::npos, "the status is said");
  expect(words.find("a last word") != std::string::npos, "and the last word");
  expect(g_fed >= 5'000, "the watchdog waits until all is said");
  std::puts(g_failures == 0 ? "PASS" : "FAIL");
  std::exit(g_failures == 0 ? 0 : 1);
}

}  // namespace arduino
}  // namespace split_port

int split_app_main() {
  expect(Serial.baud == SPLIT_PORT_HOST_BAUD, "the host's port has its rate");
  expect(g_neighbours_begun, "the neighbours' ports are open");
  expect(split_port::boot_nonce() == 7, "the nonce is the chip's");
  check_console();
  check_host();
  return 42;
}

int main() {
  setup();
  return 1;
}
