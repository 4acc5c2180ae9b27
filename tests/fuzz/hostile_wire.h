// SPDX-License-Identifier: Apache-2.0
// A wire between two real nodes, in the hands of somebody hostile: frames from the neighbour to the
// device under test are lost, repeated, changed and invented, with sound check sums, as the input
// says. The way back only loses bytes. Without input the wire is honest.
#ifndef TESTS_FUZZ_HOSTILE_WIRE_H_
#define TESTS_FUZZ_HOSTILE_WIRE_H_

#include <vector>

#include "input.h"
#include "split_core/endian.h"
#include "split_core/node.h"

namespace fuzz {

using namespace split_core;

// Bytes on their way.
class Queue {
 public:
  void put(const uint8_t* from, size_t count) { bytes_.insert(bytes_.end(), from, from + count); }
  size_t take(MutableBytes to) {
    const size_t left = bytes_.size() - taken_;
    const size_t count = left < to.size() ? left : to.size();
    if (count > 0) std::memcpy(to.data(), bytes_.data() + taken_, count);
    taken_ += count;
    if (taken_ == bytes_.size()) clear();
    return count;
  }
  void clear() {
    bytes_.clear();
    taken_ = 0;
  }

 private:
  std::vector<uint8_t> bytes_;
  size_t taken_ = 0;
};

// What an attacker does to a frame; the input names them by number, so only append.
enum class Attack : uint8_t {
  kNone, kLose, kRepeat, kChangeHeader, kChangePayload, kResize, kGarbage, kInvent, kReplay, kCount
};

class HostileWire {
 public:
  // `epoch` is that of the honest inference, kept by the caller.
  HostileWire(Input* input, const uint16_t* epoch, size_t mtu_bytes)
      : input_(input),
        honest_epoch_(epoch),
        buffer_(mtu_bytes),
        decoder_(MutableBytes(buffer_.data(), mtu_bytes)),
        reply_(mtu_bytes),
        replies_(MutableBytes(reply_.data(), mtu_bytes)) {}

  void make_honest() {
    input_ = nullptr;
    lost_bytes_ = 0;
    to_device_.clear();
    to_neighbour_.clear();
  }
  // GRANTs of later inferences take the device's slots for as long as those may still come
  // (SECURITY.md): such an attacker can stop it.
  bool has_forged_grants() const { return has_forged_grants_; }

  size_t read_as_device(MutableBytes to) { return to_device_.take(to); }
  size_t read_as_neighbour(MutableBytes to) { return to_neighbour_.take(to); }

  size_t write_as_neighbour(ConstBytes from) {
    for_each_frame(&decoder_, from, [this] { carry(); });
    return from.size();
  }

  size_t write_as_device(ConstBytes from) {
    for_each_frame(&replies_, from, [this] { require_sound_reply(); });
    if (lost_bytes_ > 0) {
      lost_bytes_ -= from.size() < lost_bytes_ ? from.size() : lost_bytes_;
    } else {
      to_neighbour_.put(from.data(), from.size());
    }
    return from.size();
  }
  void lose_replies(size_t bytes) { lost_bytes_ = bytes; }

  // A frame from nowhere, its fields from the input, if there is any.
  void invent() {
    if (input_ == nullptr) return;
    FrameHeader header;
    header.type = static_cast<FrameType>(input_->u8());
    header.sequence = static_cast<uint8_t>(next_sequence_ + input_->u8());
    header.ack = static_cast<uint8_t>(last_.ack + input_->u8());
    header.credit = input_->u8();
    header.source = input_->u8();
    header.channel = input_->u16();
    header.destinations = input_->u8();
    header.offset = input_->u16();
    header.epoch = static_cast<uint16_t>(last_.epoch + input_->u16());
    std::vector<uint8_t> payload(input_->u8());
    for (uint8_t& byte : payload) byte = input_->u8();
    send(header, payload);
  }

 private:
  template <typename Action>
  static void for_each_frame(FrameDecoder* decoder, ConstBytes bytes, Action action) {
    while (!bytes.empty()) {
      FrameDecoder::Event event;
      bytes = bytes.subspan(decoder->push(bytes, &event));
      if (event == FrameDecoder::Event::kFrame) action();
    }
  }

  struct Sink final : ByteStream {
    explicit Sink(Queue* to) : bytes(to) {}
    size_t read(MutableBytes) override { return 0; }
    size_t write(ConstBytes from) override {
      bytes->put(from.data(), from.size());
      return from.size();
    }
    Queue* bytes;
  };

