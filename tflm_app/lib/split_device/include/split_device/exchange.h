// SPDX-License-Identifier: Apache-2.0
// The transfers of one inference: what SEND and RECV do, with time-outs, counters, and words for
// what goes wrong. One for each device, handed to the operators through TFLM's external context.
#ifndef SPLIT_DEVICE_EXCHANGE_H_
#define SPLIT_DEVICE_EXCHANGE_H_

#include "split_core/node.h"
#include "split_device/text_line.h"

namespace split_device {

// A posted SEND that may still read its tensor.
struct PostedSend {
  const void* tensor = nullptr;  // null: the entry is free
  uint16_t channel = 0;
};

struct TransferCounters {
  uint32_t sent_bytes = 0;  // a box for k ranks counts k times
  uint32_t received_bytes = 0;
  uint32_t wait_us = 0;
  uint64_t wait_ticks = 0;
};

// What a device does while it waits, and whether it should go on waiting.
class WaitObserver {
 public:
  virtual bool on_wait() = 0;

 protected:
  ~WaitObserver() = default;
};

class Exchange {
 public:
  // `posted` has one entry for each of the node's send slots. `ticks` counts as in split_port.
  Exchange(split_core::Node& node, split_core::Clock& clock, uint64_t (*ticks)(),
           PostedSend* posted, uint8_t posted_count)
      : node_(node), clock_(clock), ticks_(ticks), posted_(posted), posted_count_(posted_count) {}

  void set_observer(WaitObserver* observer) { observer_ = observer; }

  // Starts inference `epoch`: forgets everything of the one before.
  void begin(uint16_t epoch, uint32_t timeout_us);

  // ---- For the operators; false after an error, which is kept ----

  // Offers a box of `tensor` (any pointer that names it) to ranks; each counts once in sent_bytes.
  bool post(const void* tensor, uint16_t channel, uint64_t ranks,
            const split_core::StridedBox& box);
  bool receive(uint16_t channel, uint8_t source, const split_core::StridedBox& box);
  // Until all that receive() began is there and nothing reads `tensors` any more.
  bool wait(const void* const* tensors, size_t count);
  // Until everything that was posted has left.
  bool wait_for_all();
  // An operator cannot do its work: "TFLSPLIT_CONV_2D: option 'pads' is missing".
  void refuse(const char* op, const char* key, const char* what);
  // Whose transfer is under way; for the words. Null: not of an operator.
  void enter(const char* op, const Text& tensor) { op_ = op, tensor_ = tensor; }

  // ---- For the runner ----

  bool failed() const { return failed_; }
  bool superseded() const { return superseded_; }
  const split_core::Error& error() const { return error_; }
  // An operator's own failure rather than a link's.
  bool refused() const { return refused_; }
  const TextLine& text() const { return text_; }
  const TransferCounters& counters() const { return counters_; }
  split_core::Node& node() { return node_; }

 private:
  bool keep(const split_core::Error& error);
  bool is_released(const void* tensor) const;
  template <typename Condition>
  bool wait_until(Condition condition);

  split_core::Node& node_;
  split_core::Clock& clock_;
  uint64_t (*ticks_)();
  PostedSend* posted_;
  uint8_t posted_count_;
  WaitObserver* observer_ = nullptr;

  uint32_t timeout_us_ = 0;
  bool failed_ = false;
  bool refused_ = false;
  bool superseded_ = false;
  split_core::Error error_;
  TextLine text_;
  const char* op_ = nullptr;
  Text tensor_;
  TransferCounters counters_;
};

}  // namespace split_device

#endif  // SPLIT_DEVICE_EXCHANGE_H_
