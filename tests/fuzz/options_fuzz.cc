// SPDX-License-Identifier: Apache-2.0
// Custom options (FlexBuffers), and SEND, ASK and RECV that Prepare accepts. Input: two tensors, one byte
// each for item sizes and dimensions, then the options.
#include <vector>

#include "input.h"
#include "split_device/op_options.h"
#include "split_device/transfer.h"

namespace {

using namespace split_device;
using fuzz::Input;

constexpr uint8_t kNodes = 5;
constexpr uint32_t kMostTensorBytes = 64 * 1024;

const OptionTable* const kTables[] = {
    &kSendOptions,       &kRecvOptions,                  &kPartialConv2dOptions, &kConv2dOptions,
    &kRequantizeOptions, &kPartialFullyConnectedOptions, &kFusedBlockOptions,
    &kDepthwiseConv2dOptions, &kAskOptions, &kPartialSumOptions, &kChainOptions,
    &kAddOptions, &kMeanOptions, &kPool2dOptions,
};

// ---- Reading ----

void read_everything(const FlexMap& map) {
  volatile uint64_t sum = 0;  // so that nothing is read in vain
  for (uint32_t i = 0; i < map.size(); ++i) {
    const char* const key = map.key(i);
    if (key == nullptr) continue;
    REQUIRE(map.has(key));
    int64_t number = 0;
    IntVector numbers;
    Text text;
    if (map.integer(key, &number)) sum = sum + static_cast<uint64_t>(number);
    if (map.integers(key, &numbers)) {
      for (uint32_t k = 0; k < numbers.size(); ++k) sum = sum + static_cast<uint64_t>(numbers[k]);
    }
    if (map.text(key, &text)) {
      for (uint32_t k = 0; k < text.size; ++k) sum = sum + static_cast<uint8_t>(text.data[k]);
    }
  }
}

// What a table promises of options that it accepts.
void check_promises(const FlexMap& map, const OptionTable& table) {
  for (uint8_t i = 0; i < table.count; ++i) {
    const OptionField& field = table.fields[i];
    if (field.kind == OptionKind::kInteger) {
      const int32_t value = integer_option(map, field.key);
      REQUIRE(value >= field.minimum && value <= field.maximum);
    }
    if (field.kind != OptionKind::kIntegers) continue;
    const IntVector values = integers_option(map, field.key);
    REQUIRE(field.count < 0 || values.size() == static_cast<uint32_t>(field.count));
    for (uint32_t k = 0; k < values.size(); ++k) {
      REQUIRE(values.at(k) >= field.minimum && values.at(k) <= field.maximum);
      REQUIRE(values.at(k) == values[k]);
    }
  }
}

// ---- Tensors ----

// In memory of exactly its size, if that is small enough.
class Tensor {
 public:
  Tensor(Input* input, uint8_t item_bytes, uint32_t rank, bool large) {
    uint64_t bytes = item_bytes;
    for (uint32_t axis = 0; axis < rank; ++axis) {
      dims_[axis] = input->u8() % 8;
      if (large) dims_[axis] *= 0x0400'0000;
      bytes *= static_cast<uint64_t>(dims_[axis]);
      if (bytes > kMostTensorBytes) bytes = kMostTensorBytes + 1;  // and 0 times that is 0 again
    }
    view.name = this;
    view.dims = dims_;
    view.rank = rank;
    view.item_bytes = item_bytes;
    if (bytes > kMostTensorBytes) return;
    size_bytes = static_cast<size_t>(bytes);
    memory_ = fuzz::exactly<uint8_t>(size_bytes);
    view.data = memory_.get();
  }
  bool has_memory() const { return view.data != nullptr && size_bytes > 0; }

  TensorView view;
  size_t size_bytes = 0;

