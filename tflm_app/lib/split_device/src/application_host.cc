// SPDX-License-Identifier: Apache-2.0
#include "split_device/application_host.h"

namespace split_device {
namespace {

using split_core::ConstBytes;
using split_core::Error;
using split_core::StridedBox;

constexpr uint32_t kAgainUs = 200'000;       // QUERY and START are repeated so often
constexpr uint32_t kRollCallUs = 10'000'000;  // until a device counts as missing

uint8_t lowest_rank(uint64_t ranks) {
  uint8_t rank = 0;
  while ((ranks >> rank & 1) == 0) ++rank;
  return rank;
}

uint32_t smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }
uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }

uint32_t part_row_bytes(const ModelPart& part, const ModelTensor& tensor) {
  uint32_t bytes = tensor.item_bytes;
  for (int axis = 1; axis < 4; ++axis) bytes *= part.stop[axis] - part.start[axis];
  return bytes;
}

}  // namespace

// ---- Rows ----

void RowSource::begin(const ModelPart& part, const RowWindow& window) {
  part_ = &part;
  window_ = &window;
  taken_ = 0;
}

// Of the window those rows that the part has: their bytes are one stretch of the message.
uint32_t RowSource::read(uint32_t offset, uint8_t* to, uint32_t most) {
  const RowWindow& window = *window_;
  if (window.count == 0 || window.index != part_->tensor) return 0;
  const uint32_t row_bytes = part_row_bytes(*part_, *window.tensor);
  const uint32_t first = larger(part_->start[0], window.first);
  const uint32_t stop = smaller(part_->stop[0], window.first + window.count);
  const uint32_t row = part_->start[0] + offset / row_bytes;
  if (row < first || row >= stop) return 0;
  uint32_t shape[4], start[4], end[4];
  for (int axis = 0; axis < 4; ++axis) {
    shape[axis] = axis == 0 ? window.count : window.tensor->shape[axis];
    start[axis] = axis == 0 ? first - window.first : part_->start[axis];
    end[axis] = axis == 0 ? stop - window.first : part_->stop[axis];
  }
  StridedBox box;
  if (!StridedBox::make(window.data, shape, start, end, window.tensor->item_bytes, &box)) return 0;
  const uint32_t within = offset - (first - part_->start[0]) * row_bytes;
  const uint32_t count = smaller(most, box.size_bytes() - within);
  split_core::read_box(box, within, to, count);
  taken_ = offset + count;
  return count;
}

bool RowSource::is_through() const {
  const RowWindow& window = *window_;
  if (window.index != part_->tensor) return true;
  const uint32_t stop = smaller(part_->stop[0], window.first + window.count);
  if (stop <= part_->start[0]) return true;
  return taken_ >= (stop - part_->start[0]) * part_row_bytes(*part_, *window.tensor);
}

// ---- The host ----

split_core::ByteStream* ApplicationHost::set_up(split_core::Clock& clock, uint32_t boot_nonce) {
  clock_ = &clock;
  split_core::NodeConfig config = about_.node;
  config.boot_nonce = boot_nonce;
  split_core::ByteStream* const streams[] = {&wire_.near_end()};
  node_ = split_core::Node::create(about_.node_memory, about_.node_memory_bytes, config, streams,
                                   clock, this);
  return node_ == nullptr ? nullptr : &wire_.far_end();
}

void ApplicationHost::begin(ReadRows read, void* context, uint8_t* rows, uint32_t rows_bytes,
                            uint8_t* outputs) {
  read_ = read;
  context_ = context;
  rows_bytes_ = rows_bytes;
  outputs_ = outputs;
  window_ = RowWindow{};
  window_.data = rows;
  text_.clear();
  ready_ = done_ = 0;
  has_fault_ = all_given_ = false;
  phase_ = Step::kAsking;
  begun_us_ = now_us();
  is_due_ = true;
  for (uint8_t i = 0; i < about_.input_count; ++i) {
    if (about_.inputs[i].row_bytes() > rows_bytes) fail("the memory for rows is smaller than a row");
  }
}

void ApplicationHost::step() {
  node_->poll();
  if (phase_ == Step::kAsking) ask();
  if (phase_ == Step::kRunning) run();
}

// Before the first byte: are all there, and what is the number of the last inference?
void ApplicationHost::ask() {
  if (ready_ == everyone()) return start();
  if (now_us() - begun_us_ > kRollCallUs) {
    text_.clear();
    text_.add("rank ").add(lowest_rank(everyone() & ~ready_)).add(" is not there, or not ready");
    phase_ = Step::kFailed;
    return;
  }
  Query query;
  query.what = kAskInfo;
  query.token = 1;
  send_when_due(pack(query, buffer_));
}

void ApplicationHost::start() {
  ++epoch_;
  begun_us_ = now_us();
  is_due_ = true;
  node_->communicator().begin_epoch(epoch_);
  if (!post_inputs() || !expect_outputs()) return fail("the tables of this plan are damaged");
  phase_ = Step::kRunning;
}

