// SPDX-License-Identifier: Apache-2.0
// One link: everything between this node and one neighbour over one ByteStream.
//
//   sender                                    receiver
//   HELLO(boot, session) ------------------>  checks plan, rank, size; forgets old sequence
//           <------------------ WELCOME(echo boot, session; credit)
//   DATA 0, 1, 2 ... (at most `credit`) --->  in order: accepted; behind a gap: held, NAK
//           <------------------ ACK(next expected, credit), or the same in any frame's header
//   no progress, or damage: POLL(n) ------->
//           <------------------ STATUS(n; next expected, credit, what is held)
//
// The two directions are two sessions that know nothing of each other. A time-out never resends
// data, it only asks: a peer inside a long kernel has all that was sent in its receive buffer, and
// blind repetition would overflow it. The stream keeps order, so whatever was sent before something
// that has arrived, and is not there, is lost; only that is sent again.
#ifndef SPLIT_CORE_LINK_H_
#define SPLIT_CORE_LINK_H_

#include "split_core/byte_stream.h"
#include "split_core/config.h"
#include "split_core/frame.h"
#include "split_core/frame_pool.h"

namespace split_core {

enum class LinkState : uint8_t {
  kConnecting,  // not welcomed yet; frames wait
  kOpen,
  kLost,     // was open, then the peer fell silent or was reset; frames are dropped
  kRefused,  // the peer does not belong here, or says that we don't; frames are dropped
};

class LinkListener {
 public:
  // A sequenced frame, in order, once. False: no room to forward it; the peer will send it again.
  virtual bool on_frame(uint8_t link, const FrameHeader& header, ConstBytes payload) = 0;
  // The link was lost or refused. Called once for each change.
  virtual void on_link_error(uint8_t link, ErrorCode code) = 0;

 protected:
  ~LinkListener() = default;
};

class Link {
 public:
  // `queue` holds the ids of frames not sent yet: one byte for every slot of the pool.
  Link(const NodeConfig& config, uint8_t index, ByteStream& stream, FramePool& pool,
       LinkListener& listener, uint8_t* queue);

  // Reads what came and acts on it. At most one window's bytes for each call, so that one busy
  // neighbour cannot keep the others waiting.
  void receive(uint32_t now_us);
  // Sends what may be sent.
  void transmit(uint32_t now_us);

  // Queues a frame of the pool for its destinations behind this link; takes a reference to it.
  void enqueue(uint8_t slot_id);
  // Frames of our own that wait here or are not acknowledged yet.
  uint8_t own_frames() const { return own_frames_; }
  bool all_acknowledged() const { return queued_ == 0 && acked_ == next_; }

  LinkState state() const { return state_; }
  bool accepts_frames() const {
    return state_ == LinkState::kOpen || state_ == LinkState::kConnecting;
  }
  // Open in both directions.
  bool is_up() const { return state_ == LinkState::kOpen && rx_open_; }
  // Why the link is lost or refused; kOk otherwise.
  ErrorCode error() const { return error_; }
  // The rank that the other end claimed in its last HELLO; kNoRank before.
  uint8_t claimed_rank() const { return claimed_rank_; }
  uint64_t destinations() const { return link_config().destinations; }
  LinkCounters& counters() { return counters_; }
  const DecoderCounters& decoder_counters() const { return decoder_.counters(); }
  // A SURVEY frame came: somebody looks for boards (docs/deployment.md).
  bool was_surveyed() const { return was_surveyed_; }
  void forget_survey() { was_surveyed_ = false; }

 private:
  static constexpr size_t kWindow = 16;  // a power of two above kMaxRxSlots; bits of held_, lost_
  static constexpr uint8_t kPollsBeforeSilent = 3;
  struct Hello;

  const LinkConfig& link_config() const { return config_.links[index_]; }

  // Receiving.
  void handle_frame(uint32_t now_us);
  void handle_stranger(const FrameHeader& header);
  void handle_hello(const FrameHeader& header, ConstBytes payload, uint32_t now_us);
  void handle_welcome(const FrameHeader& header, ConstBytes payload, uint32_t now_us);
  void handle_refuse(const FrameHeader& header, ConstBytes payload);
  void turn_away(uint8_t rank, ErrorCode reason);
  void handle_status(const FrameHeader& header, uint32_t now_us);
  void handle_sequenced(const FrameHeader& header, ConstBytes payload);
  bool accept(const FrameHeader& header, ConstBytes payload);
  void hold(const FrameHeader& header, uint8_t ahead);
  bool holds(uint8_t ahead) const { return ((held_ >> ahead) & 1u) != 0; }
  void accept_held();
  void forget_held();
  void handle_ack(const FrameHeader& header, uint32_t now_us);
  void handle_damage(uint32_t now_us);
  ErrorCode check_identity(const FrameHeader& header, const Hello& hello) const;

  // Sending.
  bool start_next_frame(uint32_t now_us);
  bool start_control_frame(uint32_t now_us);
  bool start_sequenced_frame();
  bool send_first_eligible();
  void send_slot(uint8_t slot_id, uint8_t sequence);
  uint64_t reached_by(const FrameHeader& header) const;
  void send_hop_frame(FrameType type, uint8_t sequence, ConstBytes payload);
  void send_hello(FrameType type);
  void send_refuse();
  FrameHeader stamp(FrameHeader header);
  void write_frame(uint32_t now_us);
  bool needs_two_credits(uint8_t slot_id) const;
  bool waits_for_peer() const;
  void update_timers(uint32_t now_us);
  void update_poll_timer(uint32_t now_us);

