// SPDX-License-Identifier: Apache-2.0
// libFuzzer entry: the decoder must stay within its buffer and recover, whatever comes.
#include <cstdlib>

#include "split_core/frame.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace split_core;
  uint8_t buffer[kMinMtuBytes];
  FrameDecoder decoder(MutableBytes(buffer, sizeof(buffer)));
  for (size_t i = 0; i < size; ++i) {
    if (decoder.push(data[i]) != FrameDecoder::Event::kFrame) continue;
    FrameHeader header;
    if (decoder.frame_bytes() + kCrcBytes > sizeof(buffer)) std::abort();
    load_header(buffer, decoder.frame_bytes(), &header);
  }
  if (decoder.push(0) == FrameDecoder::Event::kFrame) {
    // fine: the data ended in a whole frame
  }
  const uint8_t ack[] = {0,  3, 1, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                         1,  1, 1, 1, 1, 1, 1, 1, 1, 1};
  for (uint8_t byte : ack) decoder.push(byte);
  return 0;
}
