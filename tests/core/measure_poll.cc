// SPDX-License-Identifier: Apache-2.0
// Instructions that Node::poll takes on a Cortex-M7 in QEMU, to answers.bin (kernels/cortex_m.cc),
// one line each: what, instructions in all, polls, bytes of the wires.
//
//     A (0) -- B (1) -- C (2)      B is measured: three links, all up
//               |
//            host (3)
//
// Wires are the rings of our ports; with BYTE_BY_BYTE what UARTs of Arduino cores do instead. With
// ON_ETHERNET the links are streams of an EthernetSegment (docs/ethernet.md) each, and what that
// does is counted as well.
//
// QEMU's -icount shift=0 makes an instruction a nanosecond, so a tick of SysTick is 40 of them.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>

#include "split_core/node.h"
#include "split_port/ring_buffer.h"
#if defined(ON_ETHERNET)
#include <cstring>

#include "split_port/ethernet_segment.h"
#endif

namespace {

using namespace split_core;

constexpr uint32_t kInstructionsPerTick = 40;  // at AN500's 25 MHz
constexpr uint32_t kReload = 0xFFFFFF;
constexpr uint32_t kMessageBytes = 60'000;
constexpr uint32_t kIdlePolls = 2'000;
constexpr size_t kNodes = 4, kWireBytes = 4096, kMemoryBytes = 65'536;

volatile uint32_t* const kSysTick = reinterpret_cast<uint32_t*>(0xE000E010);

uint32_t ticks() { return kReload - kSysTick[2]; }

#if defined(BYTE_BY_BYTE)
// One direction of a wire, byte by byte, as UARTs of Arduino cores take and give theirs.
struct Wire {
  uint8_t bytes[kWireBytes];
  size_t first = 0, count = 0;

  size_t pop(MutableBytes to) {
    size_t done = 0;
    for (; done < to.size() && count > 0; ++done, --count) {
      to[done] = bytes[first];
      first = (first + 1) % kWireBytes;
    }
    return done;
  }
  size_t push(ConstBytes from) {
    size_t done = 0;
    for (; done < from.size() && count < kWireBytes; ++done, ++count) {
      bytes[(first + count) % kWireBytes] = from[done];
    }
    return done;
  }
};
#else
// One direction of a wire: the ring of ports with interrupts or DMA of their own.
using Wire = split_port::RingBuffer<kWireBytes>;
#endif

struct Port final : ByteStream {
  Wire* in = nullptr;
  Wire* out = nullptr;

  size_t read(MutableBytes to) override { return in->pop(to); }
  size_t write(ConstBytes from) override { return out->push(from); }
};

struct Time final : Clock {
  uint32_t now = 0;
  uint32_t now_us() override { return now; }
};

#if defined(ON_ETHERNET)
constexpr uint16_t kMtuBytes = 1024;

// A cable with a controller that copies: what is sent lies with its receiver at once.
struct Controller final : split_port::EthernetDriver {
  Controller() : segment(*this) {}
  bool send(ConstBytes frame) override;
  void poll() override {
    for (; count > 0; --count, first = (first + 1) % kFrames) {
      segment.take(MutableBytes(frames[first], sizes[first]));
    }
  }

