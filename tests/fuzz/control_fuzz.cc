// SPDX-License-Identifier: Apache-2.0
// Small readers and writers beside the frames: control messages, lines of text, errors in words, SPI
// blocks, start-up arguments. Each gets the whole input.
#include "input.h"
#include "split_core/error.h"
#include "split_device/cluster_protocol.h"
#include "split_device/text_line.h"
#include "split_port/arguments.h"
#include "split_port/spi_block.h"

namespace {

using namespace split_device;
using fuzz::Input;
using split_core::ConstBytes;

// What is read is written again as it was, but for bytes that mean nothing.
void read_messages(ConstBytes payload) {
  MessageType type;
  REQUIRE(message_type(payload, &type) || payload.size() < 2 || payload[0] != kControlVersion);
  const auto to = fuzz::exactly<uint8_t>(kMaxControlBytes);
  Query query;
  Start start;
  const bool is_query = unpack(payload, &query), is_start = unpack(payload, &start);
  REQUIRE(!is_query || !is_start);
  if (is_query) {
    REQUIRE(pack(query, to.get()) == payload.size());
    REQUIRE(std::memcmp(to.get(), payload.data(), payload.size()) == 0);
  }
  if (is_start) {
    REQUIRE(pack(start, to.get()) == payload.size());
    REQUIRE(std::memcmp(to.get(), payload.data(), 8) == 0);
  }
}

void write_messages(ConstBytes words, const char* name) {
  const auto to = fuzz::exactly<uint8_t>(kMaxControlBytes);
  TextReport text;
  text.text = words;
  REQUIRE(pack(text, to.get()) <= kMaxControlBytes);
  REQUIRE(to[2] <= TextReport::kMaxTextBytes);
  Info info;
  info.board = name;
  REQUIRE(pack(info, to.get()) == Info::kBytes);
  REQUIRE(pack(Report(), to.get()) == Report::kBytes);
  REQUIRE(pack(LinkReport(), to.get()) == LinkReport::kBytes);
}

void write_lines(Input input, const char* name) {
  const auto size = static_cast<uint32_t>(input.size());
  TextLine line;
  line.add(static_cast<int64_t>(input.u64())).add(" ").add_quoted({name, size}).add(name);
  REQUIRE(line.size() <= TextLine::kCapacity && std::strlen(line.text()) == line.size());
  TextLine quoted;
  quoted.add_quoted({name, size});
  for (const char* at = quoted.text(); *at != '\0'; ++at) REQUIRE(*at >= ' ' && *at <= '~');
}

void write_errors(Input input) {
  split_core::Error error;
  error.code = static_cast<split_core::ErrorCode>(input.u8());
  error.rank = input.u8();
  error.link = input.u8();
  error.reporter = input.u8();
  error.channel = input.u16();
  const size_t capacity = input.u8();
  const auto to = fuzz::exactly<char>(capacity);
  const size_t length = split_core::format_error(error, to.get(), capacity);
  REQUIRE(capacity == 0 ? length == 0 : std::strlen(to.get()) == length);
}

void read_spi_block(ConstBytes bytes) {
  if (bytes.size() < split_port::kSpiBlockBytes) return;
  const auto block = std::make_unique<split_port::SpiBlock>();
  std::memcpy(block->bytes, bytes.data(), split_port::kSpiBlockBytes);
  ConstBytes payload;
  if (!split_port::read_block(*block, &payload)) return;
  REQUIRE(payload.begin() >= block->bytes && payload.end() <= block->bytes + sizeof block->bytes);
}

void read_arguments(const char* words, size_t size) {
  const auto value = fuzz::exactly<char>(16);
  if (split_port::match_argument(words, size, "rank", value.get(), 16)) {
    REQUIRE(std::memchr(value.get(), 0, 16) != nullptr);
  }
  int32_t number = 0;
  if (!split_port::parse_decimal(words, &number)) return;
  REQUIRE(std::strtoll(words, nullptr, 10) == number);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto exact = fuzz::copy_of(data, size);
  const ConstBytes bytes(exact.get(), size);
  const auto name = fuzz::exactly<char>(size + 1);
  if (size > 0) std::memcpy(name.get(), data, size);
  read_messages(bytes);
  write_messages(bytes, name.get());
  write_lines(Input(data, size), name.get());
  write_errors(Input(data, size));
  read_spi_block(bytes);
  read_arguments(name.get(), size);
  return 0;
}
