// SPDX-License-Identifier: Apache-2.0
#include "split_core/error.h"

namespace split_core {
namespace {

// snprintf would bring a formatter and, in newlib, a heap; this needs neither.
class Line {
 public:
  Line(char* to, size_t capacity) : to_(to), capacity_(capacity) {
    if (capacity_ > 0) to_[0] = '\0';
  }
  Line& text(const char* words) {
    while (*words != '\0') put(*words++);
    return *this;
  }
  Line& number(uint32_t value) {
    char digits[10];
    size_t count = 0;
    do {
      digits[count++] = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value > 0);
    while (count > 0) put(digits[--count]);
    return *this;
  }
  size_t length() const { return length_; }

 private:
  void put(char letter) {
    if (length_ + 1 >= capacity_) return;
    to_[length_++] = letter;
    to_[length_] = '\0';
  }
  char* to_;
  size_t capacity_;
  size_t length_ = 0;
};

const char* describe(ErrorCode code) {
  switch (code) {
    case ErrorCode::kOk: return "no error";
    case ErrorCode::kVersionMismatch: return "speaks another protocol version; flash it again";
    case ErrorCode::kFingerprintMismatch: return "runs another plan; flash it from this one";
    case ErrorCode::kRankMismatch: return "is wired here but the plan has another rank here";
    case ErrorCode::kWorldSizeMismatch: return "was built for another number of devices";
    case ErrorCode::kMtuMismatch: return "uses another frame size (MTU)";
    case ErrorCode::kPeerSilent: return "does not answer; check its power and wires";
    case ErrorCode::kPeerReset: return "was reset during the inference";
    case ErrorCode::kTimeout: return "did not deliver in time";
    case ErrorCode::kSizeMismatch: return "expects another message size on this channel";
    case ErrorCode::kUnexpectedData: return "sent data that nobody asked for";
    case ErrorCode::kBadOffset: return "sent data outside of the message";
    case ErrorCode::kBadArgument: return "wrong argument";
    case ErrorCode::kSendSlotsFull: return "all send slots are in use";
    case ErrorCode::kRecvSlotsFull: return "all receive slots are in use";
    case ErrorCode::kGrantSlotsFull: return "all grant slots are in use";
    case ErrorCode::kMemoryTooSmall: return "the memory given to the node is too small";
    case ErrorCode::kOperatorFailed: return "failed in an operator; its own report says why";
  }
  return "unknown error";
}

}  // namespace

size_t format_error(const Error& error, char* to, size_t capacity) {
  Line line(to, capacity);
  if (error.rank != kNoRank) line.text("rank ").number(error.rank).text(" ");
  if (error.link != kNoLink || error.channel != kNoChannel) {
    line.text("(");
    if (error.link != kNoLink) line.text("link ").number(error.link);
    if (error.link != kNoLink && error.channel != kNoChannel) line.text(", ");
    if (error.channel != kNoChannel) line.text("channel ").number(error.channel);
    line.text(") ");
  }
  line.text(describe(error.code));
  if (error.reporter != kNoRank) line.text(" [seen by rank ").number(error.reporter).text("]");
  return line.length();
}

}  // namespace split_core