  static constexpr size_t kFrames = 32;
  split_port::EthernetSegment<kNodes - 1, 8192, split_port::segment_tx_bytes(kMtuBytes, 4)> segment;
  uint8_t frames[kFrames][split_port::kMaxEthernetBytes];
  size_t sizes[kFrames];
  size_t first = 0, count = 0;
};
Controller g_controllers[kNodes];

bool Controller::send(ConstBytes frame) {
  Controller& to = g_controllers[frame[5]];
  if (to.count == kFrames) return false;
  const size_t last = (to.first + to.count++) % kFrames;
  std::memcpy(to.frames[last], frame.data(), frame.size());
  to.sizes[last] = frame.size();
  return true;
}
#else
constexpr uint16_t kMtuBytes = 512;
#endif

Time g_time;
Wire g_wires[kNodes - 1][2];  // of A, C and the host, towards B and back
Port g_ports[kNodes][3];
LinkConfig g_links[kNodes][3];
alignas(8) uint8_t g_memory[kNodes][kMemoryBytes];
Node* g_nodes[kNodes];
uint8_t g_from[kMessageBytes], g_to[kMessageBytes];

void require(bool condition) {
  if (!condition) std::_Exit(122);
}

void make_node(uint8_t rank) {
  const bool centre = rank == 1;
  constexpr uint8_t kLeaves[] = {0, 2, 3};
  NodeConfig config;
  config.rank = rank;
  config.world_size = 3;
  config.node_count = kNodes;
  config.link_count = centre ? 3 : 1;
  config.mtu_bytes = kMtuBytes;
  config.boot_nonce = 100u + rank;
  config.links = g_links[rank];
  ByteStream* streams[3] = {};
  for (uint8_t i = 0; i < config.link_count; ++i) {
    const uint8_t peer = centre ? kLeaves[i] : 1;
    const uint64_t others = ((uint64_t{1} << kNodes) - 1) & ~rank_bit(rank);
    g_links[rank][i].peer_rank = peer;
    g_links[rank][i].destinations = centre ? rank_bit(peer) : others;
#if defined(ON_ETHERNET)
    split_port::SegmentPlace place;
    place.rank = rank;
    place.world_size = kNodes;
    place.mtu_bytes = kMtuBytes;
    if (i == 0) require(g_controllers[rank].segment.begin(place));
    streams[i] = &g_controllers[rank].segment.stream(peer < rank ? peer : peer - 1u);
    continue;
#endif
    Wire* const pair = g_wires[centre ? i : (rank == 0 ? 0 : rank - 1)];
    Port& port = g_ports[rank][i];
    port.in = &pair[centre ? 0 : 1];
    port.out = &pair[centre ? 1 : 0];
    streams[i] = &port;
  }
  g_nodes[rank] = Node::create(g_memory[rank], kMemoryBytes, config, streams, g_time, nullptr);
  require(g_nodes[rank] != nullptr);
}

StridedBox box_of(uint8_t* bytes) { return StridedBox::flat(bytes, kMessageBytes); }

struct Count {
  uint32_t ticks = 0, polls = 0;
};

// B polls `rest` turns after the others have: what has come meanwhile is seen together.
template <typename Condition>
Count run(Condition done, uint32_t rest) {
  Count count;
  while (!done()) {
    for (uint32_t turn = 0; turn < rest; ++turn) {
      g_time.now += 10;
      for (const uint8_t rank : {0, 2, 3}) g_nodes[rank]->poll();
    }
    const uint32_t before = ticks();
    g_nodes[1]->poll();
    count.ticks += ticks() - before;
    require(++count.polls < 1'000'000);
  }
  return count;
}

bool all_ready() {
  for (Node* node : g_nodes) {
    if (!node->link_error().ok()) return false;
  }
  return true;
}

uint32_t wire_bytes() {
  uint32_t total = 0;
  for (uint8_t i = 0; i < 3; ++i) {
    const LinkCounters& counters = g_nodes[1]->link(i).counters();
    total += counters.bytes_sent + counters.bytes_received;
  }
  return total;
}

void print(const char* what, Count count, uint32_t bytes) {
  std::printf("%s;%u;%u;%u\n", what, static_cast<unsigned>(count.ticks * kInstructionsPerTick),
              static_cast<unsigned>(count.polls), static_cast<unsigned>(bytes));
}

void message(const char* what, uint8_t source, uint8_t receiver) {
  static uint16_t epoch = 0;
  ++epoch;
  for (Node* node : g_nodes) node->communicator().begin_epoch(epoch);
  for (uint32_t i = 0; i < kMessageBytes; ++i) g_from[i] = static_cast<uint8_t>(i * 7 + i / 251);
  require(g_nodes[source]->communicator().post_send(1, rank_bit(receiver), box_of(g_from)).ok());
  require(g_nodes[receiver]->communicator().begin_recv(1, source, box_of(g_to)).ok());
  const uint32_t before = wire_bytes();
  const Count count = run(
      [source, receiver] {
        return g_nodes[receiver]->communicator().recvs_complete() &&
               g_nodes[source]->communicator().all_sends_released();
      },
      4);
  for (uint32_t i = 0; i < kMessageBytes; ++i) require(g_to[i] == g_from[i]);
  print(what, count, wire_bytes() - before);
}

}  // namespace

int main() {
  kSysTick[1] = kReload;
  kSysTick[2] = 0;
  kSysTick[0] = 5;  // on, processor clock, no interrupt
  for (uint8_t rank = 0; rank < kNodes; ++rank) make_node(rank);
  run([] { return all_ready(); }, 1);
  uint32_t turns = 0;
  run([&turns] { return ++turns > 50; }, 1);  // the last acknowledgements
  const uint32_t before = wire_bytes();
  const uint32_t start = ticks();
  for (uint32_t i = 0; i < kIdlePolls; ++i) g_nodes[1]->poll();
  print("idle", {ticks() - start, kIdlePolls}, wire_bytes() - before);
  message("send", 1, 0);
  message("receive", 0, 1);
  message("forward", 0, 2);
  return 0;
}
