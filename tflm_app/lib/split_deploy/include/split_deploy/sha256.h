// SPDX-License-Identifier: Apache-2.0
// SHA-256 (FIPS 180-4) and HMAC-SHA256 (RFC 2104), without tables in RAM.
#ifndef SPLIT_DEPLOY_SHA256_H_
#define SPLIT_DEPLOY_SHA256_H_

#include "split_core/span.h"

namespace split_deploy {

inline constexpr size_t kDigestBytes = 32;

class Sha256 {
 public:
  void add(split_core::ConstBytes bytes);
  // Writes kDigestBytes; nothing may be added afterwards.
  void finish(uint8_t* to);

 private:
  static constexpr size_t kBlockBytes = 64;
  void take_block(const uint8_t* block);

  uint32_t state_[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  uint8_t block_[kBlockBytes] = {};
  uint64_t total_bytes_ = 0;
};

class HmacSha256 {
 public:
  explicit HmacSha256(split_core::ConstBytes key);
  void add(split_core::ConstBytes bytes) { inner_.add(bytes); }
  void finish(uint8_t* to);

 private:
  static constexpr size_t kBlockBytes = 64;
  uint8_t key_[kBlockBytes] = {};
  Sha256 inner_;
};

// Whether two digests are equal, in a time that tells nothing of where they differ.
bool same_digest(const uint8_t* a, const uint8_t* b);

}  // namespace split_deploy

#endif  // SPLIT_DEPLOY_SHA256_H_
