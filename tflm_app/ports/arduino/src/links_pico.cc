// SPDX-License-Identifier: Apache-2.0
// Raspberry Pi Pico with Arduino's mbed core, on the UARTs themselves. mbed's driver for this chip
// cannot do it: it switches the FIFOs off (a byte every 3.3 us at 3 Mbaud, with one place to keep
// it), never reports a transmit interrupt, and asking for one ends reception.
#include <chrono>  // before Arduino.h, whose macro abs() it does not survive in C++17

#include <Arduino.h>

#include "wiring.h"

#if defined(ARDUINO_ARCH_MBED) && defined(TARGET_RP2040) && !defined(SPLIT_PORT_SPI)

#include <hardware/gpio.h>
#include <hardware/irq.h>
#include <hardware/uart.h>
#include <mbed.h>

#include "links.h"
#include "split_port/ring_buffer.h"

namespace split_port::arduino {
namespace {

constexpr uint8_t kPriority = 0x40;  // before the timers and USB, which have 0x80

// RP2040 data sheet, 4.2: levels of the 32 byte FIFOs at which they interrupt.
constexpr uint32_t kReceiveAtHalf = 2;
constexpr uint32_t kSendAtAnEighth = 0;

class PicoLink final : public CountedStream {
 public:
  // RP2040 data sheet, 2.19.2: pins 0 to 3 belong to UART0, 4 to 11 to UART1, 12 to 19 to UART0, ...
  void begin(uint rx_pin, uint tx_pin, irq_handler_t handler) {
    const bool is_second = ((rx_pin + 4) / 8) % 2 == 1;
    uart_ = is_second ? uart1 : uart0;
    irq_ = is_second ? UART1_IRQ : UART0_IRQ;
    uart_init(uart_, SPLIT_PORT_BAUD);
    uart_set_fifo_enabled(uart_, true);
    gpio_set_function(rx_pin, GPIO_FUNC_UART);
    gpio_set_function(tx_pin, GPIO_FUNC_UART);
    uart_get_hw(uart_)->ifls = kReceiveAtHalf << UART_UARTIFLS_RXIFLSEL_LSB |
                               kSendAtAnEighth << UART_UARTIFLS_TXIFLSEL_LSB;
    uart_get_hw(uart_)->imsc = UART_UARTIMSC_RXIM_BITS | UART_UARTIMSC_RTIM_BITS;
    irq_set_exclusive_handler(irq_, handler);
    irq_set_priority(irq_, kPriority);
    irq_set_enabled(irq_, true);
  }

  // The receiver gives RTS back while its FIFO is filled up to where it interrupts.
  void control_flow(uint cts_pin, uint rts_pin) {
    gpio_set_function(cts_pin, GPIO_FUNC_UART);
    gpio_set_function(rts_pin, GPIO_FUNC_UART);
    uart_set_hw_flow(uart_, true, true);
  }

  size_t read(split_core::MutableBytes to) override { return rx_.pop(to); }

  size_t write(split_core::ConstBytes from) override {
    const size_t taken = tx_.push(from);
    // The handler fills the FIFO: the hardware interrupts when it runs low, not while it is empty.
    if (taken > 0) irq_set_pending(irq_);
    return taken;
  }

  LinkCounters counters() const override {
    mbed::CriticalSectionLock lock;
    return counters_;
  }

  void on_interrupt() {
    receive();
    transmit();
  }

 private:
  void receive() {
    while (uart_is_readable(uart_)) {
      const uint32_t entry = uart_get_hw(uart_)->dr;
      ++counters_.received_bytes;
      if ((entry & UART_UARTDR_OE_BITS) != 0) ++counters_.lost_bytes;  // before this one
      if (!rx_.push(static_cast<uint8_t>(entry))) ++counters_.lost_bytes;
    }
  }

  void transmit() {
    uint8_t byte;
    while (uart_is_writable(uart_) && tx_.pop(&byte)) {
      uart_get_hw(uart_)->dr = byte;
      ++counters_.sent_bytes;
    }
    if (tx_.empty()) {
      hw_clear_bits(&uart_get_hw(uart_)->imsc, UART_UARTIMSC_TXIM_BITS);
    } else {
      hw_set_bits(&uart_get_hw(uart_)->imsc, UART_UARTIMSC_TXIM_BITS);
    }
  }

  uart_inst_t* uart_ = nullptr;
  uint irq_ = 0;
  RingBuffer<SPLIT_PORT_RX_BYTES> rx_;
  RingBuffer<SPLIT_PORT_TX_BYTES> tx_;
  LinkCounters counters_;
};

PicoLink g_links[kNeighbourCount];

}  // namespace

void begin_neighbours() {
  static const PinName pins[] = {SPLIT_PORT_PINS};
  g_links[0].begin(pins[0], pins[1], [] { g_links[0].on_interrupt(); });
  g_links[1].begin(pins[2], pins[3], [] { g_links[1].on_interrupt(); });
#if defined(SPLIT_PORT_RTS_CTS)
  static const PinName flow_pins[] = {SPLIT_PORT_FLOW_PINS};
  g_links[0].control_flow(flow_pins[0], flow_pins[1]);
  g_links[1].control_flow(flow_pins[2], flow_pins[3]);
#endif
}

CountedStream& neighbour(size_t index) { return g_links[index]; }

}  // namespace split_port::arduino

#endif  // TARGET_RP2040 && !SPLIT_PORT_SPI
