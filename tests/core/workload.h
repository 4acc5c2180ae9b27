// SPDX-License-Identifier: Apache-2.0
// Static schedules for a simulated cluster, as a split model has them, run and checked byte for
// byte: each rank executes its own list in order; a SEND posts, a RECV waits.
#ifndef TESTS_CORE_WORKLOAD_H_
#define TESTS_CORE_WORKLOAD_H_

#include <functional>

#include "sim.h"

namespace sim {

// A tensor in memory with a box of it.
struct Piece {
  std::vector<uint8_t> tensor;
  StridedBox box;
  uint8_t element_bytes = 1;
};

struct Message {
  uint16_t channel;
  uint8_t source;
  uint64_t destinations;
  Piece sent;
  std::vector<Piece> received;  // by rank; empty where it is not a destination
};

struct Op {
  enum class Kind { kSend, kRecv, kKernel } kind;
  std::vector<size_t> messages;  // kSend: one; kRecv: the boxes
  uint32_t kernel_us = 0;
};

class Workload {
 public:
  explicit Workload(Cluster& cluster) : cluster_(cluster), programs_(cluster.size()) {}

  // A message whose box has these extents, placed at random in larger tensors on each side.
  size_t add_message(uint8_t source, uint64_t destinations, const uint32_t extent[4],
                     uint8_t element_bytes, Random& random, bool dense);
  void send(size_t message);
  void recv(uint8_t rank, std::vector<size_t> messages);
  void kernel(uint8_t rank, uint32_t us);

  // `steps` random exchanges among all ranks in one global order, some with several sources.
  void add_random(uint32_t steps, uint32_t most_bytes, uint32_t most_kernel_us, Random& random);
  // Every rank sends `bytes` to all others.
  void add_all_gather(uint32_t bytes, Random& random);

  // Called between two steps of run(); true ends the run (as failed).
  std::function<bool()> on_step;
  // Runs all programs as inference `epoch`. False on a timeout or when a node reports an error.
  bool run(uint16_t epoch, uint32_t timeout_us);
  // Every byte of every box arrived, and no byte outside of the boxes changed.
  bool exact() const;
  uint64_t payload_bytes() const;

 private:
  struct Program {
    std::vector<Op> ops;
    size_t next = 0;
    bool waiting = false;
  };
  bool advance(uint8_t rank);
  bool start(uint8_t rank, const Op& op);
  Piece make_piece(const uint32_t extent[4], uint8_t element_bytes, Random& random, bool dense);

  Cluster& cluster_;
  std::vector<Program> programs_;
  std::vector<Message> messages_;
  uint16_t epoch_ = 0;
  bool early_write_ = false;
};

}  // namespace sim

#endif  // TESTS_CORE_WORKLOAD_H_