  void send(const FrameHeader& header, const std::vector<uint8_t>& payload) {
    const size_t most = max_payload_bytes(buffer_.size());
    const size_t size = payload.size() < most ? payload.size() : most;
    const auto ahead = static_cast<int16_t>(static_cast<uint16_t>(header.epoch - *honest_epoch_));
    has_forged_grants_ |= header.type == FrameType::kGrant && ahead > 0;
    if (is_sequenced(header.type)) next_sequence_ = static_cast<uint8_t>(header.sequence + 1);
    FrameEncoder encoder;
    Sink sink(&to_device_);
    encoder.start(header, ConstBytes(payload.data(), size));
    while (!encoder.done()) encoder.write_to(sink);
  }

  void carry() {
    FrameHeader header;
    const HeaderError error = load_header(buffer_.data(), decoder_.frame_bytes(), &header);
    REQUIRE(error == HeaderError::kNone);
    std::vector<uint8_t> payload(buffer_.begin() + kHeaderBytes,
                                 buffer_.begin() + static_cast<std::ptrdiff_t>(decoder_.frame_bytes()));
    const bool attacked = input_ != nullptr && !input_->empty();
    const auto attack = static_cast<Attack>(attacked ? input_->u8() % static_cast<uint8_t>(Attack::kCount) : 0);
    switch (attack) {
      case Attack::kLose:
        return;
      case Attack::kRepeat:
        send(header, payload);
        break;
      case Attack::kChangeHeader:
        change(&header);
        break;
      case Attack::kChangePayload:
        if (!payload.empty()) payload[input_->u8() % payload.size()] = input_->u8();
        break;
      case Attack::kResize:
        payload.resize(input_->u8(), input_->u8());
        break;
      case Attack::kGarbage:
        for (uint8_t left = input_->u8(); left > 0; --left) {
          const uint8_t byte = input_->u8();
          to_device_.put(&byte, 1);
        }
        break;
      case Attack::kInvent:
        invent();
        break;
      case Attack::kReplay:
        send(last_, last_payload_);
        break;
      case Attack::kNone:
      case Attack::kCount:
        break;
    }
    send(header, payload);
    last_ = header;
    last_payload_ = payload;
  }

  void change(FrameHeader* header) {
    const uint8_t field = input_->u8() % 9;
    const uint16_t value = input_->u16();
    switch (field) {
      case 0: header->type = static_cast<FrameType>(value); break;
      case 1: header->sequence = static_cast<uint8_t>(header->sequence + value); break;
      case 2: header->ack = static_cast<uint8_t>(header->ack + value); break;
      case 3: header->credit = static_cast<uint8_t>(value); break;
      case 4: header->source = static_cast<uint8_t>(value); break;
      case 5: header->channel = static_cast<uint16_t>(header->channel + value); break;
      case 6: header->destinations ^= value; break;
      case 7: header->offset += value; break;
      default: header->epoch = static_cast<uint16_t>(header->epoch + value); break;
    }
  }

  // Whatever a device is told, it speaks well itself.
  void require_sound_reply() const {
    FrameHeader header;
    REQUIRE(load_header(reply_.data(), replies_.frame_bytes(), &header) == HeaderError::kNone);
    REQUIRE(header.credit <= kMaxRxSlots);
    REQUIRE(!is_sequenced(header.type) || header.destinations != 0);
  }

  Input* input_;
  const uint16_t* honest_epoch_;
  std::vector<uint8_t> buffer_;
  FrameDecoder decoder_;
  std::vector<uint8_t> reply_;
  FrameDecoder replies_;
  Queue to_device_, to_neighbour_;
  size_t lost_bytes_ = 0;
  FrameHeader last_;
  std::vector<uint8_t> last_payload_;
  uint8_t next_sequence_ = 0;
  bool has_forged_grants_ = false;
};

// One end of it.
class WireEnd final : public ByteStream {
 public:
  WireEnd(HostileWire* wire, bool is_device) : wire_(wire), is_device_(is_device) {}
  size_t read(MutableBytes to) override {
    return is_device_ ? wire_->read_as_device(to) : wire_->read_as_neighbour(to);
  }
  size_t write(ConstBytes from) override {
    return is_device_ ? wire_->write_as_device(from) : wire_->write_as_neighbour(from);
  }

 private:
  HostileWire* wire_;
  bool is_device_;
};

}  // namespace fuzz

#endif  // TESTS_FUZZ_HOSTILE_WIRE_H_
