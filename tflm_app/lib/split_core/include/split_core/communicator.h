// SPDX-License-Identifier: Apache-2.0
// Moves boxes of tensors from rank to rank: what TFLSPLIT_SEND and TFLSPLIT_RECV call.
//
//   sender                                       receiver
//   post_send(channel, {r}, box): returns        ...
//   (the bytes stay in the tensor)               begin_recv(channel, s, box)
//           <--------------------------------- GRANT(channel, size)
//   DATA(offset 0) --------------------------->  into the box
//   DATA(offset k) --------------------------->  ... until it is full
//
// No byte of a message leaves before its receiver stands in its RECV with the memory ready, so
// every frame in the network can always be consumed where it is going, and nothing is ever written
// into memory that still belongs to another tensor. The k-th SEND on a channel meets the k-th RECV
// of each receiver. Why this cannot lock up: docs/wire_format.md, "Rendezvous".
#ifndef SPLIT_CORE_COMMUNICATOR_H_
#define SPLIT_CORE_COMMUNICATOR_H_

#include "split_core/box.h"
#include "split_core/router.h"

namespace split_core {

class DatagramHandler {
 public:
  // One application message. `payload` is valid during the call only. May send, not poll.
  virtual void on_datagram(uint8_t source, uint16_t channel, ConstBytes payload) = 0;

 protected:
  ~DatagramHandler() = default;
};

// A message whose bytes are not all there when it is posted: rows of a camera.
class MessageSource {
 public:
  // Copies up to `most` bytes of the message, from byte `offset` on; returns how many are there by
  // now. Called inside Node::poll(), for one byte after the other, once for each destination set.
  virtual uint32_t read(uint32_t offset, uint8_t* to, uint32_t most) = 0;

 protected:
  ~MessageSource() = default;
};

struct SendSlot {
  StridedBox box;
  MessageSource* source = nullptr;  // instead of the box; its bytes count as elements of the box
  uint64_t remaining = 0;  // receivers not served yet; 0: the slot is free
  uint64_t granted = 0;    // of these, who is ready
  uint64_t batch = 0;      // of these, who is being served now
  uint32_t total_bytes = 0;
  uint32_t offset = 0;  // bytes of the batch already in frames
  uint32_t first_grant_us = 0;
  uint16_t channel = 0;
  uint8_t order = 0;  // of posting, to match equal channels in turn
};

struct RecvSlot {
  StridedBox box;
  uint32_t total_bytes = 0;
  uint32_t received = 0;
  uint16_t channel = 0;
  uint16_t epoch = 0;
  uint8_t source = 0;
  bool active = false;
  bool grant_sent = false;
  bool ahead = false;  // asked for by ask_ahead() or ask_next() and not taken by begin_recv() yet
};

// Receivers that wait for a SEND that is not posted yet.
struct EarlyGrant {
  uint64_t ranks = 0;  // 0: free
  uint32_t total_bytes = 0;
  uint16_t channel = 0;
  uint16_t epoch = 0;
};

class Communicator final : public LocalReceiver {
 public:
  Communicator(const NodeConfig& config, Router& router, SendSlot* sends, RecvSlot* recvs,
               EarlyGrant* grants, DatagramHandler* datagrams)
      : config_(config),
        router_(router),
        sends_(sends),
        recvs_(recvs),
        grants_(grants),
        datagrams_(datagrams) {}

  // Starts inference number `epoch`: forgets everything of the one before, and its error. Frames of
  // earlier inferences that still arrive are dropped. What ask_next() has asked for stays if this is
  // the inference that it was for.
  void begin_epoch(uint16_t epoch);
  uint16_t epoch() const { return epoch_; }

  // Offers the box to `destinations` and returns. The tensor must stay unchanged until
  // send_released(channel). Errors: kBadArgument, kSendSlotsFull, kSizeMismatch.
  Error post_send(uint16_t channel, uint64_t destinations, const StridedBox& box);
  // The same of a message of `size_bytes` bytes that `source` has, sooner or later.
  Error post_source(uint16_t channel, uint64_t destinations, uint32_t size_bytes,
                    MessageSource& source);
  // True once every byte of all sends posted on `channel` has left the tensor.
  bool send_released(uint16_t channel) const;
  bool all_sends_released() const;

