// SPDX-License-Identifier: Apache-2.0
// Two slots, and power that fails at any byte.
#include "check.h"
#include "images.h"
#include "split_deploy/image_store.h"
#include "split_port/ram_store.h"
#include "store.h"

namespace {

using namespace split_deploy;
using split_core::ConstBytes;

void quiet() {}

constexpr uint32_t kSlotBytes = 2048;

// All steps of a deployment to one device; false when the store fails.
bool deploy(ImageStore* images, const TestImage& image) {
  if (!images->begin(image.size(), image.deployment, image.sha256)) return false;
  for (uint32_t at = 0; at < image.size(); at += 256) {
    const uint32_t count = image.size() - at < 256 ? image.size() - at : 256;
    if (!images->append(image.bytes.data() + at, count, quiet)) return false;
  }
  if (images->finish(quiet) != RefusalCode::kNone || !images->prepare()) return false;
  return images->commit(images->find(image.size(), image.sha256));
}

bool holds(const ImageStore& images, const TestImage& image) {
  if (images.active() == kNoSlot) return false;
  const ConstBytes found = images.image(images.active());
  return found.size() == image.size() && std::memcmp(found.data(), image.bytes.data(), found.size()) == 0;
}

}  // namespace

TEST(a_blank_store_holds_nothing_and_no_store_holds_less) {
  TestStore store(kSlotBytes);
  for (split_port::Store* const one : {static_cast<split_port::Store*>(&store), static_cast<split_port::Store*>(nullptr)}) {
    ImageStore images(one);
    images.open(quiet);
    EXPECT_EQ(images.active(), kNoSlot);
    EXPECT(!images.has_prepared());
    EXPECT_EQ(images.survives(), one != nullptr);
    EXPECT_EQ(images.capacity(), one == nullptr ? 0u : kSlotBytes - 192);
    const TestImage image(1);
    EXPECT_EQ(images.find(image.size(), image.sha256), kNoSlot);
    EXPECT(!images.begin(kSlotBytes, image.deployment, image.sha256));
    EXPECT(!images.begin(0, image.deployment, image.sha256));
  }
}

TEST(images_take_turns_and_the_last_committed_counts_after_a_reset) {
  TestStore store(kSlotBytes);
  ImageStore images(&store);
  images.open(quiet);
  for (uint8_t seed = 1; seed < 6; ++seed) {
    const TestImage image(seed, 900u + 50u * seed);
    EXPECT(deploy(&images, image));
    EXPECT_EQ(images.active(), (seed + 1) % 2);
    ImageStore after(&store);
    after.open(quiet);
    EXPECT(holds(images, image) && holds(after, image));
    EXPECT(std::memcmp(after.deployment(after.active()), image.deployment, 16) == 0);
  }
}

TEST(an_image_of_before_comes_back_without_being_written_again) {
  TestStore store(kSlotBytes);
  ImageStore images(&store);
  images.open(quiet);
  const TestImage first(1), second(2);
  EXPECT(deploy(&images, first) && deploy(&images, second));
  const uint64_t spent = store.spent();
  EXPECT(images.commit(images.find(first.size(), first.sha256)));
  EXPECT_EQ(store.spent(), spent + kRecordBytes);
  ImageStore after(&store);
  after.open(quiet);
  for (const ImageStore* one : {&images, &after}) {
    EXPECT(holds(*one, first));
    // Its record was made void, and so it has to come again.
    EXPECT_EQ(one->find(second.size(), second.sha256), kNoSlot);
    EXPECT(!one->has_prepared());
  }
  EXPECT(deploy(&after, second) && holds(after, second));
}