bool ApplicationHost::post_inputs() {
  for (uint8_t i = 0; i < about_.input_part_count; ++i) {
    const ModelPart& part = about_.input_parts[i];
    const ModelTensor& tensor = about_.inputs[part.tensor];
    const uint32_t bytes = (part.stop[0] - part.start[0]) * part_row_bytes(part, tensor);
    about_.sources[i].begin(part, window_);
    if (!node_->communicator()
             .post_source(part.channel, part.ranks, bytes, about_.sources[i])
             .ok()) {
      return false;
    }
  }
  return true;
}

bool ApplicationHost::expect_outputs() {
  for (uint8_t i = 0; i < about_.output_part_count; ++i) {
    const ModelPart& part = about_.output_parts[i];
    uint8_t* at = outputs_;
    for (uint8_t k = 0; k < part.tensor; ++k) at += about_.outputs[k].size_bytes();
    const ModelTensor& tensor = about_.outputs[part.tensor];
    StridedBox box;
    if (!StridedBox::make(at, tensor.shape, part.start, part.stop, tensor.item_bytes, &box)) {
      return false;
    }
    const uint8_t rank = lowest_rank(part.ranks);
    if (!node_->communicator().begin_recv(part.channel, rank, box).ok()) return false;
  }
  return true;
}

void ApplicationHost::run() {
  if (has_fault_) {
    Error error;
    error.code = static_cast<split_core::ErrorCode>(report_.code);
    error.rank = report_.rank;
    error.channel = report_.channel;
    error.reporter = report_.reporter;
    return fail(error);
  }
  if (!node_->communicator().error().ok()) return fail(node_->communicator().error());
  if (now_us() - begun_us_ > about_.timeout_us) {
    node_->fail_with_timeout();
    node_->poll();  // let the others know
    if (!node_->communicator().error().ok()) return fail(node_->communicator().error());
    return fail("a device does not report");
  }
  Start again;
  again.epoch = epoch_;
  send_when_due(pack(again, buffer_));
  if (!all_given_) feed();
  const bool has_outputs = node_->communicator().recvs_complete();
  if (phase_ == Step::kRunning && all_given_ && has_outputs && done_ == everyone()) {
    phase_ = Step::kDone;
  }
}

// The next rows when nobody needs the last ones any more.
void ApplicationHost::feed() {
  while (is_taken()) {
    if (!next_rows()) return;
    node_->poll();
  }
}

bool ApplicationHost::is_taken() const {
  if (window_.count == 0) return true;
  for (uint8_t i = 0; i < about_.input_part_count; ++i) {
    if (!about_.sources[i].is_through()) return false;
  }
  return true;
}

bool ApplicationHost::next_rows() {
  uint32_t first = window_.first + window_.count;
  uint8_t index = window_.index;
  if (index < about_.input_count && first == about_.inputs[index].shape[0]) {
    first = 0;
    ++index;
  }
  window_.first = first;
  window_.index = index;
  window_.count = 0;
  if (index >= about_.input_count) {
    all_given_ = true;
    return false;
  }
  window_.tensor = &about_.inputs[index];
  const uint32_t room = rows_bytes_ / window_.tensor->row_bytes();
  const uint32_t count = smaller(room, window_.tensor->shape[0] - first);
  if (!read_(context_, index, first, count, window_.data)) {
    node_->communicator().fail(split_core::ErrorCode::kOperatorFailed, about_.node.rank,
                               split_core::kNoLink, split_core::kNoChannel);
    node_->poll();
    fail("the application gave no rows");
    return false;
  }
  window_.count = count;
  return true;
}

void ApplicationHost::send_when_due(size_t bytes) {
  if (!is_due_ && now_us() - due_us_ < kAgainUs) return;
  if (!node_->communicator().send_datagram(everyone(), kControlChannel,
                                           ConstBytes(buffer_, bytes))) {
    return;
  }
  is_due_ = false;
  due_us_ = now_us();
}

void ApplicationHost::fail(const char* words) {
  text_.clear();
  text_.add(words);
  phase_ = Step::kFailed;
}

void ApplicationHost::fail(const Error& error) {
  char words[128];
  split_core::format_error(error, words, sizeof words);
  fail(words);
}

void ApplicationHost::on_datagram(uint8_t source, uint16_t channel, ConstBytes payload) {
  if (channel != kControlChannel || source >= about_.node.world_size) return;
  Info info;
  Report report;
  if (unpack(payload, &info)) {
    const bool has_epoch = (info.flags & Info::kEpochValid) != 0;
    if (has_epoch && is_later(info.epoch, epoch_)) epoch_ = info.epoch;
    const bool up = (info.flags & Info::kLinksUp) != 0;
    if (info.state == DeviceState::kIdle && up) ready_ |= split_core::rank_bit(source);
  } else if (unpack(payload, &report) && phase_ == Step::kRunning && report.epoch == epoch_) {
    if (report.status == ReportStatus::kDone) {
      done_ |= split_core::rank_bit(source);
    } else if (report.status != ReportStatus::kNone && !has_fault_) {
      has_fault_ = true;
      report_ = report;
    }
  }
}

}  // namespace split_device
