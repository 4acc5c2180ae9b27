// SPDX-License-Identifier: Apache-2.0
// A device in a survey. Input: state and ports of the device; then again and again a port, a length, and
// so many bytes that come there: as they are, or (length above 127) as the payload of a SURVEY frame.
#include <vector>

#include "input.h"
#include "split_deploy/survey_desk.h"

namespace {

using namespace split_core;
using namespace split_deploy;
using fuzz::Input;

constexpr size_t kMostPorts = 4;

// Takes and gives a few bytes at a time.
struct TestStream final : ByteStream {
  size_t read(MutableBytes to) override {
    size_t count = 0;
    for (; count < to.size() && at < in.size(); ++count) to[count] = in[at++];
    return count;
  }
  size_t write(ConstBytes from) override {
    const size_t count = from.size() < 7 ? from.size() : 7;
    out.insert(out.end(), from.begin(), from.begin() + count);
    return count;
  }
  std::vector<uint8_t> in, out;
  size_t at = 0;
};

// Puts the payload into the stream's input as a frame of its own.
void put_frame(TestStream* stream, const uint8_t* payload, size_t size) {
  TestStream wire;
  FrameHeader header;
  header.type = FrameType::kSurvey;
  FrameEncoder encoder;
  encoder.start(header, ConstBytes(payload, size));
  while (!encoder.done()) encoder.write_to(wire);
  stream->in.insert(stream->in.end(), wire.out.begin(), wire.out.end());
}

// Whatever leaves is a sound SURVEY frame of this version, and no request leaves for the host.
size_t check_output(const TestStream& stream, bool is_host) {
  uint8_t landing[kMinMtuBytes];
  FrameDecoder decoder(MutableBytes(landing, sizeof landing));
  size_t frames = 0;
  for (size_t taken = 0; taken < stream.out.size();) {
    FrameDecoder::Event event;
    taken += decoder.push(ConstBytes(stream.out.data() + taken, stream.out.size() - taken), &event);
    REQUIRE(event != FrameDecoder::Event::kError);
    if (event != FrameDecoder::Event::kFrame) continue;
    FrameHeader header;
    REQUIRE(load_header(landing, decoder.frame_bytes(), &header) == HeaderError::kNone);
    REQUIRE(header.type == FrameType::kSurvey);
    SurveyFrame frame;
    REQUIRE(frame.load(ConstBytes(landing + kHeaderBytes, header.length)));
    REQUIRE(!is_host || is_answer(frame.kind()));
    REQUIRE(is_host || !frame.has_arrived() || frame.hop() > 0);
    ++frames;
  }
  return frames;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  Identity identity;
  identity.state = static_cast<DeployState>(input.u8() & 3);
  identity.ports = static_cast<uint8_t>(input.u8() % kMostPorts);
  identity.slices = input.u8();
  identity.work_bytes = 16 * input.u16();
  identity.rx_ring_bytes = static_cast<uint16_t>(64 * identity.slices);
  Refusal why;
  why.code = RefusalCode::kTooLittleMemory;
  why.text = "what it is that does not fit";
  SurveyDesk desk(identity, why);
  TestStream streams[kMostPorts];
  SurveyPort ports[kMostPorts];
  for (uint8_t i = 0; i <= identity.ports; ++i) {
    ports[i] = {&streams[i], i == identity.ports ? kHostPort : i};
  }
  const size_t bytes = Survey::required_bytes(identity.ports + 1u);
  const auto memory = fuzz::exactly<uint64_t>((bytes + 7) / 8);
  Survey* const survey = Survey::create(memory.get(), bytes, ports, identity.ports + 1u, desk);
  REQUIRE(survey != nullptr);
  size_t came = 0;
  while (!input.empty()) {
    TestStream& stream = streams[input.u8() % (identity.ports + 1u)];
    const uint8_t length = input.u8();
    std::vector<uint8_t> piece;
    for (size_t left = length & 127; left > 0 && !input.empty(); --left) piece.push_back(input.u8());
    if (length > 127) {
      put_frame(&stream, piece.data(), piece.size());
    } else {
      stream.in.insert(stream.in.end(), piece.begin(), piece.end());
    }
    ++came;
    survey->poll(static_cast<uint32_t>(came));
  }
  for (int turn = 0; turn < 2'000 && !survey->all_sent(); ++turn) survey->poll(0);
  REQUIRE(survey->all_sent());
  for (uint8_t i = 0; i <= identity.ports; ++i) check_output(streams[i], i == identity.ports);
  return 0;
}
