// SPDX-License-Identifier: Apache-2.0
// A cluster in one thread: nodes joined by wires with a line rate and seeded faults, under a clock
// that the test moves.
#ifndef TESTS_CORE_SIM_H_
#define TESTS_CORE_SIM_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "split_core/node.h"

namespace sim {

using namespace split_core;

class Random {  // xorshift64*
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}
  uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545F4914F6CDD1Du;
  }
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>((next() >> 32) % bound); }
  uint32_t between(uint32_t low, uint32_t high) { return low + below(high - low + 1); }
  bool chance(double probability) {
    return static_cast<double>(next() >> 11) < probability * 9007199254740992.0;
  }

 private:
  uint64_t state_;
};

class SimClock final : public Clock {
 public:
  explicit SimClock(uint32_t start_us) : now_us_(start_us) {}
  uint32_t now_us() override { return now_us_; }
  void idle() override {
    if (on_idle) on_idle(context);
  }
  void advance(uint32_t us) { now_us_ += us; elapsed_us_ += us; }
  uint64_t elapsed_us() const { return elapsed_us_; }
  void (*on_idle)(void*) = nullptr;
  void* context = nullptr;

 private:
  uint32_t now_us_;
  uint64_t elapsed_us_ = 0;
};

struct Faults {  // probabilities per byte
  double flip = 0;
  double drop = 0;
  double duplicate = 0;  // a burst of up to 600 bytes comes twice
  double garbage = 0;    // up to 40 random bytes are put in
  double stall = 0;      // nothing arrives for up to stall_us
  uint32_t stall_us = 3000;
};

// One direction of a wire.
class Pipe {
 public:
  Pipe(SimClock& clock, double bytes_per_us, size_t send_fifo, size_t receive_fifo, uint64_t seed)
      : clock_(clock),
        byte_time_us_(1.0 / bytes_per_us),
        send_fifo_(send_fifo),
        receive_fifo_(receive_fifo),
        random_(seed) {}

  size_t write(ConstBytes from);
  size_t read(MutableBytes to);
  void clear() { bytes_.clear(); }

  Faults faults;
  bool cut = false;         // bytes vanish
  bool stuck = false;       // takes no byte, as a line held by hardware flow control
  uint64_t fault_count = 0;
  uint64_t overruns = 0;    // bytes lost because the receive FIFO was full
  uint64_t bytes_carried = 0;
  uint64_t data_frames_carried = 0;  // counted by a tap that decodes the wire
  FrameDecoder* tap = nullptr;
  uint8_t* tap_buffer = nullptr;

 private:
  struct Timed {
    uint8_t byte;
    double ready_us;
  };
  void carry(uint8_t byte);
  void damage(uint8_t byte);

  SimClock& clock_;
  double byte_time_us_;
  size_t send_fifo_;
  size_t receive_fifo_;
  Random random_;
  double free_at_us_ = 0;
  std::deque<Timed> bytes_;
  std::deque<uint8_t> recent_;
};

class PipeStream final : public ByteStream {
 public:
  PipeStream(Pipe& in, Pipe& out) : in_(in), out_(out) {}
  size_t read(MutableBytes to) override { return in_.read(to); }
  size_t write(ConstBytes from) override { return out_.write(from); }

 private:
  Pipe& in_;
  Pipe& out_;
};

enum class Topology { kLine, kRing, kStar, kBus };  // kBus: a wire for each pair
const char* name(Topology topology);

struct Options {
  Topology topology = Topology::kLine;
  uint8_t nodes = 2;
  uint16_t mtu_bytes = 256;
  uint8_t rx_slots = 4;
  uint8_t tx_slots = 4;
  uint8_t recv_slots = 8;
  double bytes_per_us = 0.6;  // 6 Mbaud, 10 bits a byte
  size_t receive_fifo = 0;    // 0: as ByteStream asks for
  Faults faults;
  Timing timing;
  uint64_t seed = 1;
  uint32_t start_us = 0xFFFF0000u;  // the clock wraps early in every test
};

struct Datagram {
  uint8_t source;
  uint16_t channel;
  std::vector<uint8_t> payload;
};

class Cluster {
 public:
  explicit Cluster(const Options& options);

  Node& node(uint8_t rank) { return *members_[rank]->node; }
  SimClock& clock() { return clock_; }
  uint8_t size() const { return options_.nodes; }
  NodeConfig& config(uint8_t rank) { return members_[rank]->config; }
  std::vector<Datagram>& datagrams(uint8_t rank) { return members_[rank]->handler.got; }
  // Direction from `rank` out of its link `link`.
  Pipe& wire_from(uint8_t rank, uint8_t link);
  uint8_t link_between(uint8_t from, uint8_t to);

  // Makes the node anew, as a reset does, with another boot nonce and its present config.
  void reset(uint8_t rank, const LinkConfig* other_links = nullptr);
  // A node that does not poll: off, or inside a kernel.
  void set_busy(uint8_t rank, bool busy) { members_[rank]->busy = busy; }
  void busy_for(uint8_t rank, uint32_t us);
  bool is_busy(uint8_t rank) const;

  void step();  // poll every node that is not busy, and 20 us more (a prime would do, too)
  bool run_until_ready(uint32_t timeout_us);
  template <typename Condition>
  bool run_until(Condition condition, uint32_t timeout_us) {
    const uint64_t end = clock_.elapsed_us() + timeout_us;
    while (!condition()) {
      if (clock_.elapsed_us() >= end) return false;
      step();
    }
    return true;
  }
  void run_for(uint32_t us) { run_until([] { return false; }, us); }
  void begin_epoch(uint16_t epoch);
  uint64_t fault_count() const;
  uint64_t overruns() const;
  LinkCounters total_counters();

  uint32_t step_us = 20;

 private:
  struct Handler final : public DatagramHandler {
    void on_datagram(uint8_t source, uint16_t channel, ConstBytes payload) override {
      got.push_back({source, channel, {payload.begin(), payload.end()}});
    }
    std::vector<Datagram> got;
  };
  struct Member {
    NodeConfig config;
    std::vector<LinkConfig> links;
    std::vector<Pipe*> out;
    std::vector<std::unique_ptr<PipeStream>> streams;
    std::vector<ByteStream*> stream_pointers;
    std::vector<uint64_t> memory;
    Handler handler;
    Node* node = nullptr;
    bool busy = false;
    uint64_t busy_until_us = 0;
  };
  void join(uint8_t a, uint8_t b);
  void add_routes();

  Options options_;
  SimClock clock_;
  std::vector<std::unique_ptr<Pipe>> pipes_;
  std::vector<std::unique_ptr<Member>> members_;
  uint32_t next_nonce_ = 0x1000;
};

// A frame as a hostile or broken neighbour would send it, straight onto the wire.
void inject(Cluster& cluster, uint8_t from, uint8_t link, const FrameHeader& header,
            ConstBytes payload);

}  // namespace sim

#endif  // TESTS_CORE_SIM_H_
