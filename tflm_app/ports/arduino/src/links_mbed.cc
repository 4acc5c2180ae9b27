// SPDX-License-Identifier: Apache-2.0
// Nano 33 BLE, and what else has Arduino's mbed core but the Pico (links_pico.cc). The core's UART
// class keeps 256 received bytes, less than one frame with its neighbours, so the interrupts are
// our own.
#include <chrono>  // before Arduino.h, whose macro abs() it does not survive in C++17

#include <Arduino.h>

#include "wiring.h"

#if defined(ARDUINO_ARCH_MBED) && !defined(TARGET_RP2040) && !defined(SPLIT_PORT_SPI)

#include <mbed.h>

#include "links.h"
#include "split_port/ring_buffer.h"

namespace split_port::arduino {
namespace {

class MbedLink final : public CountedStream {
 public:
  MbedLink(PinName rx, PinName tx) : serial_(tx, rx, SPLIT_PORT_BAUD) {}

  void begin() { serial_.attach(mbed::callback(this, &MbedLink::on_receive)); }

#if defined(SPLIT_PORT_RTS_CTS)
  void control_flow(PinName cts, PinName rts) {
    serial_.set_flow_control(mbed::SerialBase::RTSCTS, rts, cts);
  }
#endif

  size_t read(split_core::MutableBytes to) override { return rx_.pop(to); }

  size_t write(split_core::ConstBytes from) override {
    const size_t taken = tx_.push(from);
    if (taken > 0) {
      // Filled by hand first: some UARTs raise their interrupt only when a FIFO runs low, not
      // because it is empty already.
      mbed::CriticalSectionLock lock;
      fill_transmitter();
      if (!tx_.empty()) serial_.attach(mbed::callback(this, &MbedLink::on_transmit), kTxInterrupt);
    }
    return taken;
  }

  LinkCounters counters() const override {
    mbed::CriticalSectionLock lock;
    return counters_;
  }

 private:
  static constexpr auto kTxInterrupt = mbed::SerialBase::TxIrq;

  void on_receive() {
    uint8_t byte;
    while (serial_.readable() && serial_.read(&byte, 1) == 1) {
      ++counters_.received_bytes;
      if (!rx_.push(byte)) ++counters_.lost_bytes;
    }
  }

  void on_transmit() {
    fill_transmitter();
    if (tx_.empty()) serial_.attach(nullptr, kTxInterrupt);
  }

  void fill_transmitter() {
    uint8_t byte;
    while (serial_.writeable() && tx_.pop(&byte)) {
      serial_.write(&byte, 1);
      ++counters_.sent_bytes;
    }
  }

  mbed::UnbufferedSerial serial_;
  RingBuffer<SPLIT_PORT_RX_BYTES> rx_;
  RingBuffer<SPLIT_PORT_TX_BYTES> tx_;
  LinkCounters counters_;
};

// Made at the first call: mbed has to be up before its drivers are.
MbedLink* links() {
  static const PinName pins[] = {SPLIT_PORT_PINS};
  static MbedLink both[kNeighbourCount] = {MbedLink(pins[0], pins[1]), MbedLink(pins[2], pins[3])};
  return both;
}

}  // namespace

void begin_neighbours() {
  for (size_t index = 0; index < kNeighbourCount; ++index) {
#if defined(SPLIT_PORT_RTS_CTS)
    static const PinName flow_pins[] = {SPLIT_PORT_FLOW_PINS};
    links()[index].control_flow(flow_pins[2 * index], flow_pins[2 * index + 1]);
#endif
    links()[index].begin();
  }
}

CountedStream& neighbour(size_t index) { return links()[index]; }

}  // namespace split_port::arduino

#endif  // ARDUINO_ARCH_MBED && !TARGET_RP2040 && !SPLIT_PORT_SPI
