// SPDX-License-Identifier: Apache-2.0
#include "split_deploy/sha256.h"

#include <cstring>

namespace split_deploy {
namespace {

using split_core::ConstBytes;

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
constexpr uint32_t kRounds[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

constexpr size_t kLengthBytes = 8;

uint32_t load_big(const uint8_t* from) {
  return uint32_t{from[0]} << 24 | uint32_t{from[1]} << 16 | uint32_t{from[2]} << 8 | from[3];
}

template <typename T>
void store_big(uint8_t* to, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) {
    to[i] = static_cast<uint8_t>(value >> (8 * (sizeof(T) - 1 - i)));
  }
}

constexpr uint32_t turned(uint32_t word, unsigned by) { return word >> by | word << (32 - by); }

}  // namespace

// The schedule of 64 words goes round in 16 of them.
void Sha256::take_block(const uint8_t* block) {
  uint32_t w[16];
  for (size_t i = 0; i < 16; ++i) w[i] = load_big(block + 4 * i);
  uint32_t s[8];
  std::memcpy(s, state_, sizeof s);
  for (size_t round = 0; round < 64; ++round) {
    uint32_t& word = w[round & 15];
    if (round >= 16) {
      const uint32_t early = w[(round + 1) & 15], late = w[(round + 14) & 15];
      word += (turned(early, 7) ^ turned(early, 18) ^ early >> 3) + w[(round + 9) & 15] +
              (turned(late, 17) ^ turned(late, 19) ^ late >> 10);
    }
    const uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
    const uint32_t most = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
    const uint32_t first = s[7] + (turned(s[4], 6) ^ turned(s[4], 11) ^ turned(s[4], 25)) + choice +
                           kRounds[round] + word;
    const uint32_t second = (turned(s[0], 2) ^ turned(s[0], 13) ^ turned(s[0], 22)) + most;
    std::memmove(s + 1, s, 7 * sizeof s[0]);
    s[4] += first;
    s[0] = first + second;
  }
  for (size_t i = 0; i < 8; ++i) state_[i] += s[i];
}

void Sha256::add(ConstBytes bytes) {
  size_t used = total_bytes_ % kBlockBytes;
  total_bytes_ += bytes.size();
  while (used + bytes.size() >= kBlockBytes) {
    const size_t count = kBlockBytes - used;
    std::memcpy(block_ + used, bytes.data(), count);
    take_block(block_);
    bytes = bytes.subspan(count);
    used = 0;
  }
  if (!bytes.empty()) std::memcpy(block_ + used, bytes.data(), bytes.size());
}

void Sha256::finish(uint8_t* to) {
  const uint64_t bits = 8 * total_bytes_;
  size_t used = total_bytes_ % kBlockBytes;
  block_[used++] = 0x80;
  if (used > kBlockBytes - kLengthBytes) {
    std::memset(block_ + used, 0, kBlockBytes - used);
    take_block(block_);
    used = 0;
  }
  std::memset(block_ + used, 0, kBlockBytes - kLengthBytes - used);
  store_big<uint64_t>(block_ + kBlockBytes - kLengthBytes, bits);
  take_block(block_);
  for (size_t i = 0; i < 8; ++i) store_big<uint32_t>(to + 4 * i, state_[i]);
}

HmacSha256::HmacSha256(ConstBytes key) {
  if (key.size() > kBlockBytes) {
    Sha256 digest;
    digest.add(key);
    digest.finish(key_);
  } else if (!key.empty()) {
    std::memcpy(key_, key.data(), key.size());
  }
  uint8_t pad[kBlockBytes];
  for (size_t i = 0; i < kBlockBytes; ++i) pad[i] = key_[i] ^ 0x36;
  inner_.add(ConstBytes(pad, kBlockBytes));
}

void HmacSha256::finish(uint8_t* to) {
  uint8_t digest[kDigestBytes];
  inner_.finish(digest);
  uint8_t pad[kBlockBytes];
  for (size_t i = 0; i < kBlockBytes; ++i) pad[i] = key_[i] ^ 0x5c;
  Sha256 outer;
  outer.add(ConstBytes(pad, kBlockBytes));
  outer.add(ConstBytes(digest, kDigestBytes));
  outer.finish(to);
}

bool same_digest(const uint8_t* a, const uint8_t* b) {
  uint8_t differing = 0;
  for (size_t i = 0; i < kDigestBytes; ++i) differing = static_cast<uint8_t>(differing | (a[i] ^ b[i]));
  return differing == 0;
}

}  // namespace split_deploy