  // Session.
  void open_session(const FrameHeader& header, uint32_t now_us);
  void close_session(LinkState state, ErrorCode code);
  void drop_frames();
  void release_slot(uint8_t slot_id);
  void heard_progress(uint32_t now_us);

  // What the peer has, what is lost, and when to ask (link_recovery.cc).
  void acknowledge(uint8_t count, uint32_t now_us);
  void has_arrived(uint16_t pass, uint32_t now_us);
  void find_lost(uint32_t now_us);
  void ask(uint32_t now_us);
  void ask_at_once(uint32_t now_us);
  void ask_in_vain(uint32_t now_us);
  void time_frame(uint32_t now_us);
  void take_round_trip(uint32_t sample_us);
  uint32_t first_poll_us() const;
  uint32_t poll_after_us() const;
  uint8_t unacknowledged() const { return static_cast<uint8_t>(next_ - acked_); }
  uint8_t usable_credit() const { return static_cast<uint8_t>(credit_end_ - next_); }
  // Slots of frames that are held count as free: those frames were promised them.
  uint8_t own_credit() const { return static_cast<uint8_t>(pool_.free_rx(index_) + held_count_); }

  const NodeConfig& config_;
  const uint8_t index_;
  ByteStream& stream_;
  FramePool& pool_;
  LinkListener& listener_;
  FrameDecoder decoder_;
  FrameEncoder encoder_;
  LinkCounters counters_;

  LinkState state_ = LinkState::kConnecting;
  ErrorCode error_ = ErrorCode::kOk;
  uint8_t claimed_rank_ = kNoRank;
  ErrorCode refuse_reason_ = ErrorCode::kOk;
  bool refused_by_peer_ = false;  // it said so, and has not welcomed us since
  bool feeds_ring_ = false;  // some link's ring traffic continues here

  // Our session towards the peer.
  uint16_t session_ = 1;
  uint8_t acked_ = 0;       // oldest sequence not acknowledged
  uint8_t next_ = 0;        // sequence of the next new frame
  uint8_t credit_end_ = 0;  // first sequence that the peer has not granted
  uint16_t lost_ = 0;       // bit i: acked_ + i is to be sent again
  uint16_t peer_held_ = 0;  // bit i: the peer keeps acked_ + i until those before it are there
  uint16_t passes_ = 0;     // sequenced frames written so far, repetitions too
  uint16_t arrived_ = 0;    // of these, all before this one have arrived or are lost
  uint16_t pass_[kWindow] = {};   // the last of each unacknowledged frame, by sequence
  uint8_t window_[kWindow] = {};  // slot ids of unacknowledged frames, by sequence
  uint8_t* queue_;                // slot ids not sent yet, oldest first
  uint8_t queued_ = 0;
  uint8_t own_frames_ = 0;
  bool was_stalled_ = false;

  // The peer's session towards us.
  bool rx_open_ = false;
  uint32_t peer_boot_ = 0;
  uint16_t peer_session_ = 0;
  uint8_t expected_ = 0;
  uint16_t held_ = 0;            // bit i: expected_ + i came early and lies in a slot
  uint8_t held_count_ = 0;
  uint8_t held_slot_[kWindow] = {};  // by sequence
  uint8_t told_ack_ = 0;         // what the peer was last told, to see when there is news
  uint8_t told_credit_end_ = 0;

  // Control frames that are due.
  bool hello_due_ = true;
  bool welcome_due_ = false;
  bool refuse_due_ = false;
  bool nak_due_ = false;
  bool ack_due_ = false;
  bool status_due_ = false;
  bool poll_due_ = false;
  uint8_t status_number_ = 0;

  // Timers.
  uint32_t hello_sent_us_ = 0;
  bool started_ = false;
  uint32_t written_us_ = 0;      // when the stream last took a byte
  uint32_t quiet_since_us_ = 0;  // last progress, sequenced byte sent, or poll
  uint32_t poll_interval_us_;
  bool poll_open_ = false;       // a poll is unanswered
  uint8_t poll_number_ = 0;
  uint16_t poll_pass_ = 0;       // passes_ when the poll was sent
  uint8_t polls_unanswered_ = 0;
  uint32_t silent_since_us_ = 0;  // first unanswered poll
  uint8_t trouble_ = 0;           // above 0: this wire has lost something not long ago

  // Round trips: of one pass at a time.
  uint32_t round_trip_us_ = 0;    // mean; 0: none measured yet
  uint32_t deviation_us_ = 0;     // mean deviation from it
  bool is_timing_ = false;
  bool was_surveyed_ = false;
  uint16_t timed_pass_ = 0;
  uint32_t timed_since_us_ = 0;

  bool data_in_encoder_ = false;
  uint8_t encoder_slot_ = FramePool::kNone;
  uint8_t control_payload_[32] = {};
};

}  // namespace split_core

#endif  // SPLIT_CORE_LINK_H_