TEST(power_that_fails_at_any_byte_leaves_the_old_image_or_the_new_one) {
  const TestImage old_image(1, 400), new_image(2, 420);
  TestStore counted(kSlotBytes);
  ImageStore counting(&counted);
  EXPECT(deploy(&counting, old_image));
  const uint64_t before = counted.spent();
  EXPECT(deploy(&counting, new_image));
  const uint64_t all = counted.spent() - before;
  int old_ones = 0, new_ones = 0;
  for (uint64_t bytes = 0; bytes <= all; ++bytes) {
    TestStore store(kSlotBytes);
    ImageStore images(&store);
    deploy(&images, old_image);
    store.fail_after(bytes);
    const bool is_done = deploy(&images, new_image);
    EXPECT_EQ(is_done, bytes == all);
    store.power_on();
    ImageStore after(&store);
    after.open(quiet);
    const bool is_old = holds(after, old_image), is_new = holds(after, new_image);
    EXPECT(is_old != is_new);
    EXPECT(!is_done || is_new);
    old_ones += is_old ? 1 : 0;
    new_ones += is_new ? 1 : 0;
    // And the next deployment goes through.
    if (bytes % 97 == 0) EXPECT(deploy(&after, new_image) && holds(after, new_image));
  }
  EXPECT_EQ(new_ones, 1);
  EXPECT_EQ(static_cast<uint64_t>(old_ones), all);
}

TEST(what_is_prepared_outlives_a_reset_and_waits_for_its_commit) {
  TestStore store(kSlotBytes);
  const TestImage image(3);
  {
    ImageStore images(&store);
    EXPECT(images.begin(image.size(), image.deployment, image.sha256));
    EXPECT(images.append(image.bytes.data(), image.size(), quiet));
    EXPECT_EQ(images.written_bytes(), image.size());
    EXPECT(images.finish(quiet) == RefusalCode::kNone && images.prepare());
    EXPECT(images.has_prepared());
  }
  ImageStore images(&store);
  images.open(quiet);
  EXPECT(images.has_prepared());
  EXPECT_EQ(images.active(), kNoSlot);
  const uint8_t slot = images.find(image.size(), image.sha256);
  EXPECT(slot != kNoSlot && images.commit(slot));
  EXPECT(holds(images, image) && !images.has_prepared());
}

TEST(an_image_that_changed_in_its_slot_does_not_count) {
  TestStore store(kSlotBytes);
  const TestImage first(1), second(2);
  {
    ImageStore images(&store);
    EXPECT(deploy(&images, first) && deploy(&images, second));
    store.at(images.active())[777] ^= 1;
  }
  ImageStore images(&store);
  images.open(quiet);
  EXPECT(holds(images, first));
}

TEST(another_digest_a_broken_store_and_too_many_bytes_are_noticed) {
  TestStore store(kSlotBytes);
  TestImage image(1);
  ImageStore images(&store);
  EXPECT(!images.append(image.bytes.data(), 16, quiet));  // nothing was begun
  EXPECT(images.begin(image.size(), image.deployment, image.sha256));
  EXPECT(!images.append(image.bytes.data(), image.size() + 16, quiet));
  image.bytes[300] ^= 1;
  EXPECT(images.append(image.bytes.data(), image.size(), quiet));
  EXPECT(images.finish(quiet) == RefusalCode::kBadDigest);
  image.bytes[300] ^= 1;
  store.set_stuck_at(8);  // total_bytes of the image: 0x4A0; its lowest byte
  image.bytes[8] |= 1;
  image.seal();
  EXPECT(images.begin(image.size(), image.deployment, image.sha256));
  EXPECT(images.append(image.bytes.data(), image.size(), quiet));
  EXPECT(images.finish(quiet) == RefusalCode::kStoreFailed);
}

TEST(a_store_in_memory_holds_images_until_power_is_lost) {
  alignas(16) static uint8_t memory[2 * 4096 + 500];
  std::memset(memory, 0x55, sizeof memory);
  split_port::RamStore store(memory, sizeof memory);
  EXPECT_EQ(store.slot_bytes(), 4096u);
  EXPECT(!store.survives());
  ImageStore images(&store);
  images.open(quiet);
  EXPECT_EQ(images.active(), kNoSlot);
  const TestImage first(1, 3000), second(2, 3100);
  EXPECT(deploy(&images, first) && deploy(&images, second));
  ImageStore after(&store);  // a reset, but no loss of power
  after.open(quiet);
  EXPECT(holds(after, second));
  EXPECT(after.commit(after.find(first.size(), first.sha256)) && holds(after, first));
  EXPECT_EQ(memory[2 * 4096], 0x55);
}
