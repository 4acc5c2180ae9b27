// SPDX-License-Identifier: Apache-2.0
// Raspberry Pi Pico with -DSPLIT_PORT_SPI: master of the next rank by SPI1, slave of the previous one
// by SPI0, on the hardware itself: mbed's slave is one word at a time. The protocol is
// split_port/spi_stream.h's. A slave's clock may be a twelfth of the chip's 125 MHz (RP2040 data
// sheet, 4.4.3), and blocks of many words below one SELECT need CPHA = 1 (4.4.3.11).
#include <chrono>  // before Arduino.h, whose macro abs() it does not survive in C++17

#include <Arduino.h>

#include "wiring.h"

#if defined(SPLIT_PORT_SPI) && defined(ARDUINO_ARCH_MBED) && defined(TARGET_RP2040)

#include <hardware/dma.h>
#include <hardware/gpio.h>
#include <hardware/irq.h>
#include <hardware/spi.h>
#include <hardware/structs/iobank0.h>
#include <hardware/timer.h>

#include "spi_link.h"

namespace split_port::arduino {
namespace {

constexpr uint kSelectOut = 13, kReadyIn = 14, kAskIn = 15;   // master
constexpr uint kSelectIn = 17, kReadyOut = 20, kAskOut = 21;  // slave
constexpr uint kMasterPins[] = {10, 11, 12};                  // SCK, MOSI, MISO
constexpr uint kSlavePins[] = {18, 16, 19, kSelectIn};
// Not of any hardware: they carry wake().
constexpr uint kMasterIrq = 26, kSlaveIrq = 27;
// Before USB and timers, which have 0x80. The same for all, so that none interrupts another.
constexpr uint8_t kPriority = 0x40;

void attach(uint irq, irq_handler_t handler) {
  irq_set_exclusive_handler(irq, handler);
  irq_set_priority(irq, kPriority);
  irq_set_enabled(irq, true);
}

// One block, moved by two DMA channels.
class BlockTransfer {
 public:
  BlockTransfer(spi_inst_t* port, bool is_slave) : port_(port), is_slave_(is_slave) {}

  void begin() {
    rx = static_cast<uint>(dma_claim_unused_channel(true));
    tx_ = static_cast<uint>(dma_claim_unused_channel(true));
  }

  // Throws away what an earlier block has left: FIFOs are emptied by a reset only.
  void start(const uint8_t* out, uint8_t* in) {
    dma_channel_abort(rx);
    dma_channel_abort(tx_);
    _spi_init(port_, SPLIT_PORT_SPI_HZ);
    spi_set_format(port_, 8, SPI_CPOL_0, SPI_CPHA_1, SPI_MSB_FIRST);
    spi_set_slave(port_, is_slave_);
    dma_channel_config config = channel_config(rx, false);
    dma_channel_configure(rx, &config, in, &spi_get_hw(port_)->dr, kSpiBlockBytes, false);
    config = channel_config(tx_, true);
    dma_channel_configure(tx_, &config, &spi_get_hw(port_)->dr, out, kSpiBlockBytes, false);
    dma_start_channel_mask(1u << rx | 1u << tx_);
  }

  // Right behind the block, DMA may be about to take the last bytes.
  size_t received_bytes() const {
    for (int turn = 0; turn < 50 && spi_is_readable(port_); ++turn) {
    }
    return kSpiBlockBytes - dma_hw->ch[rx].transfer_count;
  }

  uint rx = 0;

 private:
  dma_channel_config channel_config(uint channel, bool sends) const {
    dma_channel_config config = dma_channel_get_default_config(channel);
    channel_config_set_transfer_data_size(&config, DMA_SIZE_8);
    channel_config_set_dreq(&config, spi_get_dreq(port_, sends));
    channel_config_set_read_increment(&config, sends);
    channel_config_set_write_increment(&config, !sends);
    return config;
  }

  spi_inst_t* port_;
  bool is_slave_;
  uint tx_ = 0;
};

class Master final : public SpiMasterHardware {
 public:
  void begin();
  bool is_ready() override { return gpio_get(kReadyIn); }
  bool is_asking() override { return gpio_get(kAskIn); }
  bool start(const uint8_t* out, uint8_t* in) override {
    gpio_put(kSelectOut, false);
    transfer_.start(out, in);
    return false;
  }
  void deselect() override { gpio_put(kSelectOut, true); }
  void wake() override { irq_set_pending(kMasterIrq); }
  uint32_t now_us() override { return time_us_32(); }

