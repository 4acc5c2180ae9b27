// SPDX-License-Identifier: Apache-2.0
// The host's part of docs/cluster_protocol.md inside of the gateway's own program: input from the
// application's rows, output into its memory. It is a node of the host's rank, wired to the device
// by a stream in memory; no device, nor the gateway itself, can tell it from a computer.
#ifndef SPLIT_DEVICE_APPLICATION_HOST_H_
#define SPLIT_DEVICE_APPLICATION_HOST_H_

#include "split_core/node.h"
#include "split_device/cluster_protocol.h"
#include "split_device/device_runner.h"
#include "split_device/memory_wire.h"

namespace split_device {

// An input or output of the model; its rows are the first dimension that is not 1.
struct ModelTensor {
  uint32_t shape[4];
  uint8_t item_bytes;  // 1, 2 or 4
  uint32_t row_bytes() const { return shape[1] * shape[2] * shape[3] * item_bytes; }
  uint32_t size_bytes() const { return shape[0] * row_bytes(); }
};

// A box of one of them, and who reads or makes it.
struct ModelPart {
  uint64_t ranks;
  uint16_t channel;
  uint8_t tensor;
  uint32_t start[4];
  uint32_t stop[4];
};

// The rows of an input that are here now.
struct RowWindow {
  const ModelTensor* tensor = nullptr;
  uint8_t index = 0;
  uint32_t first = 0;
  uint32_t count = 0;
  uint8_t* data = nullptr;
};

// A part of an input as a message: its bytes are there while their rows are in the window.
class RowSource final : public split_core::MessageSource {
 public:
  void begin(const ModelPart& part, const RowWindow& window);
  uint32_t read(uint32_t offset, uint8_t* to, uint32_t most) override;
  // Whether nothing of the window is left that this part wants.
  bool is_through() const;

 private:
  const ModelPart* part_ = nullptr;
  const RowWindow* window_ = nullptr;
  uint32_t taken_ = 0;
};

// What the generator writes about a plan. Everything it points to lives as long as the program.
struct ApplicationDescription {
  split_core::NodeConfig node;  // of the host's rank, without boot_nonce
  void* node_memory;
  size_t node_memory_bytes;
  const ModelTensor* inputs;
  uint8_t input_count;
  const ModelPart* input_parts;
  RowSource* sources;  // one for each of them
  uint8_t input_part_count;
  const ModelTensor* outputs;
  uint8_t output_count;
  const ModelPart* output_parts;
  uint8_t output_part_count;
  uint32_t timeout_us;  // longest inference
};

// Rows [first, first + count) of input `input`, dense, into `to`; each row is asked for once, from
// the first to the last, one input after the other. False ends the inference.
using ReadRows = bool (*)(void* context, uint8_t input, uint32_t first, uint32_t count,
                          uint8_t* to);

class ApplicationHost final : public Companion, public split_core::DatagramHandler {
 public:
  explicit ApplicationHost(const ApplicationDescription& about) : about_(about) {}

  // Makes the node; the stream for the gateway's host link, or null if the memory is too small.
  split_core::ByteStream* set_up(split_core::Clock& clock, uint32_t boot_nonce);

  // Begins an inference. `rows` takes `row_count` rows of the widest input at a time. `outputs`:
  // all outputs one behind the other; null: they are not wanted.
  void begin(ReadRows read, void* context, uint8_t* rows, uint32_t rows_bytes, uint8_t* outputs);
  bool is_over() const { return phase_ == Step::kDone || phase_ == Step::kFailed; }
  bool is_done() const { return phase_ == Step::kDone; }
  // What went wrong.
  const TextLine& text() const { return text_; }
  const ApplicationDescription& about() const { return about_; }

  void step() override;
  bool gives_input() const override { return phase_ == Step::kRunning && !all_given_; }
  void on_datagram(uint8_t source, uint16_t channel, split_core::ConstBytes payload) override;

 private:
  enum class Step : uint8_t { kNothing, kAsking, kRunning, kDone, kFailed };

  void ask();
  void start();
  bool post_inputs();
  bool expect_outputs();
  void run();
  void feed();
  bool is_taken() const;
  bool next_rows();
  void send_when_due(size_t bytes);
  void fail(const char* words);
  void fail(const split_core::Error& error);
  uint32_t now_us() { return clock_->now_us(); }
  uint64_t everyone() const { return split_core::rank_bit(about_.node.world_size) - 1; }

  const ApplicationDescription& about_;
  split_core::Clock* clock_ = nullptr;
  split_core::Node* node_ = nullptr;
  MemoryWire wire_;

  Step phase_ = Step::kNothing;
  uint32_t begun_us_ = 0;
  uint32_t due_us_ = 0;  // when QUERY or START leaves again
  bool is_due_ = false;
  uint16_t epoch_ = 0;
  uint64_t ready_ = 0;  // ranks that are idle, with all links up
  uint64_t done_ = 0;   // ranks that have reported
  Report report_;       // the first that tells of a fault
  bool has_fault_ = false;

  ReadRows read_ = nullptr;
  void* context_ = nullptr;
  uint32_t rows_bytes_ = 0;
  uint8_t* outputs_ = nullptr;
  RowWindow window_;
  bool all_given_ = false;
  uint8_t buffer_[kMaxControlBytes];
  TextLine text_;
};

}  // namespace split_device

#endif  // SPLIT_DEVICE_APPLICATION_HOST_H_
