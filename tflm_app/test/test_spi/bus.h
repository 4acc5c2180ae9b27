// SPDX-License-Identifier: Apache-2.0
// Two devices and six wires, simulated: time, interrupts with their latencies, and what goes wrong.
#ifndef TFLM_APP_TEST_SPI_BUS_H_
#define TFLM_APP_TEST_SPI_BUS_H_

#include <cstring>
#include <new>

#include "split_core/byte_stream.h"
#include "split_port/spi_stream.h"

namespace spi_bus {

inline constexpr size_t kRingBytes = 1024;
using Master = split_port::SpiMaster<kRingBytes, kRingBytes>;
using Slave = split_port::SpiSlave<kRingBytes, kRingBytes>;

// Any generator will do: tests have to be the same on every board.
class Dice {
 public:
  explicit Dice(uint32_t seed) : state_(seed * 2654435761u + 1) {}
  uint32_t below(uint32_t limit) {
    state_ = state_ * 1664525u + 1013904223u;
    return (state_ >> 8) % limit;
  }
  bool hits(uint32_t percent) { return below(100) < percent; }

 private:
  uint32_t state_;
};

struct Wire {
  uint32_t clock_hz = 30'000'000;
  uint32_t interrupt_ns = 500;  // to the handler's first instruction
  uint32_t edge_ns = 500;  // the same, for those of READY and ASK
  uint32_t slave_work_ns = 2'000;  // end of a block: copies it, arms the next
  uint32_t master_work_ns = 1'500;  // READY to the first clock
  uint32_t lost_edges_percent = 0;
  uint32_t damaged_blocks_percent = 0;
  uint32_t seed = 1;
};

class Bus final : public split_core::Clock,
                  split_port::SpiMasterHardware,
                  split_port::SpiSlaveHardware {
 public:
  explicit Bus(const Wire& wire) : wire_(wire), dice_(wire.seed) {
    reset_master();
    reset_slave();
  }

  Master& master() { return *master_; }
  Slave& slave() { return *slave_; }
  uint64_t now_ns() const { return now_ns_; }
  uint32_t now_us() override { return static_cast<uint32_t>(now_ns_ / 1000); }
  bool is_transferring() const { return block_end_.is_set; }
  bool is_ready_high() const { return ready_; }
  // Blocks that began although none was armed: must be none.
  uint32_t unready_starts() const { return unready_starts_; }
  uint32_t blocks() const { return blocks_; }

  // A device that is reset forgets everything; its pins float to where the resistors pull them.
  void reset_master() {
    const bool was_selected = block_end_.is_set;
    block_end_.is_set = ready_edge_.is_set = ask_edge_.is_set = master_wake_.is_set = false;
    master_ = new (master_memory_) Master(*this);
    if (was_selected) end_slave_block(exchanged_bytes());
  }
  void reset_slave() {
    slave_end_.is_set = slave_wake_.is_set = armed_ = false;
    slave_out_ = nullptr;
    set_level(&ready_, false, &ready_edge_);
    set_level(&ask_, false, &ask_edge_);
    slave_ = new (slave_memory_) Slave(*this);
    slave_wake_.at(now_ns_ + wire_.interrupt_ns);
  }

  // Lets time pass, with all interrupts that come in it.
  void advance(uint64_t nanoseconds) {
    const uint64_t until = now_ns_ + nanoseconds;
    while (Event* const next = next_event(until)) {
      now_ns_ = next->time_ns;
      next->is_set = false;
      handle(next);
    }
    now_ns_ = until;
  }

 private:
  // One interrupt; it is pending or not, as in hardware.
  struct Event {
    bool is_set = false;
    uint64_t time_ns = 0;
    void at(uint64_t when_ns) {
      if (!is_set) time_ns = when_ns;
      is_set = true;
    }
  };

  // ---- the master's pins ----
  bool is_ready() override { return ready_; }
  bool is_asking() override { return ask_; }
  bool start(const uint8_t* out, uint8_t* in) override {
    if (!armed_) ++unready_starts_;
    ++blocks_;
    master_out_ = out;
    master_in_ = in;
    block_begin_ns_ = now_ns_ + wire_.master_work_ns;
    block_end_.at(block_begin_ns_ + block_ns());
    return false;
  }
  void deselect() override { end_slave_block(split_port::kSpiBlockBytes); }

  // ---- the slave's pins ----
  void arm(const uint8_t* out, uint8_t* in) override {
    armed_ = true;
    slave_out_ = out;
    slave_in_ = in;
  }
  void set_ready(bool is_ready) override { set_level(&ready_, is_ready, &ready_edge_); }
  void set_ask(bool is_asking) override { set_level(&ask_, is_asking, &ask_edge_); }

  // Both interfaces have a wake(); whoever calls it, both look.
  void wake() override {
    master_wake_.at(now_ns_ + wire_.interrupt_ns);
    slave_wake_.at(now_ns_ + wire_.interrupt_ns);
  }

  uint64_t block_ns() const {
    return uint64_t{split_port::kSpiBlockBytes} * 8 * 1'000'000'000 / wire_.clock_hz;
  }
  size_t exchanged_bytes() const {
    if (now_ns_ < block_begin_ns_) return 0;
    return static_cast<size_t>((now_ns_ - block_begin_ns_) * split_port::kSpiBlockBytes /
                               block_ns());
  }

  void set_level(bool* wire, bool level, Event* edge) {
    const bool changed = *wire != level;
    *wire = level;
    if (changed && !dice_.hits(wire_.lost_edges_percent)) edge->at(now_ns_ + wire_.edge_ns);
  }

  // The slave sees SELECT rise: what was armed is used up, which READY tells only later.
  void end_slave_block(size_t bytes) {
    slave_bytes_ = bytes;
    armed_ = false;
    slave_end_.at(now_ns_ + wire_.interrupt_ns + wire_.slave_work_ns);
  }

  // What was on MOSI and MISO. A slave that is not there leaves zeros.
  void exchange() {
    std::memset(master_in_, 0, split_port::kSpiBlockBytes);
    if (armed_ && slave_out_ != nullptr) {
      std::memcpy(master_in_, slave_out_, split_port::kSpiBlockBytes);
      std::memcpy(slave_in_, master_out_, split_port::kSpiBlockBytes);
    }
    if (dice_.hits(wire_.damaged_blocks_percent)) master_in_[dice_.below(2)] ^= 0x10;
    if (armed_ && dice_.hits(wire_.damaged_blocks_percent)) slave_in_[dice_.below(2)] ^= 0x10;
  }

  Event* next_event(uint64_t until_ns) {
    Event* const all[] = {&block_end_, &slave_end_, &ready_edge_, &ask_edge_, &master_wake_,
                          &slave_wake_};
    Event* next = nullptr;
    for (Event* event : all) {
      const bool is_due = event->is_set && event->time_ns <= until_ns;
      if (is_due && (next == nullptr || event->time_ns < next->time_ns)) next = event;
    }
    return next;
  }

  void handle(const Event* event) {
    if (event == &block_end_) {
      exchange();
      master_->on_block();
    } else if (event == &slave_end_) {
      slave_->on_block(slave_bytes_);
    } else if (event == &ready_edge_) {
      master_->on_ready_change();
    } else if (event == &ask_edge_ || event == &master_wake_) {
      master_->service();
    } else {
      slave_->service();
    }
  }

  Wire wire_;
  Dice dice_;
  uint64_t now_ns_ = 0;
  bool ready_ = false, ask_ = false, armed_ = false;
  Event block_end_, slave_end_, ready_edge_, ask_edge_, master_wake_, slave_wake_;
  uint64_t block_begin_ns_ = 0;
  size_t slave_bytes_ = 0;
  const uint8_t* master_out_ = nullptr;
  uint8_t* master_in_ = nullptr;
  const uint8_t* slave_out_ = nullptr;
  uint8_t* slave_in_ = nullptr;
  uint32_t blocks_ = 0;
  uint32_t unready_starts_ = 0;
  alignas(Master) uint8_t master_memory_[sizeof(Master)];
  alignas(Slave) uint8_t slave_memory_[sizeof(Slave)];
  Master* master_ = nullptr;
  Slave* slave_ = nullptr;
};

}  // namespace spi_bus

#endif  // TFLM_APP_TEST_SPI_BUS_H_