  void on_dma();

 private:
  BlockTransfer transfer_{spi1, false};
};

Master g_master;
SpiMaster<SPLIT_PORT_RX_BYTES, SPLIT_PORT_TX_BYTES> g_next(g_master);

class Slave final : public SpiSlaveHardware {
 public:
  void begin();
  void arm(const uint8_t* out, uint8_t* in) override { transfer_.start(out, in); }
  void set_ready(bool is_ready) override { gpio_put(kReadyOut, is_ready); }
  void set_ask(bool is_asking) override { gpio_put(kAskOut, is_asking); }
  void wake() override { irq_set_pending(kSlaveIrq); }

  size_t received_bytes() const { return transfer_.received_bytes(); }

 private:
  BlockTransfer transfer_{spi0, true};
};

Slave g_slave;
SpiSlave<SPLIT_PORT_RX_BYTES, SPLIT_PORT_TX_BYTES> g_previous(g_slave);

void output_pin(uint pin, bool level) {
  _gpio_init(pin);
  gpio_put(pin, level);
  gpio_set_dir(pin, GPIO_OUT);
}

void input_pin(uint pin) {
  _gpio_init(pin);
  gpio_pull_down(pin);  // a slave that is not there is not ready
}

void Master::begin() {
  output_pin(kSelectOut, true);
  input_pin(kReadyIn);
  input_pin(kAskIn);
  for (uint pin : kMasterPins) gpio_set_function(pin, GPIO_FUNC_SPI);
  transfer_.begin();
  dma_channel_set_irq1_enabled(transfer_.rx, true);
  attach(DMA_IRQ_1, [] { g_master.on_dma(); });
  attach(kMasterIrq, [] { g_next.service(); });
}

void Master::on_dma() {
  dma_channel_acknowledge_irq1(transfer_.rx);
  // The last bit is out when its byte has come in; the clock goes back half a bit later.
  while (spi_is_busy(spi1)) {
  }
  g_next.on_block();
}

void Slave::begin() {
  output_pin(kReadyOut, false);
  output_pin(kAskOut, false);
  for (uint pin : kSlavePins) gpio_set_function(pin, GPIO_FUNC_SPI);
  gpio_pull_up(kSelectIn);  // a master that is not there selects nobody
  transfer_.begin();
  attach(kSlaveIrq, [] { g_previous.service(); });
  wake();
}

// Whether one of these edges has come since it was last asked.
bool has_edge(uint pin, uint32_t edges) {
  const uint32_t seen = iobank0_hw->intr[pin / 8] >> 4 * (pin % 8) & edges;
  if (seen != 0) gpio_acknowledge_irq(pin, seen);
  return seen != 0;
}

void on_pins() {
  constexpr uint32_t kBoth = GPIO_IRQ_EDGE_RISE | GPIO_IRQ_EDGE_FALL;
  if (has_edge(kSelectIn, GPIO_IRQ_EDGE_RISE)) g_previous.on_block(g_slave.received_bytes());
  if (has_edge(kReadyIn, kBoth)) g_next.on_ready_change();
  if (has_edge(kAskIn, GPIO_IRQ_EDGE_RISE)) g_next.service();
}

void begin_pins() {
  attach(IO_IRQ_BANK0, on_pins);
  gpio_set_irq_enabled(kSelectIn, GPIO_IRQ_EDGE_RISE, true);
  gpio_set_irq_enabled(kReadyIn, GPIO_IRQ_EDGE_RISE | GPIO_IRQ_EDGE_FALL, true);
  gpio_set_irq_enabled(kAskIn, GPIO_IRQ_EDGE_RISE, true);
}

SpiLink<decltype(g_previous)> g_previous_link(g_previous);
SpiLink<decltype(g_next)> g_next_link(g_next);

}  // namespace

void begin_neighbours() {
  g_master.begin();
  g_slave.begin();
  begin_pins();
}

CountedStream& neighbour(size_t index) {
  if (index == kNextLink) return g_next_link;
  return g_previous_link;
}

}  // namespace split_port::arduino

#endif  // SPLIT_PORT_SPI && TARGET_RP2040
