// SPDX-License-Identifier: Apache-2.0
// A byte stream over SPI between two equal devices: one is master, one slave, both may send at any
// time. Beside SCK, MOSI, MISO and SELECT (low during a block) the slave drives two lines:
//
//   READY  high: a block is armed. The master never clocks without it. Low behind each block
//          until the next is armed, and for as long as the slave has no room: back pressure.
//   ASK    high: the slave has bytes to send.
//
//   SELECT ‾‾\____ block ____/‾‾‾‾‾‾‾‾‾‾‾‾‾\____ block ____/‾‾
//   READY  __/‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾\______/‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾\_
//
// Levels count; edges only say when to look. A lost edge costs the time until the owner's next
// read(). Right behind a block READY may still be that block's: the master waits for an edge, or for
// kSpiSettleUs.
//
// Each end has two contexts: read() and write() (a program and its ticks, docs/adding_a_board.md),
// and the functions marked "interrupt", which must not interrupt one another. They share two rings
// and flags; nothing is locked.
#ifndef SPLIT_PORT_SPI_STREAM_H_
#define SPLIT_PORT_SPI_STREAM_H_

#include <atomic>

#include "split_core/byte_stream.h"
#include "split_port/ring_buffer.h"
#include "split_port/spi_block.h"

namespace split_port {

// Far longer than a slave takes to end a block, so that what READY says then is news.
inline constexpr uint32_t kSpiSettleUs = 100;

class SpiMasterHardware {
 public:
  virtual bool is_ready() = 0;
  virtual bool is_asking() = 0;
  // Selects the slave and exchanges kSpiBlockBytes. True: they are here already. False:
  // on_block() will be called from the interrupt.
  virtual bool start(const uint8_t* out, uint8_t* in) = 0;
  virtual void deselect() = 0;
  // Has service() called from the interrupt, soon.
  virtual void wake() = 0;
  virtual uint32_t now_us() = 0;

 protected:
  ~SpiMasterHardware() = default;
};

class SpiSlaveHardware {
 public:
  // Makes ready to exchange a block when the master selects; on_block() is called from the
  // interrupt when it deselects. Whatever an earlier block has left is thrown away.
  virtual void arm(const uint8_t* out, uint8_t* in) = 0;
  virtual void set_ready(bool is_ready) = 0;
  virtual void set_ask(bool is_asking) = 0;
  // Has service() called from the interrupt, soon.
  virtual void wake() = 0;

 protected:
  ~SpiSlaveHardware() = default;
};

struct SpiCounters {
  uint64_t received_bytes = 0;
  uint64_t sent_bytes = 0;
  uint32_t blocks = 0;
  uint32_t bad_blocks = 0;  // without a header, or cut short
};

// The part that both ends have: the rings, and what goes from and to them.
template <size_t kRxBytes, size_t kTxBytes>
class SpiEnd {
  static_assert(kRxBytes >= kSpiPayloadBytes, "room for a block");

 public:
  // Written by the interrupt: numbers that are read meanwhile may be a moment old.
  const SpiCounters& counters() const { return counters_; }

 protected:
  bool has_room() const { return rx_.free() >= kSpiPayloadBytes; }

  void take_block() {
    split_core::ConstBytes payload;
    if (!read_block(in_, &payload)) {
      ++counters_.bad_blocks;
      return;
    }
    rx_.push(payload);
    ++counters_.blocks;
    counters_.received_bytes += payload.size();
  }

  RingBuffer<kRxBytes> rx_;
  RingBuffer<kTxBytes> tx_;
  SpiBlock in_;
  SpiBlock out_;
  SpiCounters counters_;
};

template <size_t kRxBytes, size_t kTxBytes>
class SpiMaster final : public split_core::ByteStream, public SpiEnd<kRxBytes, kTxBytes> {
 public:
  // After a reset, too, READY may still be an old block's for a moment.
  explicit SpiMaster(SpiMasterHardware& hardware)
      : hardware_(hardware), end_us_(hardware.now_us()) {}

