// SPDX-License-Identifier: Apache-2.0
#include "workload.h"

namespace sim {
namespace {

constexpr uint8_t kUntouched = 0x5A;

// The box as a message, by the plain definition: n, h, w, c loops, one element at a time.
std::vector<uint8_t> packed(const Piece& piece) {
  std::vector<uint8_t> bytes;
  const StridedBox& box = piece.box;
  for (uint32_t n = 0; n < box.extent[0]; ++n) {
    for (uint32_t h = 0; h < box.extent[1]; ++h) {
      for (uint32_t w = 0; w < box.extent[2]; ++w) {
        for (uint32_t c = 0; c < box.extent[3]; ++c) {
          const uint8_t* at = box.base + n * box.stride_bytes[0] + h * box.stride_bytes[1] +
                              w * box.stride_bytes[2] + c * box.stride_bytes[3];
          for (uint8_t b = 0; b < box.element_bytes; ++b) bytes.push_back(at[b]);
        }
      }
    }
  }
  return bytes;
}

bool all_untouched(const std::vector<uint8_t>& bytes) {
  for (uint8_t byte : bytes) {
    if (byte != kUntouched) return false;
  }
  return true;
}

}  // namespace

Piece Workload::make_piece(const uint32_t extent[4], uint8_t element_bytes, Random& random,
                           bool dense) {
  uint32_t shape[4], start[4], stop[4];
  size_t size = element_bytes;
  for (int axis = 0; axis < 4; ++axis) {
    const uint32_t before = dense ? 0 : random.below(3);
    const uint32_t after = dense ? 0 : random.below(3);
    start[axis] = before;
    stop[axis] = before + extent[axis];
    shape[axis] = stop[axis] + after;
    size *= shape[axis];
  }
  Piece piece;
  piece.tensor.assign(size, kUntouched);
  piece.element_bytes = element_bytes;
  if (!StridedBox::make(piece.tensor.data(), shape, start, stop, element_bytes, &piece.box)) {
    early_write_ = true;  // cannot happen; makes exact() fail if it does
  }
  return piece;
}

size_t Workload::add_message(uint8_t source, uint64_t destinations, const uint32_t extent[4],
                             uint8_t element_bytes, Random& random, bool dense) {
  Message message;
  message.channel = static_cast<uint16_t>(messages_.size() % 5 + 100);  // channels are used again
  message.source = source;
  message.destinations = destinations;
  message.sent = make_piece(extent, element_bytes, random, dense);
  for (uint8_t& byte : message.sent.tensor) byte = static_cast<uint8_t>(random.below(256));
  message.received.resize(cluster_.size());
  for (uint8_t rank = 0; rank < cluster_.size(); ++rank) {
    if ((destinations & rank_bit(rank)) == 0) continue;
    message.received[rank] = make_piece(extent, element_bytes, random, dense);
  }
  messages_.push_back(std::move(message));
  return messages_.size() - 1;
}

void Workload::send(size_t message) {
  programs_[messages_[message].source].ops.push_back({Op::Kind::kSend, {message}, 0});
}

void Workload::recv(uint8_t rank, std::vector<size_t> messages) {
  programs_[rank].ops.push_back({Op::Kind::kRecv, std::move(messages), 0});
}

void Workload::kernel(uint8_t rank, uint32_t us) {
  programs_[rank].ops.push_back({Op::Kind::kKernel, {}, us});
}

void Workload::add_random(uint32_t steps, uint32_t most_bytes, uint32_t most_kernel_us,
                          Random& random) {
  const uint8_t count = cluster_.size();
  for (uint32_t step = 0; step < steps; ++step) {
    // Some ranks send, each to a random set; then every rank receives what is for it at once.
    std::vector<std::vector<size_t>> boxes(count);
    const uint32_t senders = random.between(1, count);
    for (uint32_t i = 0; i < senders; ++i) {
      const auto source = static_cast<uint8_t>(random.below(count));
      const uint64_t others = (rank_bit(count) - 1) & ~rank_bit(source);
      const uint64_t wanted = random.chance(0.3) ? others : random.next() & others;
      const uint64_t destinations = wanted != 0 ? wanted : others;
      const uint8_t element_bytes = static_cast<uint8_t>(1u << random.below(3));
      uint32_t extent[4] = {1, random.between(1, 6), random.between(1, 7), 1};
      const uint32_t row = extent[1] * extent[2] * element_bytes;
      extent[3] = 1 + random.below(most_bytes / row + 1);
      const size_t message =
          add_message(source, destinations, extent, element_bytes, random, random.chance(0.3));
      // Two boxes of one RECV must not share channel and source.
      bool clash = false;
      for (uint8_t rank = 0; rank < count; ++rank) {
        if ((destinations & rank_bit(rank)) == 0) continue;
        for (size_t other : boxes[rank]) {
          clash = clash || (messages_[other].channel == messages_[message].channel &&
                            messages_[other].source == source);
        }
        clash = clash || boxes[rank].size() >= 8;
      }
      if (clash) {
        messages_[message].destinations = 0;
        continue;
      }
      send(message);
      for (uint8_t rank = 0; rank < count; ++rank) {
        if ((destinations & rank_bit(rank)) != 0) boxes[rank].push_back(message);
      }
    }
    for (uint8_t rank = 0; rank < count; ++rank) {
      if (most_kernel_us > 0 && random.chance(0.4)) kernel(rank, random.below(most_kernel_us) + 1);
      if (!boxes[rank].empty()) recv(rank, boxes[rank]);
    }
  }
}

void Workload::add_all_gather(uint32_t bytes, Random& random) {
  const uint8_t count = cluster_.size();
  const uint32_t extent[4] = {1, 1, 1, bytes};
  std::vector<size_t> all;
  for (uint8_t rank = 0; rank < count; ++rank) {
    all.push_back(add_message(rank, (rank_bit(count) - 1) & ~rank_bit(rank), extent, 1, random,
                              true));
    send(all.back());
  }
  for (uint8_t rank = 0; rank < count; ++rank) {
    std::vector<size_t> boxes;
    for (uint8_t source = 0; source < count; ++source) {
      if (source != rank) boxes.push_back(all[source]);
    }
    recv(rank, boxes);
  }
}

bool Workload::start(uint8_t rank, const Op& op) {
  Communicator& communicator = cluster_.node(rank).communicator();
  if (op.kind == Op::Kind::kKernel) {
    cluster_.busy_for(rank, op.kernel_us);
    return true;
  }
  for (size_t index : op.messages) {
    Message& message = messages_[index];
    if (op.kind == Op::Kind::kSend) {
      const Error error =
          communicator.post_send(message.channel, message.destinations, message.sent.box);
      if (error.code == ErrorCode::kSendSlotsFull) return false;
    } else {
      early_write_ = early_write_ || !all_untouched(message.received[rank].tensor);
      communicator.begin_recv(message.channel, message.source, message.received[rank].box);
    }
  }
  return true;
}

// Runs `rank`'s program as far as it goes now. True when it is through.
bool Workload::advance(uint8_t rank) {
  Program& program = programs_[rank];
  Communicator& communicator = cluster_.node(rank).communicator();
  if (communicator.epoch() != epoch_) return false;  // was reset; it has lost its place
  while (!cluster_.is_busy(rank)) {
    if (program.waiting) {
      if (!communicator.recvs_complete()) return false;
      program.waiting = false;
      ++program.next;
    }
    if (program.next == program.ops.size()) return communicator.all_sends_released();
    const Op& op = program.ops[program.next];
    if (!start(rank, op)) return false;
    program.waiting = op.kind == Op::Kind::kRecv;
    if (!program.waiting) ++program.next;
  }
  return false;
}

bool Workload::run(uint16_t epoch, uint32_t timeout_us) {
  cluster_.begin_epoch(epoch);
  epoch_ = epoch;
  for (Program& program : programs_) program = Program{program.ops, 0, false};
  for (Message& message : messages_) {
    for (Piece& piece : message.received) {
      for (uint8_t& byte : piece.tensor) byte = kUntouched;
    }
  }
  bool failed = false;
  const bool finished = cluster_.run_until(
      [this, &failed] {
        bool done = true;
        failed = failed || (on_step && on_step());
        for (uint8_t rank = 0; rank < cluster_.size(); ++rank) {
          const Error& error = cluster_.node(rank).communicator().error();
          failed = failed || !error.ok();
          done = advance(rank) && done;
        }
        return done || failed;
      },
      timeout_us);
  return finished && !failed;
}

bool Workload::exact() const {
  if (early_write_) return false;
  for (const Message& message : messages_) {
    const std::vector<uint8_t> sent = packed(message.sent);
    for (const Piece& piece : message.received) {
      if (piece.tensor.empty() || message.destinations == 0) continue;
      if (packed(piece) != sent) return false;
      Piece outside = piece;  // blank the box, then nothing else may differ
      outside.box.base = outside.tensor.data() + (piece.box.base - piece.tensor.data());
      const std::vector<uint8_t> blank(sent.size(), kUntouched);
      write_box(outside.box, 0, blank.data(), static_cast<uint32_t>(blank.size()));
      if (!all_untouched(outside.tensor)) return false;
    }
  }
  return true;
}

uint64_t Workload::payload_bytes() const {
  uint64_t total = 0;
  for (const Message& message : messages_) {
    if (message.destinations != 0) total += message.sent.box.size_bytes();
  }
  return total;
}

}  // namespace sim
