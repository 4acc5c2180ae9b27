// SPDX-License-Identifier: Apache-2.0
#include "pio_uart.h"

#include "registers.h"

namespace split_port::rp2040 {
namespace {

constexpr uint32_t kPio = 0x50200000;
constexpr uint32_t kControl = kPio + 0x000;
constexpr uint32_t kFifoState = kPio + 0x004;
constexpr uint32_t kDebug = kPio + 0x008;
constexpr uint32_t kProgram = kPio + 0x048;
constexpr uint32_t kInterruptEnable = kPio + 0x12C;

// State machine 0 sends, 1 receives.
constexpr uint32_t kTxData = kPio + 0x010;
constexpr uint32_t kRxData = kPio + 0x024;
constexpr uint32_t kTxFull = 1u << 16;
constexpr uint32_t kTxEmpty = 1u << 24;
constexpr uint32_t kRxEmpty = 1u << 9;
constexpr uint32_t kRxStalled = 1u << 1;
constexpr uint32_t kTxStalled = 1u << 24;
constexpr uint32_t kOnReceived = 1u << 1;
constexpr uint32_t kOnRoom = 1u << 4;
constexpr uint32_t kEnableBoth = 3;

struct Machine {
  uint32_t divider, exec, shift, execute_now, pins;
};
constexpr Machine machine(uint32_t index) {
  const uint32_t base = kPio + 0x0C8 + 0x18 * index;
  return {base, base + 0x04, base + 0x08, base + 0x10, base + 0x14};
}

// ---- The instructions that are used (data sheet 3.4), 8 turns to a bit ----

constexpr uint16_t delay(uint32_t turns) { return static_cast<uint16_t>(turns << 8); }
// The sender's pin beside an instruction; leaves 3 bits for the delay.
constexpr uint16_t side(uint32_t level) { return static_cast<uint16_t>(1u << 12 | level << 11); }
constexpr uint16_t jump(uint32_t to) { return static_cast<uint16_t>(to); }
constexpr uint16_t jump_while_x(uint32_t to) { return static_cast<uint16_t>(2u << 5 | to); }
constexpr uint16_t wait_for_pin(uint32_t level) {
  return static_cast<uint16_t>(0x2000u | level << 7 | 1u << 5);
}
constexpr uint16_t kInBit = 0x4001;
constexpr uint16_t kOutBit = 0x6001;
constexpr uint16_t kPush = 0x8000;           // what does not fit is lost
constexpr uint16_t kPull = 0x8000 | 1u << 7 | 1u << 5;  // waits
constexpr uint16_t kSetX7 = 0xE000 | 1u << 5 | 7;
constexpr uint16_t kSetPinHigh = 0xE000 | 1;
constexpr uint16_t kSetPinOut = 0xE000 | 4u << 5 | 1;

constexpr uint32_t kTxBegin = 0;
constexpr uint32_t kTxBit = 2;
constexpr uint32_t kTxEnd = 3;
constexpr uint32_t kRxBegin = 4;
constexpr uint32_t kRxBit = 6;
constexpr uint32_t kRxEnd = 9;
constexpr uint16_t kInstructions[] = {
    static_cast<uint16_t>(kPull | side(1) | delay(7)),   // stop bit, and silence
    static_cast<uint16_t>(kSetX7 | side(0) | delay(7)),  // start bit
    kOutBit,
    static_cast<uint16_t>(jump_while_x(kTxBit) | delay(6)),

    wait_for_pin(0),
    static_cast<uint16_t>(kSetX7 | delay(10)),  // to the middle of the first bit
    kInBit,
    static_cast<uint16_t>(jump_while_x(kRxBit) | delay(6)),
    kPush,
    wait_for_pin(1),
};
static_assert(sizeof kInstructions / sizeof *kInstructions == kRxEnd + 1, "the places above");

constexpr uint32_t wrap(uint32_t begin, uint32_t end) { return begin << 7 | end << 12; }
constexpr uint32_t kSideOptional = 1u << 30;
constexpr uint32_t kShiftRight = 3u << 18;
constexpr uint32_t kJoinTx = 1u << 30;
constexpr uint32_t kJoinRx = 1u << 31;

// Sixteen bits, a point, eight bits.
uint32_t divider(uint32_t clock_hz, uint32_t baud) {
  const uint32_t in_256ths = (clock_hz / 8 * 16 + baud / 32) / (baud / 16);
  return (in_256ths < 256 ? 256 : in_256ths) << 8;
}

}  // namespace

void PioUart::begin(uint8_t tx_pin, uint8_t rx_pin, uint32_t clock_hz, uint32_t baud) {
  restart(kPio0Reset);
  reg(kControl) = 0;
  for (uint32_t index = 0; index <= kRxEnd; ++index) reg(kProgram + 4 * index) = kInstructions[index];
  constexpr Machine tx = machine(0), rx = machine(1);
  reg(tx.divider) = reg(rx.divider) = divider(clock_hz, baud);
  reg(tx.exec) = kSideOptional | wrap(kTxBegin, kTxEnd);
  reg(rx.exec) = wrap(kRxBegin, kRxEnd);
  reg(tx.shift) = kShiftRight | kJoinTx;
  reg(rx.shift) = kShiftRight | kJoinRx;
  // Side, set and out of the sender are one pin; two side bits, of which one says that the other counts.
  reg(tx.pins) = 2u << 29 | 1u << 26 | 1u << 20 | tx_pin * (1u << 10 | 1u << 5 | 1u);
  reg(rx.pins) = static_cast<uint32_t>(rx_pin) << 15;
  reg(tx.execute_now) = kSetPinHigh;
  reg(tx.execute_now) = kSetPinOut;
  reg(tx.execute_now) = jump(kTxBegin);
  reg(rx.execute_now) = jump(kRxBegin);
  begin_pin(tx_pin, kPio0Function);
  begin_pin(rx_pin, kPio0Function);
  reg(kControl) = kEnableBoth;
  reg(kInterruptEnable) = kOnReceived;
  enable_irq(kPioIrq);
}

// The sender stalls when it has nothing to send: behind the last bit.
bool PioUart::sent_all() const {
  if (!tx_.empty() || (reg(kFifoState) & kTxEmpty) == 0) return false;
  reg(kDebug) = kTxStalled;  // cleared, and set again at once if it still is so
  return (reg(kDebug) & kTxStalled) != 0;
}

void PioUart::on_interrupt() {
  drain_receiver();
  fill_transmitter();
}

bool PioUart::has_arrived() {
  if ((reg(kDebug) & kRxStalled) != 0) {
    reg(kDebug) = kRxStalled;
    ++counters_.lost_bytes;
  }
  return (reg(kFifoState) & kRxEmpty) == 0;
}

bool PioUart::take(uint8_t* byte) {
  *byte = static_cast<uint8_t>(reg(kRxData) >> 24);  // shifted in from the left
  return true;
}

void PioUart::pause_receiver() { reg(kInterruptEnable + kClear) = kOnReceived; }
void PioUart::resume_receiver() { reg(kInterruptEnable + kSet) = kOnReceived; }

bool PioUart::has_room() const { return (reg(kFifoState) & kTxFull) == 0; }
void PioUart::give(uint8_t byte) { reg(kTxData) = byte; }

void PioUart::begin_sending() { reg(kInterruptEnable + kSet) = kOnRoom; }
void PioUart::end_sending() { reg(kInterruptEnable + kClear) = kOnRoom; }

}  // namespace split_port::rp2040
