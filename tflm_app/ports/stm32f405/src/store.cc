// SPDX-License-Identifier: Apache-2.0
// The upper half of the flash as a store: two slots of two sectors of 128 KB (RM0090, 3.3 and 3.6). While a
// sector is erased, for a second or two, the processor waits for its next instruction; what arrives then is
// lost, and the links repeat it. Or, with -Wl,--defsym=SPLIT_PORT_RAM_STORE_BYTES=... (of both slots), RAM, which
// a reset leaves alone: the program may have all of the flash then.
#include <cstring>

#include "registers.h"
#include "split_port/ram_store.h"

// Weak, or the compiler takes it for granted that the address, which is the size, is not zero.
extern "C" uint8_t __store_begin__[];
extern "C" uint8_t __store_bytes__[] __attribute__((weak));

namespace split_port {
namespace {

using namespace stm32f405;

constexpr uint32_t kFirst = 0x08080000;
constexpr uint32_t kSectorBytes = 128 * 1024;
constexpr uint32_t kSectorsOfSlot = 2;
constexpr uint32_t kFirstSector = 8;

constexpr uint32_t kFlashKeyr = kFlashAcr + 0x04;
constexpr uint32_t kFlashSr = kFlashAcr + 0x0C;
constexpr uint32_t kFlashCr = kFlashAcr + 0x10;
constexpr uint32_t kKeys[] = {0x45670123, 0xCDEF89AB};
constexpr uint32_t kBusy = 1u << 16;
constexpr uint32_t kErrors = 0xF2;  // write protection, alignment, parallelism, sequence, operation
constexpr uint32_t kProgram = 1u << 0, kSectorErase = 1u << 1, kWords = 2u << 8;
constexpr uint32_t kStart = 1u << 16, kLock = 1u << 31;
constexpr uint32_t kDataCache = 1u << 10, kDataCacheReset = 1u << 12;
constexpr uint32_t kReads = 200'000'000;  // of a sector's time, and more

// What was read before it changed may be in the data cache.
void forget_cached() {
  const uint32_t control = reg(kFlashAcr);
  reg(kFlashAcr) = control & ~kDataCache;
  reg(kFlashAcr) = (control & ~kDataCache) | kDataCacheReset;
  reg(kFlashAcr) = control & ~kDataCache;
  reg(kFlashAcr) = control;
}

// Unlocked, and told what to do, as long as it lives.
class Unlocked {
 public:
  explicit Unlocked(uint32_t command) {
    for (const uint32_t key : kKeys) reg(kFlashKeyr) = key;
    reg(kFlashSr) = kErrors;  // cleared by ones
    reg(kFlashCr) = command;
  }
  ~Unlocked() {
    reg(kFlashCr) = kLock;
    forget_cached();
  }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;
  bool is_done() const {
    return wait_for(kFlashSr, kBusy, 0, kReads) && (reg(kFlashSr) & kErrors) == 0;
  }
};

class FlashStore final : public Store {
 public:
  uint32_t slot_bytes() const override { return kSectorsOfSlot * kSectorBytes; }
  uint32_t erase_bytes() const override { return kSectorBytes; }
  bool survives() const override { return true; }
  const uint8_t* slot(uint8_t index) const override {
    return reinterpret_cast<const uint8_t*>(address_of(index, 0));
  }
  bool erase(uint8_t index, uint32_t offset) override {
    const uint32_t sector = kFirstSector + index * kSectorsOfSlot + offset / kSectorBytes;
    const uint32_t command = kSectorErase | kWords | sector << 3;
    const Unlocked flash(command);
    reg(kFlashCr) = command | kStart;
    return flash.is_done();
  }
  bool write(uint8_t index, uint32_t offset, const uint8_t* from, uint32_t bytes) override {
    const Unlocked flash(kProgram | kWords);
    for (uint32_t at = 0; at < bytes; at += sizeof(uint32_t)) {
      uint32_t word;
      std::memcpy(&word, from + at, sizeof word);
      reg(address_of(index, offset + at)) = word;
      if (!flash.is_done()) return false;
    }
    return true;
  }

 private:
  static uint32_t address_of(uint8_t index, uint32_t offset) {
    return kFirst + index * kSectorsOfSlot * kSectorBytes + offset;
  }
};

}  // namespace

Store* store() {
  const auto ram_bytes = reinterpret_cast<size_t>(__store_bytes__);
  if (ram_bytes != 0) {
    static RamStore ram(__store_begin__, ram_bytes);
    return &ram;
  }
  static FlashStore flash;
  return &flash;
}

}  // namespace split_port
