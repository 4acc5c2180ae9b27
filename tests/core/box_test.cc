// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "check.h"
#include "sim.h"
#include "split_core/box.h"

namespace {
using split_core::StridedBox;
}

TEST(box_pieces_of_any_size_equal_the_plain_loops) {
  sim::Random random(11);
  for (int round = 0; round < 500; ++round) {
    uint32_t shape[4], start[4], stop[4];
    for (int axis = 0; axis < 4; ++axis) {
      shape[axis] = random.between(1, 6);
      start[axis] = random.below(shape[axis]);
      stop[axis] = random.between(start[axis] + 1, shape[axis]);
    }
    const auto element = static_cast<uint8_t>(1u << random.below(3));
    std::vector<uint8_t> tensor(size_t{shape[0]} * shape[1] * shape[2] * shape[3] * element);
    for (uint8_t& byte : tensor) byte = static_cast<uint8_t>(random.below(256));
    StridedBox box;
    EXPECT(StridedBox::make(tensor.data(), shape, start, stop, element, &box));
    std::vector<uint8_t> expected;
    for (uint32_t n = start[0]; n < stop[0]; ++n)
      for (uint32_t h = start[1]; h < stop[1]; ++h)
        for (uint32_t w = start[2]; w < stop[2]; ++w)
          for (uint32_t c = start[3]; c < stop[3]; ++c)
            for (uint32_t b = 0; b < element; ++b)
              expected.push_back(
                  tensor[(((n * shape[1] + h) * shape[2] + w) * shape[3] + c) * element + b]);
    EXPECT_EQ(box.size_bytes(), expected.size());
    std::vector<uint8_t> packed(expected.size());
    std::vector<uint8_t> target(tensor.size(), 0);
    StridedBox into = box;
    into.base = target.data() + (box.base - tensor.data());
    for (uint32_t at = 0; at < packed.size();) {
      const uint32_t left = static_cast<uint32_t>(packed.size()) - at;
      const uint32_t count = random.between(1, left);
      read_box(box, at, packed.data() + at, count);
      write_box(into, at, packed.data() + at, count);
      at += count;
    }
    EXPECT(packed == expected);
    std::vector<uint8_t> back(expected.size());
    read_box(into, 0, back.data(), static_cast<uint32_t>(back.size()));
    EXPECT(back == expected);
    size_t written = 0;  // bytes outside of the box stay zero
    for (uint8_t byte : target) written += byte != 0;
    EXPECT(written <= expected.size());
  }
}

TEST(box_must_lie_in_its_tensor) {
  uint8_t tensor[64];
  StridedBox box;
  const uint32_t shape[4] = {1, 4, 4, 4};
  const auto make = [&](uint32_t h0, uint32_t h1, uint8_t element) {
    const uint32_t start[4] = {0, h0, 0, 0};
    const uint32_t stop[4] = {1, h1, 4, 4};
    return StridedBox::make(tensor, shape, start, stop, element, &box);
  };
  EXPECT(make(0, 4, 1));
  EXPECT(!make(2, 2, 1));
  EXPECT(!make(3, 2, 1));
  EXPECT(!make(0, 5, 1));
  EXPECT(!make(0, 4, 3));
  EXPECT(!make(0, 4, 8));
  const uint32_t huge[4] = {1, 65536, 65536, 4};
  const uint32_t from[4] = {0, 0, 0, 0};
  const uint32_t to[4] = {1, 1, 1, 1};
  EXPECT(!StridedBox::make(tensor, huge, from, to, 4, &box));
  EXPECT(!StridedBox::make(nullptr, shape, from, to, 1, &box));
}

template <typename Word>
void add_wherever_the_message_is_cut() {
  constexpr uint32_t kBytes = sizeof(Word);
  sim::Random random(12);
  for (int round = 0; round < 200; ++round) {
    const uint32_t shape[4] = {1, random.between(1, 5), random.between(1, 5), random.between(1, 9)};
    uint32_t start[4] = {0, 0, 0, 0}, stop[4] = {1, shape[1], shape[2], shape[3]};
    for (int axis = 1; axis < 4; ++axis) {
      start[axis] = random.below(shape[axis]);
      stop[axis] = random.between(start[axis] + 1, shape[axis]);
    }
    std::vector<Word> tensor(size_t{shape[1]} * shape[2] * shape[3]);
    for (Word& word : tensor) word = static_cast<Word>(random.below(UINT32_MAX));
    StridedBox box;
    EXPECT(StridedBox::make(tensor.data(), shape, start, stop, kBytes, &box));
    std::vector<Word> before(box.size_bytes() / kBytes), terms(before.size()), after(before.size());
    for (Word& word : terms) word = static_cast<Word>(random.below(UINT32_MAX));
    read_box(box, 0, reinterpret_cast<uint8_t*>(before.data()), box.size_bytes());
    box.adds = true;
    for (uint32_t at = 0; at < box.size_bytes();) {
      const uint32_t left = (box.size_bytes() - at) / kBytes;
      const uint32_t count = kBytes * random.between(1, left);
      write_box(box, at, reinterpret_cast<const uint8_t*>(terms.data()) + at, count);
      at += count;
    }
    read_box(box, 0, reinterpret_cast<uint8_t*>(after.data()), box.size_bytes());
    for (size_t i = 0; i < after.size(); ++i) {
      EXPECT_EQ(after[i], static_cast<Word>(before[i] + terms[i]));
    }
  }
}

TEST(box_that_adds_sums_words_wherever_the_message_is_cut) {
  add_wherever_the_message_is_cut<uint32_t>();
  add_wherever_the_message_is_cut<uint16_t>();
}
