// SPDX-License-Identifier: Apache-2.0
// Teensy 4.1 with -DSPLIT_PORT_SPI: master of the next rank by SPI (LPSPI4), slave of the previous
// one by SPI1 (LPSPI3). The protocol is split_port/spi_stream.h's. The core's SPI library sets up
// clocks and pins; the transfers are here, because it has no slave, and as a master leaves a gap
// behind each byte.
#include <Arduino.h>

#include "wiring.h"

#if defined(SPLIT_PORT_SPI) && defined(TEENSYDUINO) && defined(__IMXRT1062__)

#include <DMAChannel.h>
#include <SPI.h>

#include "spi_link.h"

namespace split_port::arduino {
namespace {

// One block as one frame of 1,024 bits (i.MX RT1060 reference manual, chapter LPSPI), moved by two
// DMA channels. The blocks lie in DTCM, as all static data: no cache to write back.
class BlockTransfer {
 public:
  explicit BlockTransfer(IMXRT_LPSPI_t& port) : port_(port) {}

  void begin(uint8_t rx_source, uint8_t tx_source) {
    port_.FCR = LPSPI_FCR_RXWATER(0) | LPSPI_FCR_TXWATER(12);
    rx.source(reinterpret_cast<volatile const uint32_t&>(port_.RDR));
    rx.triggerAtHardwareEvent(rx_source);
    rx.disableOnCompletion();
    tx.destination(reinterpret_cast<volatile uint32_t&>(port_.TDR));
    tx.triggerAtHardwareEvent(tx_source);
    tx.disableOnCompletion();
  }

  // Throws away what an earlier block has left.
  void start(const uint8_t* out, uint8_t* in) {
    rx.disable();
    tx.disable();
    port_.DER = 0;
    port_.CR = LPSPI_CR_RTF | LPSPI_CR_RRF;
    port_.SR = kAllFlags;
    // SPI mode 1, for the sake of the Pico (links_spi_pico.cc); first byte and highest bit first.
    port_.TCR = LPSPI_TCR_CPHA | LPSPI_TCR_BYSW | LPSPI_TCR_FRAMESZ(kSpiBlockBytes * 8 - 1);
    port_.CR = LPSPI_CR_MEN;
    rx.clearComplete();
    tx.clearComplete();
    rx.destinationBuffer(reinterpret_cast<uint32_t*>(in), kSpiBlockBytes);
    tx.sourceBuffer(reinterpret_cast<const uint32_t*>(out), kSpiBlockBytes);
    rx.enable();
    tx.enable();
    port_.DER = LPSPI_DER_TDDE | LPSPI_DER_RDDE;
  }

  // Right behind the block, DMA may be about to take the last words.
  size_t received_bytes() {
    for (int turn = 0; turn < 50 && !rx.complete() && words_waiting() > 0; ++turn) {
    }
    if (rx.complete()) return kSpiBlockBytes;
    return kSpiBlockBytes - (rx.TCD->CITER & 0x7FFFu) * 4;
  }

  DMAChannel rx, tx;

 private:
  static constexpr uint32_t kAllFlags = 0x3F00;

  uint32_t words_waiting() const { return (port_.FSR >> 16) & 0x1F; }

  IMXRT_LPSPI_t& port_;
};

void attach(IRQ_NUMBER_t interrupt, void (*handler)(), uint8_t priority) {
  attachInterruptVector(interrupt, handler);
  NVIC_SET_PRIORITY(interrupt, priority);
  NVIC_ENABLE_IRQ(interrupt);
}

// ---- master ----

constexpr uint8_t kSelectOut = 10, kReadyIn = 9, kAskIn = 8;
// That of pins in the core: what the master is told of must not interrupt each other.
constexpr uint8_t kMasterPriority = 128;

class Master final : public SpiMasterHardware {
 public:
  void begin();
  bool is_ready() override { return digitalReadFast(kReadyIn); }
  bool is_asking() override { return digitalReadFast(kAskIn); }
  bool start(const uint8_t* out, uint8_t* in) override {
    digitalWriteFast(kSelectOut, LOW);
    transfer_.start(out, in);
    return false;
  }
  void deselect() override { digitalWriteFast(kSelectOut, HIGH); }
  void wake() override { NVIC_SET_PENDING(IRQ_LPSPI4); }  // of no other use: DMA does the rest
  uint32_t now_us() override { return micros(); }

  void on_dma();

