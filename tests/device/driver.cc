// SPDX-License-Identifier: Apache-2.0
// Lets Python test split_device: one request a line on standard input, one answer a line.
//
//   options HEX TABLE           -> "ok key=value ..." or "refused key: text"
//   table TABLE                 -> key,kind,minimum,maximum,count;...
//   box ITEM RANK DIMS... BOX... ORIGIN...  -> hex of the box's bytes of a tensor that counts up
//   send HEX NODES ITEM RANK DIMS...        -> "ok" or "refused ..."
//   recv HEX NODES LOCAL ITEM RANK LDIMS... YDIMS...  (LOCAL 0: no local shard)
//   local HEX BYTES ITEM RANK AT LDIMS... AT YDIMS...  -> hex of the memory, counting up at first, in
//       which both tensors lie, after a RECV without pieces
//   query HEX | start HEX       -> fields, or "none"
//   info|report|link FIELDS..., text TOKEN HEX  -> hex of the message
#include <cstdint>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "split_device/cluster_protocol.h"
#include "split_device/transfer.h"

using namespace split_device;  // NOLINT

namespace {

using Bytes = std::vector<uint8_t>;

Bytes from_hex(const std::string& text) {
  Bytes bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
  }
  bytes.shrink_to_fit();  // so that the sanitizer sees a read behind the end
  return bytes;
}

std::string to_hex(const uint8_t* bytes, size_t count) {
  static const char digits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    text += digits[bytes[i] >> 4];
    text += digits[bytes[i] & 15];
  }
  return text.empty() ? "-" : text;
}

const OptionTable* table_named(const std::string& name) {
  if (name == "TFLSPLIT_SEND") return &kSendOptions;
  if (name == "TFLSPLIT_RECV") return &kRecvOptions;
  if (name == "TFLSPLIT_ASK") return &kAskOptions;
  if (name == "TFLSPLIT_CONV_2D" || name == "TFLSPLIT_DEPTHWISE_CONV_2D") {
    return name == "TFLSPLIT_CONV_2D" ? &kConv2dOptions : &kDepthwiseConv2dOptions;
  }
  if (name == "TFLSPLIT_PARTIAL_CONV_2D") return &kPartialConv2dOptions;
  if (name == "TFLSPLIT_PARTIAL_FULLY_CONNECTED") return &kPartialFullyConnectedOptions;
  if (name == "TFLSPLIT_PARTIAL_SUM") return &kPartialSumOptions;
  if (name == "TFLSPLIT_REQUANTIZE") return &kRequantizeOptions;
  if (name == "TFLSPLIT_FUSED_BLOCK") return &kFusedBlockOptions;
  if (name == "TFLSPLIT_CHAIN") return &kChainOptions;
  if (name == "TFLSPLIT_ADD") return &kAddOptions;
  if (name == "TFLSPLIT_MEAN") return &kMeanOptions;
  if (name == "TFLSPLIT_POOL_2D") return &kPool2dOptions;
  return nullptr;
}

std::string refusal(const Problem& problem) {
  std::string key = problem.key ? problem.key : "-";
  for (char& letter : key) letter = letter > ' ' && letter <= '~' ? letter : '?';
  return "refused " + key + ": " + problem.text;
}

std::string options(std::istream& in) {
  std::string hex, name;
  in >> hex >> name;
  const Bytes bytes = from_hex(hex);
  const OptionTable* const table = table_named(name);
  FlexMap map;
  const Problem problem = open_options(bytes.data(), bytes.size(), *table, &map);
  if (problem.found()) return refusal(problem);
  std::ostringstream out;
  out << "ok";
  for (uint8_t i = 0; i < table->count; ++i) {
    const OptionField& field = table->fields[i];
    out << " " << field.key << "=";
    if (field.kind == OptionKind::kInteger) out << integer_option(map, field.key);
    if (field.kind == OptionKind::kText) {
      const Text text = text_option(map, field.key);
      out << to_hex(reinterpret_cast<const uint8_t*>(text.data), text.size);
    }
    if (field.kind == OptionKind::kIntegers) {
      const IntVector values = integers_option(map, field.key);
      for (uint32_t k = 0; k < values.size(); ++k) out << (k ? "," : "") << values.at(k);
    }
  }
  return out.str();
}

std::string table(std::istream& in) {
  std::string name;
  in >> name;
  const OptionTable* const found = table_named(name);
  if (found == nullptr) return "none";
  std::ostringstream out;
  for (uint8_t i = 0; i < found->count; ++i) {
    const OptionField& f = found->fields[i];
    out << f.key << "," << static_cast<int>(f.kind) << "," << f.minimum << "," << f.maximum << ","
        << static_cast<int>(f.count) << ";";
  }
  return out.str() + ".";
}

// ---- Tensors ----

struct Tensor {
  std::vector<int32_t> dims;
  Bytes data;
  TensorView view;
};