 private:
  int32_t dims_[8] = {};
  std::unique_ptr<uint8_t[]> memory_;
};

// ---- Running what was accepted ----

struct Silence final : split_core::ByteStream {
  size_t read(split_core::MutableBytes) override { return 0; }
  size_t write(split_core::ConstBytes from) override { return from.size(); }
};

struct FastClock final : split_core::Clock {
  uint32_t now_us() override { return time_us += 100; }
  uint32_t time_us = 0;
};

uint64_t no_ticks() { return 0; }

// A device whose only neighbour says nothing.
class Device {
 public:
  Device() {
    for (uint8_t rank = 1; rank < kNodes; ++rank) link_.destinations |= split_core::rank_bit(rank);
    link_.peer_rank = 1;
    split_core::NodeConfig config;
    config.node_count = kNodes;
    config.world_size = kNodes - 1;
    config.link_count = 1;
    config.links = &link_;
    const size_t bytes = split_core::Node::required_bytes(config);
    memory_ = fuzz::exactly<uint64_t>(bytes / 8);
    split_core::ByteStream* const streams[] = {&silence_};
    node_ = split_core::Node::create(memory_.get(), bytes, config, streams, clock_, nullptr);
    REQUIRE(node_ != nullptr);
    exchange = std::make_unique<Exchange>(*node_, clock_, no_ticks, posted_, 8);
    exchange->begin(1, 1000);
  }
  std::unique_ptr<Exchange> exchange;