 private:
  BlockTransfer transfer_{IMXRT_LPSPI4_S};
};

Master g_master;
SpiMaster<SPLIT_PORT_RX_BYTES, SPLIT_PORT_TX_BYTES> g_next(g_master);

void Master::begin() {
  pinMode(kSelectOut, OUTPUT);
  deselect();
  pinMode(kReadyIn, INPUT_PULLDOWN);  // a slave that is not there is not ready
  pinMode(kAskIn, INPUT_PULLDOWN);
  SPI.begin();
  SPI.beginTransaction(SPISettings(SPLIT_PORT_SPI_HZ, MSBFIRST, SPI_MODE1));
  transfer_.begin(DMAMUX_SOURCE_LPSPI4_RX, DMAMUX_SOURCE_LPSPI4_TX);
  transfer_.rx.interruptAtCompletion();
  transfer_.rx.attachInterrupt([] { g_master.on_dma(); }, kMasterPriority);
  attach(IRQ_LPSPI4, [] { g_next.service(); }, kMasterPriority);
  attachInterrupt(digitalPinToInterrupt(kReadyIn), [] { g_next.on_ready_change(); }, CHANGE);
  attachInterrupt(digitalPinToInterrupt(kAskIn), [] { g_next.service(); }, RISING);
}

void Master::on_dma() {
  transfer_.rx.clearInterrupt();
  g_next.on_block();
  asm volatile("dsb");  // the flag is gone before the interrupt returns
}

// ---- slave ----

constexpr uint8_t kSelectIn = 0, kReadyOut = 2, kAskOut = 3;
constexpr uint8_t kSlavePriority = 64;  // the shorter it takes to arm a block, the more fit in

class Slave final : public SpiSlaveHardware {
 public:
  void begin();
  void arm(const uint8_t* out, uint8_t* in) override { transfer_.start(out, in); }
  void set_ready(bool is_ready) override { digitalWriteFast(kReadyOut, is_ready); }
  void set_ask(bool is_asking) override { digitalWriteFast(kAskOut, is_asking); }
  void wake() override { NVIC_SET_PENDING(IRQ_LPSPI3); }

  void on_interrupt();

 private:
  BlockTransfer transfer_{IMXRT_LPSPI3_S};
};

Slave g_slave;
SpiSlave<SPLIT_PORT_RX_BYTES, SPLIT_PORT_TX_BYTES> g_previous(g_slave);

void Slave::begin() {
  pinMode(kReadyOut, OUTPUT);
  pinMode(kAskOut, OUTPUT);
  SPI1.begin();  // clock gate, and the pins' functions: SCK 27, MOSI 26, MISO 1
  SPI1.setCS(kSelectIn);
  // Pulled up: a master that is not there selects nobody.
  *portControlRegister(kSelectIn) =
      IOMUXC_PAD_PKE | IOMUXC_PAD_PUE | IOMUXC_PAD_PUS(3) | IOMUXC_PAD_HYS;
  LPSPI3_CR = 0;
  LPSPI3_CFGR1 = LPSPI_CFGR1_PINCFG(3);  // a slave; MOSI (SDO) is the input, MISO (SDI) the output
  LPSPI3_IER = LPSPI_IER_FCIE;
  transfer_.begin(DMAMUX_SOURCE_LPSPI3_RX, DMAMUX_SOURCE_LPSPI3_TX);
  attach(IRQ_LPSPI3, [] { g_slave.on_interrupt(); }, kSlavePriority);
  wake();
}

// The block is over, or wake() was called.
void Slave::on_interrupt() {
  if ((LPSPI3_SR & LPSPI_SR_FCF) != 0) {
    // Until the master deselects, the next block cannot be armed; that is when it takes notice.
    for (int turn = 0; turn < 1000 && digitalReadFast(kSelectIn) == LOW; ++turn) {
    }
    LPSPI3_SR = LPSPI_SR_FCF;
    g_previous.on_block(transfer_.received_bytes());
  } else {
    g_previous.service();
  }
  asm volatile("dsb");  // the flag is gone before the interrupt returns
}

SpiLink<decltype(g_previous)> g_previous_link(g_previous);
SpiLink<decltype(g_next)> g_next_link(g_next);

}  // namespace

void begin_neighbours() {
  g_master.begin();
  g_slave.begin();
}

CountedStream& neighbour(size_t index) {
  if (index == kNextLink) return g_next_link;
  return g_previous_link;
}

}  // namespace split_port::arduino

#elif defined(SPLIT_PORT_SPI) && !defined(TARGET_RP2040)
#error "SPI links are made for Teensy 4.1 and Pico only; see docs/adding_a_board.md."
#endif