void read_tensor(std::istream& in, uint32_t item, uint32_t rank, Tensor* tensor) {
  size_t size = item;
  tensor->dims.resize(rank);
  for (int32_t& extent : tensor->dims) {
    in >> extent;
    size *= static_cast<size_t>(extent);
  }
  tensor->data.resize(size);
  for (size_t i = 0; i < size; ++i) tensor->data[i] = static_cast<uint8_t>(i * 7 + i / 256);
  tensor->view.data = tensor->data.data();
  tensor->view.dims = tensor->dims.data();
  tensor->view.rank = rank;
  tensor->view.item_bytes = static_cast<uint8_t>(item);
}

std::vector<uint8_t> words(std::istream& in, uint32_t count) {
  std::vector<uint8_t> bytes;
  for (uint32_t i = 0; i < count; ++i) {
    int32_t value = 0;
    in >> value;
    for (int k = 0; k < 4; ++k) bytes.push_back(static_cast<uint8_t>(uint32_t(value) >> (8 * k)));
  }
  return bytes;
}

std::string box(std::istream& in) {
  uint32_t item = 0, rank = 0;
  in >> item >> rank;
  Tensor tensor;
  read_tensor(in, item, rank, &tensor);
  const Bytes bounds = words(in, 2 * rank), origin = words(in, rank);
  split_core::StridedBox result;
  if (!make_box(tensor.view, IntVector(bounds.data(), 2 * rank, 4, true), 0,
                IntVector(origin.data(), rank, 4, true), &result)) {
    return "none";
  }
  Bytes packed(result.size_bytes());
  split_core::read_box(result, 0, packed.data(), result.size_bytes());
  return to_hex(packed.data(), packed.size());
}

std::string check(std::istream& in, bool is_send) {
  std::string hex;
  uint32_t nodes = 0, has_local = 0, item = 0, rank = 0;
  in >> hex >> nodes;
  if (!is_send) in >> has_local;
  in >> item >> rank;
  const Bytes bytes = from_hex(hex);
  FlexMap map;
  Problem problem = open_options(bytes.data(), bytes.size(),
                                 is_send ? kSendOptions : kRecvOptions, &map);
  if (problem.found()) return refusal(problem);
  Tensor local, y;
  if (has_local != 0) read_tensor(in, item, rank, &local);
  read_tensor(in, item, rank, &y);
  Tensor copy;
  const bool copies = is_send && (in >> std::ws).peek() != EOF;
  if (copies) read_tensor(in, 1, 1, &copy);
  problem = is_send ? check_send(map, y.view, copies ? &copy.view : nullptr,
                                 static_cast<uint8_t>(nodes))
                    : check_recv(map, has_local != 0 ? &local.view : nullptr, &y.view,
                                 static_cast<uint8_t>(nodes));
  return problem.found() ? refusal(problem) : "ok";
}

struct Silence final : split_core::ByteStream {
  size_t read(split_core::MutableBytes) override { return 0; }
  size_t write(split_core::ConstBytes) override { return 0; }
};
struct NoTime final : split_core::Clock {
  uint32_t now_us() override { return 0; }
};
uint64_t no_ticks() { return 0; }

// Calls run(exchange), of a device whose only neighbour says nothing.
template <typename Run>
bool alone(Run run) {
  alignas(16) static uint8_t node_memory[64 * 1024];
  Silence silence;
  NoTime clock;
  split_core::ByteStream* const streams[] = {&silence};
  split_core::LinkConfig link;
  link.peer_rank = 1;
  split_core::NodeConfig config;
  config.node_count = 3;
  config.link_count = 1;
  config.links = &link;
  auto* const node = split_core::Node::create(node_memory, sizeof node_memory, config, streams,
                                              clock, nullptr);
  if (node == nullptr) return false;
  PostedSend posted[1];
  Exchange exchange(*node, clock, no_ticks, posted, 1);
  exchange.begin(1, 1000);
  return run(exchange);
}

std::string local(std::istream& in) {
  std::string hex;
  size_t size = 0, at = 0;
  uint32_t item = 0, rank = 0;
  in >> hex >> size >> item >> rank;
  const Bytes bytes = from_hex(hex);
  FlexMap map;
  const Problem problem = open_options(bytes.data(), bytes.size(), kRecvOptions, &map);
  if (problem.found()) return refusal(problem);
  Bytes memory(size);
  for (size_t i = 0; i < size; ++i) memory[i] = static_cast<uint8_t>(i * 7 + i / 256);
  Tensor tensors[2];
  for (Tensor& tensor : tensors) {
    in >> at;
    read_tensor(in, item, rank, &tensor);
    if (at + tensor.data.size() > size) return "none";
    tensor.view.data = memory.data() + at;
  }
  const auto run = [&](Exchange& exchange) {
    return run_recv(exchange, map, &tensors[0].view, &tensors[1].view, nullptr, 0);
  };
  return alone(run) ? to_hex(memory.data(), memory.size()) : "failed";
}