 private:
  split_core::LinkConfig link_;
  Silence silence_;
  FastClock clock_;
  std::unique_ptr<uint64_t[]> memory_;
  split_core::Node* node_ = nullptr;
  PostedSend posted_[8];
};

void read_sent_boxes(const FlexMap& options, const Tensor& x) {
  const IntVector boxes = integers_option(options, "boxes");
  const IntVector origin = integers_option(options, "origin");
  const uint32_t rank = x.view.rank;
  const uint32_t count = rank == 0 ? 1 : boxes.size() / (2 * rank);
  for (uint32_t i = 0; i < count; ++i) {
    split_core::StridedBox box;
    REQUIRE(make_box(x.view, boxes, 2 * rank * i, origin, &box));
    REQUIRE(box.size_bytes() <= x.size_bytes);
    const auto packed = fuzz::exactly<uint8_t>(box.size_bytes());
    split_core::read_box(box, 0, packed.get(), box.size_bytes());
  }
}

// Each piece as it would arrive; of pieces that do not add up, every byte of y is written once.
void write_pieces(const FlexMap& options, const Tensor* local, const Tensor& y) {
  const IntVector origin = integers_option(options, "origin");
  const bool sums = integer_option(options, "sum") != 0;
  std::memset(y.view.data, 0, y.size_bytes);
  const auto write = [&](const IntVector& boxes, uint32_t first) {
    split_core::StridedBox box;
    REQUIRE(make_box(y.view, boxes, first, origin, &box));
    std::vector<uint8_t> ones(box.size_bytes(), 1);
    if (!sums) {
      split_core::read_box(box, 0, ones.data(), box.size_bytes());
      for (uint8_t& one : ones) ++one;
    }
    box.adds = sums;
    split_core::write_box(box, 0, ones.data(), box.size_bytes());
  };
  if (local != nullptr) write(integers_option(options, "local"), 0);
  const IntVector boxes = integers_option(options, "boxes");
  const uint32_t pieces = integers_option(options, "channels").size();
  for (uint32_t i = 0; i < pieces; ++i) write(boxes, 2 * y.view.rank * i);
  const auto* const bytes = static_cast<const uint8_t*>(y.view.data);
  for (size_t i = 0; !sums && i < y.size_bytes; ++i) REQUIRE(bytes[i] == 1);
}

void try_send(const FlexMap& options, const Tensor& x, const Tensor* copy) {
  const TensorView* const to = copy == nullptr ? nullptr : &copy->view;
  if (check_send(options, x.view, to, kNodes).found() || !x.has_memory()) return;
  if (copy != nullptr && !copy->has_memory()) return;
  read_sent_boxes(options, x);
  run_send(*Device().exchange, options, x.view, to);
}

void try_ask(const FlexMap& options, const Tensor& memory) {
  if (check_ask(options, memory.view, kNodes).found() || !memory.has_memory()) return;
  run_ask(*Device().exchange, options, memory.view);
}

// The local shard lies somewhere in the memory of y, and is moved to its place in it.
void move_within(const FlexMap& options, const Tensor& local, const Tensor& y) {
  if (integer_option(options, "sum") != 0 || local.size_bytes > y.size_bytes) return;
  const IntVector place = integers_option(options, "local");
  for (const size_t at : {size_t{0}, (y.size_bytes - local.size_bytes) / 2,
                          y.size_bytes - local.size_bytes}) {
    auto* const memory = static_cast<uint8_t*>(y.view.data);
    for (size_t i = 0; i < y.size_bytes; ++i) memory[i] = static_cast<uint8_t>(i * 7 + 1);
    TensorView inside = local.view;
    inside.data = memory + at;
    split_core::StridedBox from, to;
    REQUIRE(make_box(inside, place, 0, integers_option(options, "local_origin"), &from));
    REQUIRE(make_box(y.view, place, 0, integers_option(options, "origin"), &to));
    std::vector<uint8_t> before(from.size_bytes()), after(to.size_bytes());
    split_core::read_box(from, 0, before.data(), from.size_bytes());
    run_recv(*Device().exchange, options, &inside, &y.view, nullptr, 0);
    split_core::read_box(to, 0, after.data(), to.size_bytes());
    REQUIRE(before == after);
  }
}

// Nobody sends; a reader may ask for any piece, of any size.
void take_pieces(const FlexMap& options, const Tensor& y) {
  Device device;
  run_recv(*device.exchange, options, nullptr, &y.view, nullptr, 0);
  for (const int32_t piece : {0, 1, 70'000}) {
    for (const size_t size : {y.size_bytes, y.size_bytes / 2, size_t{1}}) {
      take_piece(*device.exchange, piece, y.view.data, size);
    }
  }
}

void try_recv(const FlexMap& options, const Tensor* local, const Tensor& y) {
  const TensorView* const from = local == nullptr ? nullptr : &local->view;
  if (check_recv(options, from, &y.view, kNodes).found() || !y.has_memory()) return;
  if (local != nullptr && !local->has_memory()) return;
  if (integer_option(options, "early") == 2) return take_pieces(options, y);
  run_recv(*Device().exchange, options, from, &y.view, nullptr, 0);
  if (local != nullptr) move_within(options, *local, y);
  write_pieces(options, local, y);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr uint8_t kItemBytes[] = {0, 1, 2, 4, 8};
  Input input(data, size);
  const uint8_t form = input.u8(), items = input.u8();
  const uint32_t rank = form % 7u;
  const bool large = (form & 128) != 0;
  const Tensor x(&input, kItemBytes[items % 5u], rank, large);
  const Tensor y(&input, kItemBytes[items / 5u % 5u], (form & 64) != 0 ? 6 - rank : rank, large);
  const auto bytes = fuzz::copy_of(input.rest(), input.size());
  FlexMap map;
  if (FlexMap::open(bytes.get(), input.size(), &map)) read_everything(map);
  for (const OptionTable* table : kTables) {
    const Problem problem = open_options(bytes.get(), input.size(), *table, &map);
    if (problem.found()) {
      REQUIRE(std::strlen(problem.text) > 0);
      continue;
    }
    check_promises(map, *table);
    if (table == &kSendOptions) try_send(map, x, nullptr);
    if (table == &kSendOptions) try_send(map, x, &y);
    if (table == &kAskOptions) try_ask(map, y);
    if (table != &kRecvOptions) continue;
    try_recv(map, nullptr, y);
    try_recv(map, &x, y);
    check_recv(map, nullptr, nullptr, kNodes);
  }
  return 0;
}
