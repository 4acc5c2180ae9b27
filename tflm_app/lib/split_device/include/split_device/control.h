// SPDX-License-Identifier: Apache-2.0
// Answers the host: takes QUERY and START from the links, sends INFO, REPORT, LINK and TEXT.
// Datagrams arrive inside Node::poll(), where nothing may be sent; answer() does that outside.
#ifndef SPLIT_DEVICE_CONTROL_H_
#define SPLIT_DEVICE_CONTROL_H_

#include "split_core/node.h"
#include "split_device/cluster_protocol.h"
#include "split_device/text_line.h"

namespace split_device {

// Is told of a START that waits for the end of an inference under way. Called where on_datagram() is.
class QueueObserver {
 public:
  virtual void on_queued() = 0;

 protected:
  ~QueueObserver() = default;
};

class Control final : public split_core::DatagramHandler {
 public:
  // Bytes that found no room at the port of link i, or null where that is not known.
  using LostBytes = uint32_t (*)(uint8_t link);

  void attach(split_core::Node* node, LostBytes lost_bytes) {
    node_ = node;
    lost_bytes_ = lost_bytes;
  }

  void set_observer(QueueObserver* observer) { observer_ = observer; }

  void on_datagram(uint8_t source, uint16_t channel, split_core::ConstBytes payload) override;

  // A START that asks for something new (a later epoch, or any while this device has none), or one
  // that has waited for the end of the inference before it: true, and taken. STARTs that only
  // repeat what is known are answered by answer().
  bool take_start(Start* start);
  // One that ends what is under way, without taking it.
  bool has_start() const { return start_due_; }
  // One that waits for the end of what is under way; dropped where that went wrong.
  bool has_queued() const { return queued_due_; }
  void drop_queued() { queued_due_ = false; }

  // Sends what is due, as far as frames are free. Call it between polls.
  void answer();
  // Sends the report (and the text, if something went wrong) as soon as there is room.
  void announce() { due_ |= kAskReport | (report.status == ReportStatus::kDone ? 0 : kAskText); }
  bool idle() const { return due_ == 0; }

  // What the answers say; kept by the runner. Tokens, links and flags are filled in here.
  Info info;
  Report report;
  TextLine text;

 private:
  void on_start(const Start& start);
  bool queue(const Start& start);
  bool take_queued(Start* start);
  uint16_t last_heeded() const;
  bool send(size_t bytes);
  bool send_report();
  bool send_links();
  LinkReport link_report(uint8_t index);

  split_core::Node* node_ = nullptr;
  LostBytes lost_bytes_ = nullptr;
  QueueObserver* observer_ = nullptr;
  bool start_due_ = false;
  bool queued_due_ = false;
  bool stale_due_ = false;
  Start start_;
  Start queued_;  // stays known when it was dropped: its input may still be on its way
  uint16_t due_ = 0;  // QueryBits
  uint32_t token_ = 0;
  uint8_t next_link_ = 0;
  uint8_t buffer_[kMaxControlBytes];
};

}  // namespace split_device

#endif  // SPLIT_DEVICE_CONTROL_H_
