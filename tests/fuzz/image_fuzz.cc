// SPDX-License-Identifier: Apache-2.0
// Images and messages of a deployment. Input: work memory, then an image; and the same bytes as a message.
// What is found sound can be read whole, and its model lies inside.
#include "input.h"
#include "split_deploy/image.h"
#include "split_deploy/session_messages.h"

namespace {

using namespace split_core;
using namespace split_deploy;

void read_all(ConstBytes image, const BoardLimits& limits) {
  for (uint8_t index = 0; index < slices_of(image); ++index) {
    Slice slice;
    read_slice(image, index, &slice);
    REQUIRE(slice.model > image.data() && slice.model_bytes > 0);
    REQUIRE(slice.model + slice.model_bytes <= image.end());
    REQUIRE((slice.model - image.data()) % static_cast<long>(kImageAlignmentBytes) == 0);
    REQUIRE(std::strlen(slice.mark) > 0 && std::strlen(slice.board) > 0);
    REQUIRE(slice.mark + std::strlen(slice.mark) < reinterpret_cast<const char*>(slice.model));
    if (!check_fit(slice, limits).ok()) continue;
    REQUIRE(Node::check(slice.node) == ErrorCode::kOk);
    REQUIRE(slice.arena_bytes + Node::required_bytes(slice.node) <= limits.work_bytes);
    REQUIRE(slice.required_arena_bytes <= slice.arena_bytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  BoardLimits limits;
  limits.board = "teensy41";
  limits.ports = 2;
  limits.flags = 1;
  limits.baud = 6'000'000;
  limits.work_bytes = 1024u * input.u16();
  limits.posted_bytes = 16;
  const auto copy = fuzz::copy_of(input.rest(), input.size());
  const ConstBytes image(copy.get(), input.size());
  if (check_image(image) == nullptr) read_all(image, limits);
  SessionRequest request;
  if (unpack(image, &request)) REQUIRE(request.type != SessionType::kNone);
  return 0;
}