// What a SEND copies to its result.
std::string copied(std::istream& in) {
  std::string hex;
  uint32_t item = 0, rank = 0;
  in >> hex >> item >> rank;
  const Bytes bytes = from_hex(hex);
  FlexMap map;
  const Problem problem = open_options(bytes.data(), bytes.size(), kSendOptions, &map);
  if (problem.found()) return refusal(problem);
  Tensor x, copy;
  read_tensor(in, item, rank, &x);
  read_tensor(in, 1, 1, &copy);
  const auto run = [&](Exchange& exchange) { return run_send(exchange, map, x.view, &copy.view); };
  return alone(run) ? to_hex(copy.data.data(), copy.data.size()) : "failed";
}

// ---- Messages ----

uint64_t number(std::istream& in) {
  uint64_t value = 0;
  in >> value;
  return value;
}
template <typename T>
void read(std::istream& in, T* to) {
  *to = static_cast<T>(number(in));
}

std::string query(std::istream& in) {
  std::string hex;
  in >> hex;
  const Bytes bytes = from_hex(hex);
  Query message;
  if (!unpack(split_core::ConstBytes(bytes.data(), bytes.size()), &message)) return "none";
  uint8_t again[kMaxControlBytes];
  return std::to_string(message.what) + " " + std::to_string(message.token) + " " +
         to_hex(again, pack(message, again));
}

std::string start(std::istream& in) {
  std::string hex;
  in >> hex;
  const Bytes bytes = from_hex(hex);
  Start message;
  if (!unpack(split_core::ConstBytes(bytes.data(), bytes.size()), &message)) return "none";
  uint8_t again[kMaxControlBytes];
  return std::to_string(message.epoch) + " " + std::to_string(message.timeout_ms) + " " +
         std::to_string(message.flags) + " " +
         to_hex(again, pack(message, again));
}

template <typename Message>
std::string packed(const Message& message) {
  uint8_t bytes[kMaxControlBytes];
  return to_hex(bytes, pack(message, bytes));
}

std::string info(std::istream& in) {
  Info m;
  read(in, &m.state), read(in, &m.flags), read(in, &m.token), read(in, &m.boot);
  read(in, &m.epoch), read(in, &m.inputs), read(in, &m.outputs), read(in, &m.arena_bytes);
  read(in, &m.arena_used_bytes), read(in, &m.model_bytes), read(in, &m.ticks_per_second);
  read(in, &m.inferences), read(in, &m.faults), read(in, &m.uptime_ms), read(in, &m.link_bytes);
  read(in, &m.reset_reason), read(in, &m.console_lost_bytes);
  read(in, &m.stack_bytes), read(in, &m.stack_used_bytes);
  read(in, &m.next_input_bytes);
  std::string board;
  in >> board;
  m.board = board.c_str();
  return packed(m);
}

std::string report(std::istream& in) {
  Report m;
  read(in, &m.status), read(in, &m.code), read(in, &m.token), read(in, &m.epoch);
  read(in, &m.channel), read(in, &m.rank), read(in, &m.link), read(in, &m.reporter);
  read(in, &m.phase), read(in, &m.input_us), read(in, &m.graph_us), read(in, &m.wait_us);
  read(in, &m.output_us), read(in, &m.graph_ticks), read(in, &m.wait_ticks);
  read(in, &m.sent_bytes), read(in, &m.received_bytes);
  return packed(m);
}

std::string link(std::istream& in) {
  LinkReport m;
  read(in, &m.link), read(in, &m.peer), read(in, &m.token), read(in, &m.state);
  read(in, &m.code), read(in, &m.links), read(in, &m.claimed);
  for (uint32_t& counter : m.counters) read(in, &counter);
  read(in, &m.lost_bytes);
  return packed(m);
}

std::string text(std::istream& in) {
  TextReport m;
  read(in, &m.token);
  std::string hex;
  in >> hex;
  const Bytes bytes = from_hex(hex);
  m.text = split_core::ConstBytes(bytes.data(), bytes.size());
  return packed(m);
}

std::string answer(const std::string& line) {
  std::istringstream in(line);
  std::string what;
  in >> what;
  if (what == "options") return options(in);
  if (what == "table") return table(in);
  if (what == "box") return box(in);
  if (what == "send") return check(in, true);
  if (what == "recv") return check(in, false);
  if (what == "local") return local(in);
  if (what == "copied") return copied(in);
  if (what == "query") return query(in);
  if (what == "start") return start(in);
  if (what == "info") return info(in);
  if (what == "report") return report(in);
  if (what == "link") return link(in);
  if (what == "text") return text(in);
  return "?";
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) std::cout << answer(line) << "\n";
}
