// SPDX-License-Identifier: Apache-2.0
// The life of a device: boot, self-check, handshake; then wait for input, run the graph, send the
// result, again. Whatever goes wrong ends the inference, is reported, and the device waits again.
#ifndef SPLIT_DEVICE_DEVICE_RUNNER_H_
#define SPLIT_DEVICE_DEVICE_RUNNER_H_

#include "split_device/control.h"
#include "split_device/exchange.h"

namespace split_device {

// This device's part of the network: TFLM's interpreter, or what a test puts in its place.
class Graph {
 public:
  virtual size_t input_count() const = 0;
  virtual size_t output_count() const = 0;
  // The tensors' memory; dense, valid as long as the graph.
  virtual split_core::MutableBytes input(size_t index) = 0;
  virtual split_core::MutableBytes output(size_t index) = 0;
  // False if an operator failed; the exchange knows what, if it was one of ours.
  virtual bool invoke() = 0;

 protected:
  ~Graph() = default;
};

// What the board gives.
struct Board {
  split_core::Clock* clock;
  uint64_t (*ticks)();
  uint32_t ticks_per_second;
  void (*print)(const char* text);
  Control::LostBytes lost_bytes;  // may be null
  uint32_t (*console_lost_bytes)() = nullptr;
  uint32_t (*stack_used_bytes)() = nullptr;
};

// What goes on beside a device in the same program, wherever the device waits: the application that
// takes the host's place.
class Companion {
 public:
  virtual void step() = 0;
  // Whether it has input for some device yet: until then this device does not begin to compute.
  virtual bool gives_input() const = 0;

 protected:
  ~Companion() = default;
};

class DeviceRunner final : public WaitObserver, public QueueObserver {
 public:
  DeviceRunner(const Board& board, split_core::Node& node, Exchange& exchange, Control& control,
               uint32_t timeout_us)
      : board_(board), node_(node), exchange_(exchange), control_(control),
        timeout_us_(timeout_us) {
    control_.attach(&node, board.lost_bytes);
    control_.set_observer(this);
    exchange_.set_observer(this);
    begun_us_ = board.clock->now_us();
  }

  // The self-check failed: this device runs nothing, forwards for others and says why when asked.
  void set_broken(const TextLine& why);

  // Serves until somebody looks for boards (Node::was_surveyed), between two inferences or in one
  // that has waited 300 ms since; if
  // `inferences` is not 0 it also returns after so many, done or not. Returns how many there were.
  uint32_t serve(Graph& graph, uint32_t inferences = 0);
  // Memory beside the graph's: the input of the next inference arrives there while this one computes.
  // As large as all inputs of the graph, or not used.
  void set_next_input(split_core::MutableBytes memory) {
    next_input_ = memory;
    control_.info.next_input_bytes = static_cast<uint32_t>(memory.size());
  }
  void set_companion(Companion* companion) { companion_ = companion; }
  // One turn of waiting, and an inference if the host has asked for one; whether it had.
  bool serve_once(Graph& graph);
  // One turn of waiting: moves bytes, answers the host, sleeps until there is news.
  void turn();

  // Somebody looks for boards, and wants this one to answer.
  bool is_surveyed() { return node_.was_surveyed(begun_us_); }

  bool on_wait() override;
  void on_queued() override;

 private:
  void run(Graph& graph, const Start& start);
  void describe(const Graph& graph);
  bool take_inputs(Graph& graph);
  void ask_next_inputs();
  bool run_graph(Graph& graph);
  bool give_outputs(Graph& graph);
  void finish();
  void note_stack();
  void print_result();
  void watch_links();
  bool is_given_up();

  const Board board_;
  split_core::Node& node_;
  Exchange& exchange_;
  Control& control_;
  Companion* companion_ = nullptr;
  Graph* graph_ = nullptr;  // of the inference under way, once it has asked for its input
  split_core::MutableBytes next_input_;
  uint32_t timeout_us_;
  uint32_t begun_us_ = 0;
  uint32_t phase_us_ = 0;
  uint32_t quiet_us_ = 0;  // until then nobody looked for boards
  bool was_up_ = false;
};

}  // namespace split_device

#endif  // SPLIT_DEVICE_DEVICE_RUNNER_H_
