// SPDX-License-Identifier: Apache-2.0
// Self-test of the store of a generic firmware, on the board itself: erases, writes and reads back in slot 1
// (an image there is lost), and looks whether slot 0 stayed as it was.
#include <cstdio>
#include <cstring>

#include "split_port/port.h"
#include "split_port/store.h"

namespace {

using split_port::Store;

constexpr uint32_t kBytes = 960;  // less than any unit
constexpr uint32_t kVoidBytes = 96;
constexpr uint8_t kSlot = 1;

[[noreturn]] void fail(const char* what, uint32_t position) {
  char line[96];
  std::snprintf(line, sizeof line, "FAIL store: %s at byte %lu\n", what,
                static_cast<unsigned long>(position));
  split_port::console_write(line);
  split_port::stop(1);
}

uint8_t pattern(uint32_t at) { return static_cast<uint8_t>(at * 167 + at / 256); }

uint32_t sum_of(const uint8_t* bytes, uint32_t count) {
  uint32_t sum = 2166136261u;  // FNV-1a (Fowler, Noll, Vo)
  for (uint32_t i = 0; i < count; ++i) sum = (sum ^ bytes[i]) * 16777619u;
  return sum;
}

void erase(Store& store, uint32_t offset) {
  if (!store.erase(kSlot, offset)) fail("not erased", offset);
  const uint8_t* const bytes = store.slot(kSlot) + offset;
  for (uint32_t i = 0; i < store.erase_bytes(); ++i) {
    if (bytes[i] != 0xFF) fail("not erased", offset + i);
  }
}

// In pieces of all sizes, so that pages are begun and ended in the middle.
void write(Store& store, uint32_t offset) {
  uint8_t piece[kBytes];
  for (uint32_t i = 0; i < kBytes; ++i) piece[i] = pattern(i);
  for (uint32_t at = 0, size = 16; at < kBytes; at += size, size += 64) {
    if (size > kBytes - at) size = kBytes - at;
    if (!store.write(kSlot, offset + at, piece + at, size)) fail("not written", offset + at);
  }
  const uint8_t* const bytes = store.slot(kSlot) + offset;
  for (uint32_t i = 0; i < kBytes; ++i) {
    if (bytes[i] != pattern(i)) fail("another byte", offset + i);
  }
}

// Zeros over what was written, and nothing beside them.
void make_void(Store& store, uint32_t offset) {
  const uint8_t zeros[kVoidBytes] = {};
  if (!store.write(kSlot, offset + kVoidBytes, zeros, kVoidBytes)) fail("not voided", offset);
  const uint8_t* const bytes = store.slot(kSlot) + offset;
  for (uint32_t i = 0; i < kBytes; ++i) {
    const bool is_void = i >= kVoidBytes && i < 2 * kVoidBytes;
    if (bytes[i] != (is_void ? 0 : pattern(i))) fail("another byte after zeros", offset + i);
  }
}

}  // namespace

int split_app_main() {
  Store* const store = split_port::store();
  if (store == nullptr) fail("this board has none", 0);
  const uint32_t unit = store->erase_bytes();
  const uint32_t last = store->slot_bytes() - unit;
  const uint32_t other = sum_of(store->slot(0) + last, unit);
  const uint32_t offsets[] = {0, last};
  for (const uint32_t offset : offsets) {
    erase(*store, offset);
    write(*store, offset);
    make_void(*store, offset);
    erase(*store, offset);
  }
  if (sum_of(store->slot(0) + last, unit) != other) fail("slot 0 has changed", last);
  char line[96];
  std::snprintf(line, sizeof line, "PASS store: two slots of %lu bytes, erased by %lu\n",
                static_cast<unsigned long>(store->slot_bytes()), static_cast<unsigned long>(unit));
  split_port::console_write(line);
  return 0;
}