  // Takes a message from `source` into the box, from now on. Errors: kBadArgument,
  // kRecvSlotsFull.
  Error begin_recv(uint16_t channel, uint8_t source, const StridedBox& box);
  // The same for memory that waits for a begin_recv() of the same message: what has come until
  // then is moved to the box of that, and the rest comes there. recvs_complete() does not wait.
  Error ask_ahead(uint16_t channel, uint8_t source, const StridedBox& box);
  // The same for the inference after this one, while this one is under way: memory beside all that
  // this one uses. It waits for a begin_recv() in that one; a fault in this one ends both.
  Error ask_next(uint16_t channel, uint8_t source, const StridedBox& box);
  bool recvs_complete() const;
  // Whether something that begin_recv() began may still be written to these bytes.
  bool is_receiving(const void* begin, size_t bytes) const;

  // The first thing that went wrong in this inference; ok() while nothing has.
  const Error& error() const { return error_; }
  // Ends the inference here and tells every other rank why.
  void fail(ErrorCode code, uint8_t rank, uint8_t link, uint16_t channel);
  // What a wait that ran out of time should report: the first box that is not complete, else the
  // first send that is not released.
  void fail_with_timeout();

  // One message of at most max_payload_bytes(mtu) bytes, delivered to the handler of each
  // destination in the order of sending. False: no frame slot is free now; poll and try again.
  bool send_datagram(uint64_t destinations, uint16_t channel, ConstBytes payload);

  // Fills free frame slots from what is posted.
  void pump(uint32_t now_us);

  void on_local_frame(uint8_t link, const FrameHeader& header, ConstBytes payload) override;
  bool is_dead(const FrameHeader& header) const override;
  void on_link_error(uint8_t link, ErrorCode code) override;

 private:
  bool destinations_ok(uint64_t destinations) const;
  Error argument_error(ErrorCode code, uint16_t channel) const;
  void abort(const Error& error);
  bool is_stale(uint16_t epoch) const;

  Error open_send(uint16_t channel, uint64_t destinations, const StridedBox& box,
                  MessageSource* source);
  Error open_recv(uint16_t channel, uint8_t source, const StridedBox& box, uint16_t epoch,
                  bool ahead);
  Error take_ahead(RecvSlot* recv, const StridedBox& box);
  void on_data(uint8_t link, const FrameHeader& header, ConstBytes payload);
  void on_grant(uint8_t link, const FrameHeader& header);
  void on_fault(uint8_t link, const FrameHeader& header, ConstBytes payload);
  SendSlot* find_send(uint16_t channel, uint8_t rank);
  void keep_grant(const FrameHeader& header);
  ErrorCode claim_early_grants(SendSlot* send, uint8_t* culprit);

  bool pump_fault();
  bool pump_grant(RecvSlot* recv);
  bool pump_send(SendSlot* send, uint32_t now_us);
  bool start_batch(SendSlot* send, uint32_t now_us);
  FrameHeader header_for(FrameType type, uint64_t destinations, uint16_t channel) const;

  const NodeConfig& config_;
  Router& router_;
  SendSlot* sends_;
  RecvSlot* recvs_;
  EarlyGrant* grants_;
  DatagramHandler* datagrams_;

  Error error_;
  Error fault_;  // what the others are to be told
  bool fault_due_ = false;
  bool begun_ = false;  // an inference is under way
  bool has_dead_epoch_ = false;
  uint16_t epoch_ = 0;
  uint16_t dead_epoch_ = 0;
  uint16_t fault_epoch_ = 0;
  uint8_t order_ = 0;
  uint8_t next_send_ = 0;  // whose turn it is
  uint32_t now_us_ = 0;
};

}  // namespace split_core

#endif  // SPLIT_CORE_COMMUNICATOR_H_
