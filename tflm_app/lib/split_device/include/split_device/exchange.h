// SPDX-License-Identifier: Apache-2.0
// The transfers of one inference: what SEND and RECV do, with time-outs, counters, and words for
// what goes wrong. One for each device, handed to the operators through TFLM's external context.
#ifndef SPLIT_DEVICE_EXCHANGE_H_
#define SPLIT_DEVICE_EXCHANGE_H_

#include "split_core/node.h"
#include "split_device/flex_map.h"
#include "split_device/text_line.h"
#include "split_device/watchdog.h"

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

// Polls the node while kernels run, from an interrupt of the board's timer or what comes close to
// one. After pause() none is under way and none begins; it starts paused. Null functions: the board
// has no such timer, or the plan wants none.
struct Ticker {
  void (*pause)() = nullptr;
  void (*resume)() = nullptr;
  bool exists() const { return pause != nullptr && resume != nullptr; }
};

class Exchange {
 public:
  // `posted` has one entry for each of the node's send slots. `ticks` counts as in split_port.
  Exchange(split_core::Node& node, split_core::Clock& clock, uint64_t (*ticks)(),
           PostedSend* posted, uint8_t posted_count)
      : node_(node), clock_(clock), ticks_(ticks), posted_(posted), posted_count_(posted_count) {}

  void set_observer(WaitObserver* observer) { observer_ = observer; }
  void set_ticker(const Ticker& ticker) { ticker_ = ticker; }
  // Null: the board has none.
  void set_watchdog(Watchdog* watchdog) { watchdog_ = watchdog; }
  // The program gets on.
  void alive() {
    if (watchdog_ != nullptr) watchdog_->alive();
  }

  // Starts inference `epoch`: forgets everything of the one before.
  void begin(uint16_t epoch, uint32_t timeout_us);

  // ---- For the operators; false after an error, which is kept ----

  // Offers a box of `tensor` (any pointer that names it) to ranks; each counts once in sent_bytes.
  // With a ticker its bytes leave at the next tick, or behind the GRANTs of a RECV that follows.
  bool post(const void* tensor, uint16_t channel, uint64_t ranks,
            const split_core::StridedBox& box);
  bool receive(uint16_t channel, uint8_t source, const split_core::StridedBox& box);
  // Lets a message come into memory of its own, for the receive() of it. The GRANT leaves as the
  // bytes of post() do.
  bool ask_ahead(uint16_t channel, uint8_t source, const split_core::StridedBox& memory);
  // Until all that receive() began is there and nothing reads `tensors` any more.
  bool wait(const void* const* tensors, size_t count);
  // The same without what receive() began, for a kernel that asks for it with is_here() and await():
  // until nothing reads `tensors` any more. Only with a ticker: else nothing would come meanwhile.
  bool has_ticker() const { return ticker_.exists(); }
  bool wait_released(const void* const* tensors, size_t count);
  // From within a kernel: whether these bytes are there, and until they are.
  bool is_here(const void* begin, size_t bytes);
  bool await(const void* begin, size_t bytes);
  // Pieces of a RECV that its reader takes one by one (take_piece()); the options stay where they are.
  void set_rolling(const FlexMap& options) { rolling_ = options; }
  const FlexMap& rolling() const { return rolling_; }
  // Until `condition` holds.
  bool wait_for(bool (*condition)(void* context), void* context);
  // Until everything that was posted has left.
  bool wait_for_all();
  // An operator cannot do its work: "TFLSPLIT_CONV_2D: option 'pads' is missing".
  void refuse(const char* op, const char* key, const char* what);

  // One SEND or RECV, while it lives: has the node to itself, and its name stands in the words for
  // what goes wrong. All calls above but refuse() want one if kernels are running.
  class Transfer {
   public:
    Transfer(Exchange& exchange, const char* op, const Text& tensor) : exchange_(exchange) {
      exchange_.hold();
      exchange_.name(op, tensor);
    }
    ~Transfer() { exchange_.let_go(); }
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;

   private:
    Exchange& exchange_;
  };

  // ---- For the runner ----

  // Kernels run from begin_kernels() to end_kernels(); in between, the node belongs to the ticker.
  void begin_kernels();
  void end_kernels();
  // Whose transfer is under way. Null: not of an operator.
  void name(const char* op, const Text& tensor) { op_ = op, tensor_ = tensor; }

  bool failed() const { return failed_; }
  bool superseded() const { return superseded_; }
  const split_core::Error& error() const { return error_; }
  // An operator's own failure rather than a link's.
  bool refused() const { return refused_; }
  const TextLine& text() const { return text_; }
  const TransferCounters& counters() const { return counters_; }
  split_core::Node& node() { return node_; }

 private:
  void hold();
  void let_go();
  bool keep(const split_core::Error& error);
  bool is_released(const void* tensor) const;
  bool are_released(const void* const* tensors, size_t count) const;
  template <typename Condition>
  bool wait_until(Condition condition);

  split_core::Node& node_;
  split_core::Clock& clock_;
  uint64_t (*ticks_)();
  PostedSend* posted_;
  uint8_t posted_count_;
  WaitObserver* observer_ = nullptr;
  Ticker ticker_;
  Watchdog* watchdog_ = nullptr;
  bool in_kernels_ = false;

  uint32_t timeout_us_ = 0;
  bool failed_ = false;
  bool refused_ = false;
  bool superseded_ = false;
  split_core::Error error_;
  TextLine text_;
  const char* op_ = nullptr;
  Text tensor_;
  FlexMap rolling_;
  TransferCounters counters_;
};

}  // namespace split_device

#endif  // SPLIT_DEVICE_EXCHANGE_H_
