// SPDX-License-Identifier: Apache-2.0
#include "split_device/device_runner.h"

namespace split_device {
namespace {

constexpr uint32_t kGivenUpUs = 300'000;  // of surveys, while an inference waits

}  // namespace

using split_core::MutableBytes;
using split_core::StridedBox;

void DeviceRunner::set_broken(const TextLine& why) {
  control_.info.state = DeviceState::kBroken;
  control_.report.status = ReportStatus::kBroken;
  control_.text = why;
  TextLine line;
  line.add("BROKEN rank ").add(node_.config().rank).add(": ");
  board_.print(line.text());
  board_.print(why.text());
  board_.print("\n");
}

void DeviceRunner::turn() {
  exchange_.alive();
  control_.info.uptime_ms = (board_.clock->now_us() - begun_us_) / 1000;
  if (board_.console_lost_bytes != nullptr) {
    control_.info.console_lost_bytes = board_.console_lost_bytes();
  }
  node_.poll();
  if (companion_ != nullptr) companion_->step();
  watch_links();
  const bool answers = !control_.idle();
  control_.answer();
  if (answers) node_.poll();  // before sleeping: the answer leaves now
  board_.clock->idle();
}

// Says on the console who is missing, once for each change.
void DeviceRunner::watch_links() {
  const split_core::Error error = node_.link_error();
  if (error.ok() == was_up_) return;
  was_up_ = error.ok();
  TextLine line;
  line.add(was_up_ ? "LINKS UP rank " : "LINK DOWN rank ").add(node_.config().rank);
  if (!was_up_) {
    char words[96];
    split_core::format_error(error, words, sizeof words);
    line.add(": ").add(words);
  }
  board_.print(line.add("\n").text());
}

void DeviceRunner::describe(const Graph& graph) {
  control_.info.inputs = static_cast<uint8_t>(graph.input_count());
  control_.info.outputs = static_cast<uint8_t>(graph.output_count());
  control_.info.ticks_per_second = board_.ticks_per_second;
}

bool DeviceRunner::serve_once(Graph& graph) {
  describe(graph);
  turn();
  Start start;
  if (!control_.take_start(&start)) return false;
  run(graph, start);
  return true;
}

uint32_t DeviceRunner::serve(Graph& graph, uint32_t inferences) {
  uint32_t served = 0;
  while ((inferences == 0 || served < inferences) && !is_surveyed()) {
    if (serve_once(graph)) ++served;
  }
  return served;
}

// Inside a wait: the host is answered; a later START ends this inference, and so does a host that
// goes on asking who is there: it has given the inference up.
bool DeviceRunner::on_wait() {
  control_.answer();
  if (companion_ != nullptr) companion_->step();
  return !control_.has_start() && !is_given_up();
}

// Datagrams also come in polls of the ticker, never while a SEND or RECV is under way.
void DeviceRunner::on_queued() {
  if (graph_ != nullptr) ask_next_inputs();
}

// What cannot be asked for now, for want of a slot, is when that inference begins.
void DeviceRunner::ask_next_inputs() {
  const uint8_t host = node_.config().world_size;
  size_t at = 0;
  for (size_t i = 0; i < graph_->input_count(); ++i) {
    const size_t size = graph_->input(i).size();
    if (size > next_input_.size() - at) return;
    const StridedBox box =
        StridedBox::flat(next_input_.data() + at, static_cast<uint32_t>(size));
    const auto channel = static_cast<uint16_t>(kInputChannel + i);
    if (!node_.communicator().ask_next(channel, host, box).ok()) return;
    at += size;
  }
}

bool DeviceRunner::is_given_up() {
  const uint32_t now_us = board_.clock->now_us();
  if (!is_surveyed()) quiet_us_ = now_us;
  return now_us - quiet_us_ >= kGivenUpUs;
}

// Where it goes deepest was just run; looking takes as long as the stack is large.
void DeviceRunner::note_stack() {
  if (board_.stack_used_bytes != nullptr) {
    control_.info.stack_used_bytes = board_.stack_used_bytes();
  }
}

void DeviceRunner::run(Graph& graph, const Start& start) {
  control_.info.state = DeviceState::kBusy;
  control_.info.flags |= Info::kEpochValid;
  control_.info.epoch = start.epoch;
  control_.report = Report{};
  control_.report.epoch = start.epoch;
  const bool given = start.timeout_ms > 0 && start.timeout_ms < UINT32_MAX / 1000;
  quiet_us_ = board_.clock->now_us();
  exchange_.begin(start.epoch, given ? start.timeout_ms * 1000 : timeout_us_);
  const bool done = take_inputs(graph) && run_graph(graph) && give_outputs(graph);
  graph_ = nullptr;
  note_stack();
  control_.report.phase = done ? Phase::kNone : control_.report.phase;
  finish();
}

bool DeviceRunner::take_inputs(Graph& graph) {
  control_.report.phase = Phase::kInput;
  phase_us_ = board_.clock->now_us();
  const uint8_t host = node_.config().world_size;
  bool well = true;
  for (size_t i = 0; well && i < graph.input_count(); ++i) {
    const MutableBytes bytes = graph.input(i);
    const StridedBox box = StridedBox::flat(bytes.data(), static_cast<uint32_t>(bytes.size()));
    well = exchange_.receive(static_cast<uint16_t>(kInputChannel + i), host, box);
  }
  // What had come ahead is in the graph's own memory now, and the rest comes there.
  if (well) graph_ = &graph;
  if (well && control_.has_queued()) ask_next_inputs();
  well = well && exchange_.wait(nullptr, 0);
  if (companion_ != nullptr) {
    const auto is_given = [](void* companion) {
      return !static_cast<Companion*>(companion)->gives_input();
    };
    well = well && exchange_.wait_for(is_given, companion_);
  }
  control_.report.input_us = board_.clock->now_us() - phase_us_;
  return well;
}

bool DeviceRunner::run_graph(Graph& graph) {
  control_.report.phase = Phase::kGraph;
  // Inputs are not the graph's own traffic.
  const TransferCounters before = exchange_.counters();
  phase_us_ = board_.clock->now_us();
  const uint64_t start_ticks = board_.ticks();
  exchange_.begin_kernels();
  const bool invoked = graph.invoke();
  exchange_.end_kernels();
  const bool well = invoked && !exchange_.failed();
  if (!well && !exchange_.failed()) exchange_.refuse("an operator", nullptr, "failed");
  Report& report = control_.report;
  const TransferCounters& after = exchange_.counters();
  report.graph_us = board_.clock->now_us() - phase_us_;
  report.graph_ticks = board_.ticks() - start_ticks;
  report.wait_us = after.wait_us - before.wait_us;
  report.wait_ticks = after.wait_ticks - before.wait_ticks;
  report.sent_bytes = after.sent_bytes - before.sent_bytes;
  report.received_bytes = after.received_bytes - before.received_bytes;
  return well;
}

bool DeviceRunner::give_outputs(Graph& graph) {
  control_.report.phase = Phase::kOutput;
  phase_us_ = board_.clock->now_us();
  const uint64_t host = split_core::rank_bit(node_.config().world_size);
  exchange_.name(nullptr, Text{});
  bool well = true;
  for (size_t i = 0; well && i < graph.output_count(); ++i) {
    const MutableBytes bytes = graph.output(i);
    const StridedBox box = StridedBox::flat(bytes.data(), static_cast<uint32_t>(bytes.size()));
    well = exchange_.post(bytes.data(), static_cast<uint16_t>(kOutputChannel + i), host, box);
  }
  well = well && exchange_.wait_for_all();
  control_.report.output_us = board_.clock->now_us() - phase_us_;
  return well;
}

void DeviceRunner::finish() {
  Report& report = control_.report;
  const split_core::Error& error = exchange_.error();
  if (!exchange_.failed()) {
    report.status = ReportStatus::kDone;
    ++control_.info.inferences;
  } else if (exchange_.superseded()) {
    report.status = ReportStatus::kSuperseded;
    ++control_.info.faults;
  } else {
    ++control_.info.faults;
    control_.drop_queued();
    report.status = ReportStatus::kFault;
    report.code = static_cast<uint8_t>(error.code);
    report.channel = error.channel;
    report.rank = error.rank;
    report.link = error.link;
    report.reporter = error.reporter;
    control_.text = exchange_.text();
    if (exchange_.refused()) {
      report.code = static_cast<uint8_t>(split_core::ErrorCode::kOperatorFailed);
      report.rank = report.reporter = node_.config().rank;
    }
    // The others learn of it unless it was they who said so; the host's error names this rank.
    if (node_.communicator().error().ok()) {
      node_.communicator().fail(static_cast<split_core::ErrorCode>(report.code), report.rank,
                                split_core::kNoLink, report.channel);
    }
  }
  control_.info.state = DeviceState::kIdle;
  // A superseded inference is of no interest to a host that has started another.
  if (report.status != ReportStatus::kSuperseded) control_.announce();
  print_result();
}

void DeviceRunner::print_result() {
  const Report& report = control_.report;
  TextLine line;
  const bool done = report.status == ReportStatus::kDone;
  line.add(done ? "DONE rank " : "FAULT rank ").add(node_.config().rank);
  line.add(" epoch ").add(report.epoch);
  if (done) {
    line.add(" graph_us ").add(report.graph_us).add(" wait_us ").add(report.wait_us);
  } else {
    line.add(": ");
  }
  board_.print(line.text());
  const char* const why = control_.has_start() ? "a later START" : "given up for a survey";
  if (!done) board_.print(exchange_.superseded() ? why : control_.text.text());
  board_.print("\n");
}

}  // namespace split_device