  size_t read(split_core::MutableBytes to) override {
    const size_t count = this->rx_.pop(to);
    // Makes up for lost edges, and for a block that waited for room.
    if (!is_busy_.load(std::memory_order_relaxed) && has_reason() && hardware_.is_ready()) {
      hardware_.wake();
    }
    return count;
  }

  size_t write(split_core::ConstBytes from) override {
    const size_t count = this->tx_.push(from);
    if (count > 0) hardware_.wake();
    return count;
  }

  // Interrupt: READY has changed.
  void on_ready_change() {
    // One that was latched before the block began says nothing about the next.
    if (!is_busy()) is_news_ = true;
    service();
  }

  // Interrupt: the block that start() began is over.
  void on_block() {
    finish();
    service();
  }

  // Interrupt: ASK has changed, or wake() was called. Starts a block if there is reason and leave.
  void service() {
    while (may_start()) {
      this->counters_.sent_bytes += fill_block(&this->tx_, &this->out_);
      is_news_ = false;
      is_busy_.store(true, std::memory_order_relaxed);
      if (!hardware_.start(this->out_.bytes, this->in_.bytes)) return;
      finish();
    }
  }

 private:
  bool is_busy() const { return is_busy_.load(std::memory_order_relaxed); }
  bool has_reason() const { return !this->tx_.empty() || hardware_.is_asking(); }

  bool may_start() {
    if (is_busy()) return false;
    if (!hardware_.is_ready()) return false;
    if (!is_news_ && hardware_.now_us() - end_us_ < kSpiSettleUs) return false;
    return this->has_room() && has_reason();
  }

  void finish() {
    end_us_ = hardware_.now_us();
    is_busy_.store(false, std::memory_order_relaxed);
    // Only now: whatever READY does from here on is about the next block.
    hardware_.deselect();
    this->take_block();
  }

  SpiMasterHardware& hardware_;
  std::atomic<bool> is_busy_{false};
  bool is_news_ = false;
  uint32_t end_us_;
};

template <size_t kRxBytes, size_t kTxBytes>
class SpiSlave final : public split_core::ByteStream, public SpiEnd<kRxBytes, kTxBytes> {
 public:
  explicit SpiSlave(SpiSlaveHardware& hardware) : hardware_(hardware) {}

  size_t read(split_core::MutableBytes to) override {
    const size_t count = this->rx_.pop(to);
    if (!is_armed_.load(std::memory_order_relaxed) && this->has_room()) hardware_.wake();
    return count;
  }

  size_t write(split_core::ConstBytes from) override {
    const size_t count = this->tx_.push(from);
    if (count > 0) hardware_.wake();
    return count;
  }

  // Interrupt: the master has deselected us after so many bytes.
  void on_block(size_t exchanged_bytes) {
    if (!is_armed()) return;
    hardware_.set_ready(false);
    is_armed_.store(false, std::memory_order_relaxed);
    if (exchanged_bytes == kSpiBlockBytes) {
      this->take_block();
      out_count_ = 0;
    } else {
      ++this->counters_.bad_blocks;  // the master was reset: ours is offered again
    }
    service();
  }

  // Interrupt: wake() was called. Call it once at the beginning, too. Arms a block if there is room.
  void service() {
    if (!is_armed() && this->has_room()) {
      if (out_count_ == 0) {
        out_count_ = fill_block(&this->tx_, &this->out_);
        this->counters_.sent_bytes += out_count_;
      }
      is_armed_.store(true, std::memory_order_relaxed);
      hardware_.arm(this->out_.bytes, this->in_.bytes);
      hardware_.set_ready(true);
    }
    hardware_.set_ask(out_count_ > 0 || !this->tx_.empty());
  }

 private:
  bool is_armed() const { return is_armed_.load(std::memory_order_relaxed); }

  SpiSlaveHardware& hardware_;
  std::atomic<bool> is_armed_{false};
  size_t out_count_ = 0;
};

}  // namespace split_port

#endif  // SPLIT_PORT_SPI_STREAM_H_
