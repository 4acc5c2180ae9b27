// SPDX-License-Identifier: Apache-2.0
// Sound images to write and send: one slice, a model of any bytes.
#ifndef TESTS_DEPLOY_IMAGES_H_
#define TESTS_DEPLOY_IMAGES_H_

#include <cstring>
#include <vector>

#include "split_core/endian.h"
#include "split_deploy/sha256.h"

struct TestImage {
  explicit TestImage(uint8_t seed, uint32_t model_bytes = 1000) {
    constexpr uint32_t kConfigBytes = 128, kHead = 48;
    const uint32_t total = (kHead + kConfigBytes + model_bytes + 15) / 16 * 16;
    bytes.assign(total, 0);
    uint8_t* const head = bytes.data();
    std::memcpy(head, "TFSI", 4);
    head[4] = head[6] = 1;
    split_core::store_le<uint32_t>(head + 8, total);
    split_core::store_le<uint32_t>(head + 16, kHead);
    split_core::store_le<uint32_t>(head + 20, kConfigBytes + model_bytes);
    std::memset(head + 24, seed, 16);
    head[41] = 1;
    head[42] = 0xFF;
    uint8_t* const config = head + kHead;
    config[0] = 1;
    config[2] = kConfigBytes;
    split_core::store_le<uint32_t>(config + 4, model_bytes);
    config[9] = 1;
    config[10] = 2;
    config[11] = 1;
    split_core::store_le<uint16_t>(config + 12, 256);
    config[14] = config[15] = config[16] = config[17] = config[18] = 4;
    for (uint8_t at = 20; at <= 40; at = static_cast<uint8_t>(at + 4)) {
      split_core::store_le<uint32_t>(config + at, 20'000);
    }
    split_core::store_le<uint32_t>(config + 48, 4096);
    config[60] = 3;
    std::memset(config + 64, seed, 16);
    std::memcpy(config + 80, "pretended", 9);
    config[104] = 0xFF;
    config[105] = 1;
    config[106] = 0xFF;
    config[108] = 2;
    std::memcpy(config + 116, "abc", 3);
    for (uint32_t i = 0; i < model_bytes; ++i) {
      config[kConfigBytes + i] = static_cast<uint8_t>(seed + i * 7 + i / 251);
    }
    seal();
  }
  void seal() {
    split_deploy::Sha256 digest;
    digest.add(split_core::ConstBytes(bytes.data(), bytes.size()));
    digest.finish(sha256);
    std::memcpy(deployment, sha256, sizeof deployment);
  }
  uint32_t size() const { return static_cast<uint32_t>(bytes.size()); }

  std::vector<uint8_t> bytes;
  uint8_t sha256[split_deploy::kDigestBytes];
  uint8_t deployment[16];
};

#endif  // TESTS_DEPLOY_IMAGES_H_
