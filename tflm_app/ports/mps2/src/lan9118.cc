// SPDX-License-Identifier: Apache-2.0
#include "lan9118.h"

#include <cstring>

namespace split_port::mps2 {
namespace {

using split_core::ConstBytes;
using split_core::MutableBytes;

constexpr uint32_t kRxData = 0x00;
constexpr uint32_t kTxData = 0x20;
constexpr uint32_t kRxStatus = 0x40;
constexpr uint32_t kTxStatus = 0x48;
constexpr uint32_t kInterruptConfig = 0x54;
constexpr uint32_t kInterruptStatus = 0x58;
constexpr uint32_t kInterruptEnable = 0x5C;
constexpr uint32_t kByteTest = 0x64;
constexpr uint32_t kFifoInterrupt = 0x68;
constexpr uint32_t kRxConfig = 0x6C;
constexpr uint32_t kTxConfig = 0x70;
constexpr uint32_t kHardwareConfig = 0x74;
constexpr uint32_t kRxFifo = 0x7C;
constexpr uint32_t kTxFifo = 0x80;
constexpr uint32_t kMacCommand = 0xA4;
constexpr uint32_t kMacData = 0xA8;

constexpr uint32_t kByteOrder = 0x87654321;
constexpr uint32_t kReset = 1;
constexpr uint32_t kStoreAndForward = 1u << 20;
constexpr uint32_t kTxFifoOf5K = 5u << 16;
constexpr uint32_t kTxOn = 2;
constexpr uint32_t kStatusMayOverrun = 4;
// The line is driven, and high when something has come.
constexpr uint32_t kLineOn = 1u << 8 | 1u << 4 | 1;
constexpr uint32_t kRxStatusLevel = 1u << 3;

constexpr uint32_t kMacControl = 1;
constexpr uint32_t kMacAddressHigh = 2;
constexpr uint32_t kMacAddressLow = 3;
constexpr uint32_t kMacBusy = 1u << 31;
constexpr uint32_t kReceiverOn = 1u << 2;
constexpr uint32_t kTransmitterOn = 1u << 3;
constexpr uint32_t kFullDuplex = 1u << 20;
constexpr uint32_t kAllGroups = 1u << 19;  // which of them are for us is looked up in the frame

constexpr uint32_t kFirstAndLast = 1u << 13 | 1u << 12;
constexpr uint32_t kRxError = 1u << 15;
constexpr size_t kFcsBytes = 4;
constexpr size_t kCommandBytes = 8;

// Of a controller that is there none of these takes as many reads.
constexpr uint32_t kMostReads = 1'000'000;

volatile uint32_t& at(uint32_t offset) { return reg(kEthernetAddress + offset); }

bool becomes_clear(uint32_t offset, uint32_t mask) {
  for (uint32_t reads = 0; reads < kMostReads; ++reads) {
    if ((at(offset) & mask) == 0) return true;
  }
  return false;
}

bool write_mac(uint32_t index, uint32_t value) {
  at(kMacData) = value;
  at(kMacCommand) = kMacBusy | index;
  return becomes_clear(kMacCommand, kMacBusy);
}

bool set_address(const SegmentPlace& place) {
  uint8_t own[8] = {};
  store_address(place, place.rank, own);
  uint32_t low, high;
  std::memcpy(&low, own, sizeof low);
  std::memcpy(&high, own + sizeof low, sizeof high);
  return write_mac(kMacAddressLow, low) && write_mac(kMacAddressHigh, high);
}

}  // namespace

bool Lan9118::begin(const SegmentPlace& place) {
  if (at(kByteTest) != kByteOrder || !segment_.begin(place)) return false;
  at(kHardwareConfig) = kReset;
  if (!becomes_clear(kHardwareConfig, kReset)) return false;
  at(kHardwareConfig) = kStoreAndForward | kTxFifoOf5K;
  at(kTxConfig) = kTxOn | kStatusMayOverrun;
  at(kRxConfig) = 0;
  at(kFifoInterrupt) = 0;  // at the first status
  at(kInterruptConfig) = kLineOn;
  at(kInterruptEnable) = kRxStatusLevel;
  const uint32_t on = kReceiverOn | kTransmitterOn | kFullDuplex | kAllGroups;
  has_begun_ = set_address(place) && write_mac(kMacControl, on);
  if (has_begun_) enable_irq(kEthernetIrq);
  return has_begun_;
}

bool Lan9118::send(ConstBytes frame) {
  while ((at(kTxFifo) >> 16 & 0xFF) != 0) [[maybe_unused]] const uint32_t status = at(kTxStatus);
  if ((at(kTxFifo) & 0xFFFF) < frame.size() + kCommandBytes + sizeof(uint32_t)) return false;
  at(kTxData) = kFirstAndLast | static_cast<uint32_t>(frame.size());
  at(kTxData) = static_cast<uint32_t>(frame.size());
  for (size_t done = 0; done < frame.size(); done += sizeof(uint32_t)) {
    const size_t left = frame.size() - done;
    uint32_t word = 0;
    std::memcpy(&word, frame.data() + done, left < sizeof word ? left : sizeof word);
    at(kTxData) = word;
  }
  return true;
}

void Lan9118::on_interrupt() {
  // Cleared first: a frame that comes during the loop raises it again.
  at(kInterruptStatus) = kRxStatusLevel;
  while ((at(kRxFifo) >> 16 & 0xFF) != 0) take_frame();
}

void Lan9118::take_frame() {
  const uint32_t status = at(kRxStatus);
  const size_t bytes = status >> 16 & 0x3FFF;
  for (size_t done = 0; done < bytes; done += sizeof(uint32_t)) {
    const uint32_t word = at(kRxData);
    if (done + sizeof word <= sizeof frame_) std::memcpy(frame_ + done, &word, sizeof word);
  }
  if ((status & kRxError) != 0 || bytes > sizeof frame_ || bytes <= kFcsBytes) return;
  segment_.take(MutableBytes(frame_, bytes - kFcsBytes));
}

LinkCounters Lan9118::counters(size_t index) const {
  InterruptLock lock;
  return segment_.counters(index);
}

}  // namespace split_port::mps2
