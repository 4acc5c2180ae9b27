// SPDX-License-Identifier: Apache-2.0
// The smallest program that uses the whole core; tests/core/measure_size.py links it.
#include "split_core/node.h"

namespace {

using namespace split_core;

constexpr NodeConfig make_config() {
  NodeConfig config;
  config.world_size = 8;
  config.node_count = 9;
  config.link_count = 3;  // two ring neighbours and a host
  config.mtu_bytes = 512;
  return config;
}
constexpr NodeConfig kConfig = make_config();

#ifdef PROBE_BUFFER_BYTES
volatile uint8_t memory[Node::buffer_bytes(kConfig)];
#elif defined(PROBE_NODE_BYTES)
volatile uint8_t memory[Node::required_bytes(kConfig)];
#endif

#if !defined(PROBE_EMPTY) && !defined(PROBE_BUFFER_BYTES) && !defined(PROBE_NODE_BYTES)
struct Port final : ByteStream {
  size_t read(MutableBytes) override { return 0; }
  size_t write(ConstBytes from) override { return from.size(); }
};
struct Ticks final : Clock {
  uint32_t now_us() override { return *reinterpret_cast<volatile uint32_t*>(0xE0001004u); }
};
struct Datagrams final : DatagramHandler {
  void on_datagram(uint8_t, uint16_t, ConstBytes) override {}
};
#endif

}  // namespace

extern "C" void entry() {
#if defined(PROBE_BUFFER_BYTES) || defined(PROBE_NODE_BYTES)
  memory[0] = 1;
#elif !defined(PROBE_EMPTY)
  Port ports[3];
  Ticks ticks;
  Datagrams datagrams;
  ByteStream* streams[3] = {&ports[0], &ports[1], &ports[2]};
  auto* const place = reinterpret_cast<void*>(0x20000000u);  // memory is not part of the flash
  NodeConfig config = kConfig;
  LinkConfig links[3];
  config.links = links;
  Node* const node = Node::create(place, 65536, config, streams, ticks, &datagrams);
  const uint32_t shape[4] = {1, 8, 8, 8};
  const uint32_t start[4] = {};
  StridedBox box;
  StridedBox::make(place, shape, start, shape, 1, &box);
  node->run_until_ready(1);
  node->communicator().begin_epoch(1);
  node->communicator().post_send(1, 2, box);
  node->communicator().begin_recv(1, 1, box);
  node->run_until_complete(1);
  node->run_until_released(1, 1);
  node->communicator().send_datagram(1, 1, ConstBytes(box.base, 4));
  const Error error = node->run_until_idle(1);
  format_error(error, static_cast<char*>(place), 80);
#endif
  while (true) {
  }
}
