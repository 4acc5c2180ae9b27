// SPDX-License-Identifier: Apache-2.0
#include "sim.h"

namespace sim {

// ---- Pipe ----

size_t Pipe::write(ConstBytes from) {
  if (stuck) return 0;
  const double now = static_cast<double>(clock_.elapsed_us());
  if (free_at_us_ < now) free_at_us_ = now;
  size_t taken = 0;
  while (taken < from.size()) {
    const double backlog = (free_at_us_ - now) / byte_time_us_;
    if (backlog >= static_cast<double>(send_fifo_)) break;
    free_at_us_ += byte_time_us_;
    const uint8_t byte = from[taken++];
    ++bytes_carried;
    if (tap != nullptr && tap->push(byte) == FrameDecoder::Event::kFrame &&
        tap_buffer[1] == static_cast<uint8_t>(FrameType::kData)) {
      ++data_frames_carried;
    }
    if (!cut) damage(byte);
  }
  return taken;
}

void Pipe::damage(uint8_t byte) {
  recent_.push_back(byte);
  if (recent_.size() > 600) recent_.pop_front();
  if (random_.chance(faults.drop)) {
    ++fault_count;
    return;
  }
  if (random_.chance(faults.flip)) {
    ++fault_count;
    byte = static_cast<uint8_t>(byte ^ (1u << random_.below(8)));
  }
  if (random_.chance(faults.stall)) {
    ++fault_count;
    free_at_us_ += random_.between(1, faults.stall_us);
  }
  carry(byte);
  if (random_.chance(faults.garbage)) {
    ++fault_count;
    for (uint32_t i = random_.between(1, 40); i > 0; --i) {
      carry(static_cast<uint8_t>(random_.below(256)));
    }
  }
  if (random_.chance(faults.duplicate)) {
    ++fault_count;
    const std::deque<uint8_t> again = recent_;
    for (uint8_t old : again) carry(old);
  }
}

void Pipe::carry(uint8_t byte) {
  if (bytes_.size() >= receive_fifo_) {
    ++overruns;
    return;
  }
  bytes_.push_back({byte, free_at_us_});
}

size_t Pipe::read(MutableBytes to) {
  const double now = static_cast<double>(clock_.elapsed_us());
  size_t count = 0;
  while (count < to.size() && !bytes_.empty() && bytes_.front().ready_us <= now) {
    to[count++] = bytes_.front().byte;
    bytes_.pop_front();
  }
  return count;
}

// ---- Cluster ----

const char* name(Topology topology) {
  constexpr const char* kNames[] = {"line", "ring", "star", "bus"};
  return kNames[static_cast<int>(topology)];
}

Cluster::Cluster(const Options& options) : options_(options), clock_(options.start_us) {
  for (uint8_t rank = 0; rank < options.nodes; ++rank) {
    members_.push_back(std::make_unique<Member>());
  }
  for (uint8_t rank = 1; rank < options.nodes; ++rank) {
    if (options.topology == Topology::kBus) {
      for (uint8_t peer = 0; peer < rank; ++peer) join(peer, rank);
      continue;
    }
    join(options.topology == Topology::kStar ? uint8_t{0} : static_cast<uint8_t>(rank - 1), rank);
  }
  if (options.topology == Topology::kRing && options.nodes > 2) {
    join(static_cast<uint8_t>(options.nodes - 1), 0);
  }
  add_routes();
  for (uint8_t rank = 0; rank < options.nodes; ++rank) {
    NodeConfig& config = members_[rank]->config;
    config.rank = rank;
    config.world_size = config.node_count = options.nodes;
    config.link_count = static_cast<uint8_t>(members_[rank]->links.size());
    config.mtu_bytes = options.mtu_bytes;
    config.rx_slots = options.rx_slots;
    config.tx_slots = options.tx_slots;
    config.recv_slots = options.recv_slots;
    config.timing = options.timing;
    for (uint8_t i = 0; i < kFingerprintBytes; ++i) {
      config.fingerprint[i] = static_cast<uint8_t>(0xA0 + i);
    }
    reset(rank);
  }
}

void Cluster::join(uint8_t a, uint8_t b) {
  const size_t frames = options_.rx_slots;
  const size_t fifo = options_.receive_fifo > 0
                          ? options_.receive_fifo
                          : frames * max_encoded_bytes(options_.mtu_bytes) + 256;
  Pipe* pipes[2];
  for (Pipe*& pipe : pipes) {
    // Two frames' worth of the line's own buffer would hide a slow link layer; 64 bytes do not.
    pipes_.push_back(std::make_unique<Pipe>(clock_, options_.bytes_per_us, 64, fifo,
                                            options_.seed * 1000 + pipes_.size()));
    pipe = pipes_.back().get();
    pipe->faults = options_.faults;
  }
  const auto attach = [this](uint8_t rank, uint8_t peer, Pipe* in, Pipe* out) {
    Member& member = *members_[rank];
    LinkConfig link;
    link.peer_rank = peer;
    member.links.push_back(link);
    member.out.push_back(out);
    member.streams.push_back(std::make_unique<PipeStream>(*in, *out));
    member.stream_pointers.push_back(member.streams.back().get());
  };
  attach(a, b, pipes[1], pipes[0]);
  attach(b, a, pipes[0], pipes[1]);
}

void Cluster::add_routes() {
  const uint8_t count = options_.nodes;
  for (uint8_t rank = 0; rank < count; ++rank) {
    std::vector<LinkConfig>& links = members_[rank]->links;
    for (uint8_t to = 0; to < count; ++to) {
      if (to == rank) continue;
      uint8_t via = to;
      if (options_.topology == Topology::kStar) {
        via = rank == 0 ? to : uint8_t{0};
      } else if (options_.topology == Topology::kLine || count == 2) {
        via = static_cast<uint8_t>(to > rank ? rank + 1 : rank - 1);
      } else {
        const uint8_t clockwise = static_cast<uint8_t>((to + count - rank) % count);
        // Opposite ranks are as far either way: half of them go each way.
        const bool forward = clockwise * 2 < count || (clockwise * 2 == count && rank % 2 == 0);
        via = static_cast<uint8_t>((rank + (forward ? 1 : count - 1)) % count);
      }
      links[link_between(rank, via)].destinations |= rank_bit(to);
    }
    if (options_.topology == Topology::kRing && count > 2) {
      links[0].ring_next = 1;
      links[1].ring_next = 0;
    }
  }
}

uint8_t Cluster::link_between(uint8_t from, uint8_t to) {
  const std::vector<LinkConfig>& links = members_[from]->links;
  for (uint8_t i = 0; i < links.size(); ++i) {
    if (links[i].peer_rank == to) return i;
  }
  return kNoLink;
}

Pipe& Cluster::wire_from(uint8_t rank, uint8_t link) { return *members_[rank]->out[link]; }

void Cluster::reset(uint8_t rank, const LinkConfig* other_links) {
  Member& member = *members_[rank];
  member.config.links = other_links != nullptr ? other_links : member.links.data();
  member.config.boot_nonce = next_nonce_++;
  member.memory.assign(Node::required_bytes(member.config) / 8 + 1, 0xDEADBEEFDEADBEEFu);
  member.node = Node::create(member.memory.data(), Node::required_bytes(member.config),
                             member.config, member.stream_pointers.data(), clock_, &member.handler);
}

void Cluster::busy_for(uint8_t rank, uint32_t us) {
  members_[rank]->busy_until_us = clock_.elapsed_us() + us;
}

bool Cluster::is_busy(uint8_t rank) const {
  return members_[rank]->busy || members_[rank]->busy_until_us > clock_.elapsed_us();
}

void Cluster::step() {
  for (uint8_t rank = 0; rank < size(); ++rank) {
    if (!is_busy(rank)) node(rank).poll();
  }
  clock_.advance(step_us);
}

bool Cluster::run_until_ready(uint32_t timeout_us) {
  return run_until(
      [this] {
        for (uint8_t rank = 0; rank < size(); ++rank) {
          if (!node(rank).link_error().ok()) return false;
        }
        return true;
      },
      timeout_us);
}

void Cluster::begin_epoch(uint16_t epoch) {
  for (uint8_t rank = 0; rank < size(); ++rank) node(rank).communicator().begin_epoch(epoch);
}

uint64_t Cluster::fault_count() const {
  uint64_t count = 0;
  for (const auto& pipe : pipes_) count += pipe->fault_count;
  return count;
}

uint64_t Cluster::overruns() const {
  uint64_t count = 0;
  for (const auto& pipe : pipes_) count += pipe->overruns;
  return count;
}

LinkCounters Cluster::total_counters() {
  LinkCounters total;
  for (uint8_t rank = 0; rank < size(); ++rank) {
    for (uint8_t i = 0; i < config(rank).link_count; ++i) {
      const LinkCounters& one = node(rank).link(i).counters();
      total.frames_sent += one.frames_sent;
      total.frames_resent += one.frames_resent;
      total.frames_received += one.frames_received;
      total.duplicates += one.duplicates;
      total.gaps += one.gaps;
      total.bad_headers += one.bad_headers;
      total.bad_acks += one.bad_acks;
      total.over_credit += one.over_credit;
      total.dropped += one.dropped;
      total.stalls += one.stalls;
      total.polls += one.polls;
      total.bytes_sent += one.bytes_sent;
    }
  }
  return total;
}

void inject(Cluster& cluster, uint8_t from, uint8_t link, const FrameHeader& header,
            ConstBytes payload) {
  struct Sink final : ByteStream {
    explicit Sink(Pipe& wire) : pipe(wire) {}
    size_t read(MutableBytes) override { return 0; }
    size_t write(ConstBytes bytes) override { return pipe.write(bytes); }
    Pipe& pipe;
  } sink(cluster.wire_from(from, link));
  FrameEncoder encoder;
  encoder.start(header, payload);
  while (!encoder.done()) {
    encoder.write_to(sink);
    cluster.clock().advance(50);
  }
}

}  // namespace sim
