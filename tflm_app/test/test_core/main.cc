// SPDX-License-Identifier: Apache-2.0
// split_core on the board itself: the check value of its CRC, frames through the codec byte by
// byte, and two nodes of one program joined by queues in memory. The full tests are tests/core.
#include <cstring>

#include "check.h"
#include "split_core/crc32.h"
#include "split_core/node.h"
#include "split_port/ring_buffer.h"

namespace {

using namespace split_core;
using Queue = split_port::RingBuffer<4096>;

class QueueStream final : public ByteStream {
 public:
  QueueStream(Queue& in, Queue& out) : in_(in), out_(out) {}
  size_t read(MutableBytes to) override { return in_.pop(to); }
  size_t write(ConstBytes from) override { return out_.push(from); }

 private:
  Queue& in_;
  Queue& out_;
};

Queue g_forward, g_backward;

void crc_has_the_standard_check_value() {
  const uint8_t digits[] = {'1', '2', '3', '4', '5', '6', '7', '8', '9'};
  CHECK(crc32(ConstBytes(digits, sizeof digits)) == 0xCBF43926u);
}

void frames_survive_the_codec() {
  static uint8_t payload[484], decoded[512];
  Queue wire;
  QueueStream stream(wire, wire);
  FrameDecoder decoder(MutableBytes(decoded, sizeof decoded));
  for (size_t length = 0; length <= sizeof payload; length += 11) {
    for (size_t index = 0; index < length; ++index) {
      payload[index] = static_cast<uint8_t>(index % 3 == 0 ? 0 : index + length);
    }
    FrameHeader header;
    header.type = FrameType::kData;
    header.channel = static_cast<uint16_t>(length);
    FrameEncoder encoder;
    encoder.start(header, ConstBytes(payload, length));
    size_t frames = 0;
    uint8_t byte;
    while (!encoder.done()) encoder.write_to(stream);
    while (wire.pop(&byte)) frames += decoder.push(byte) == FrameDecoder::Event::kFrame ? 1 : 0;
    FrameHeader seen;
    CHECK(frames == 1);
    CHECK(load_header(decoded, decoder.frame_bytes(), &seen) == HeaderError::kNone);
    CHECK(seen.channel == length && seen.length == length);
    CHECK(std::memcmp(decoded + kHeaderBytes, payload, length) == 0);
  }
  CHECK(decoder.counters().errors() == 0);
}

constexpr NodeConfig pair_config(uint8_t rank, const LinkConfig* link) {
  NodeConfig config;
  config.rank = rank;
  config.world_size = config.node_count = 2;
  config.link_count = 1;
  config.boot_nonce = rank + 1u;
  config.links = link;
  return config;
}

void two_nodes_exchange_a_block() {
  constexpr uint32_t kBytes = 20'000;
  constexpr uint32_t kTimeoutUs = 20'000'000;
  alignas(8) static uint8_t memory[2][Node::required_bytes(pair_config(0, nullptr))];
  static uint8_t sent[kBytes], received[kBytes];
  QueueStream ends[2] = {QueueStream(g_backward, g_forward), QueueStream(g_forward, g_backward)};
  Node* nodes[2];
  for (uint8_t rank = 0; rank < 2; ++rank) {
    LinkConfig link;
    link.peer_rank = static_cast<uint8_t>(1 - rank);
    link.destinations = rank_bit(link.peer_rank);
    ByteStream* const stream = &ends[rank];
    nodes[rank] = Node::create(memory[rank], sizeof memory[rank], pair_config(rank, &link), &stream,
                               split_port::clock(), nullptr);
    CHECK(nodes[rank] != nullptr);
    if (nodes[rank] == nullptr) return;
  }
  for (uint32_t index = 0; index < kBytes; ++index) sent[index] = static_cast<uint8_t>(index * 7);
  const uint32_t begin_us = split_port::clock().now_us();
  const auto late = [&] { return split_port::clock().now_us() - begin_us > kTimeoutUs; };
  while (!late() && !(nodes[0]->link_error().ok() && nodes[1]->link_error().ok())) {
    for (Node* node : nodes) node->poll();
  }
  for (Node* node : nodes) node->communicator().begin_epoch(1);
  CHECK(nodes[0]->communicator().post_send(5, rank_bit(1), StridedBox::flat(sent, kBytes)).ok());
  CHECK(nodes[1]->communicator().begin_recv(5, 0, StridedBox::flat(received, kBytes)).ok());
  while (!late() && !nodes[1]->communicator().recvs_complete()) {
    for (Node* node : nodes) node->poll();
  }
  CHECK(!late());
  CHECK(std::memcmp(sent, received, kBytes) == 0);
}

}  // namespace

int split_app_main() {
  return check::run_all({
      {"crc_has_the_standard_check_value", crc_has_the_standard_check_value},
      {"frames_survive_the_codec", frames_survive_the_codec},
      {"two_nodes_exchange_a_block", two_nodes_exchange_a_block},
  });
}
