// SPDX-License-Identifier: Apache-2.0
// The upper part of the flash of a Pico as a store: two slots of 768 KB. Nothing can be read from the flash
// while it is written, so that is done by the boot ROM (data sheet 2.8.3.1.3), called from RAM, without
// interrupts: 50 ms for a sector of 4 KB. What arrives then is lost, and the links repeat it.
#include "split_port/store.h"

#include "registers.h"
#include "split_port/pages.h"

namespace split_port {
namespace {

using namespace rp2040;

constexpr uint32_t kFlash = 0x10000000;
constexpr uint32_t kFirst = 512 * 1024;  // of the flash
constexpr uint32_t kSlotBytes = 768 * 1024;
constexpr uint32_t kSectorBytes = 4096;
constexpr uint32_t kPageBytes = 256;
constexpr uint32_t kBlockBytes = 64 * 1024;
constexpr uint8_t kBlockErase = 0xD8;

constexpr uint32_t code(char first, char second) {
  return static_cast<uint32_t>(first) | static_cast<uint32_t>(second) << 8;
}

// The boot ROM's functions, looked up while the flash can still be read.
struct Rom {
  void (*connect)();
  void (*exit_xip)();
  void (*erase)(uint32_t at, size_t bytes, uint32_t block_bytes, uint8_t block_command);
  void (*program)(uint32_t at, const uint8_t* from, size_t bytes);
  void (*flush)();
  void (*enter_xip)();
};

template <typename Function>
void look_up(uint32_t which, Function* to) {
  uint32_t begin = 0;  // of the ROM; the compiler takes an address near 0 for a mistake
  __asm("" : "+r"(begin));
  const auto table = *reinterpret_cast<const volatile uint16_t*>(begin + 0x14);
  const auto find = *reinterpret_cast<const volatile uint16_t*>(begin + 0x18);
  using Finder = void* (*)(uint16_t table, uint32_t code);
  *to = reinterpret_cast<Function>(reinterpret_cast<Finder>(uint32_t{find})(table, which));
}

Rom rom() {
  Rom found;
  look_up(code('I', 'F'), &found.connect);
  look_up(code('E', 'X'), &found.exit_xip);
  look_up(code('R', 'E'), &found.erase);
  look_up(code('R', 'P'), &found.program);
  look_up(code('F', 'C'), &found.flush);
  look_up(code('C', 'X'), &found.enter_xip);
  return found;
}

// Erases a sector if `from` is null, else writes a page. In RAM: the flash is away meanwhile. The ROM leaves
// reading slower than the boot loader had set it up, so that is done again (boot2.cc).
[[gnu::noinline, gnu::section(".ram_code")]] void change_flash(const Rom& rom, uint32_t at,
                                                              const uint8_t* from) {
  constexpr uint32_t kSsi = 0x18000000;
  const auto ssi = [](uint32_t offset) -> volatile uint32_t& {
    return *reinterpret_cast<volatile uint32_t*>(kSsi + offset);
  };
  rom.connect();
  rom.exit_xip();
  if (from == nullptr) {
    rom.erase(at, kSectorBytes, kBlockBytes, kBlockErase);
  } else {
    rom.program(at, from, kPageBytes);
  }
  rom.flush();
  rom.enter_xip();
  ssi(0x08) = 0;
  ssi(0x14) = 4;
  ssi(0x00) = 31u << 16 | 3u << 8;
  ssi(0x04) = 0;
  ssi(0xF4) = 0x03u << 24 | 2u << 8 | 6u << 2;
  ssi(0x08) = 1;
}

class FlashStore final : public Store {
 public:
  uint32_t slot_bytes() const override { return kSlotBytes; }
  uint32_t erase_bytes() const override { return kSectorBytes; }
  bool survives() const override { return true; }
  const uint8_t* slot(uint8_t index) const override {
    return reinterpret_cast<const uint8_t*>(kFlash + place_of(index, 0));
  }
  bool erase(uint8_t index, uint32_t offset) override {
    InterruptLock lock;
    change_flash(rom(), place_of(index, offset), nullptr);
    return true;
  }
  bool write(uint8_t index, uint32_t offset, const uint8_t* from, uint32_t bytes) override {
    return write_pages<kPageBytes>(offset, from, bytes, [index](uint32_t at, const uint8_t* page) {
      InterruptLock lock;
      change_flash(rom(), place_of(index, at), page);
      return true;
    });
  }

 private:
  static uint32_t place_of(uint8_t index, uint32_t offset) {
    return kFirst + index * kSlotBytes + offset;
  }
};

}  // namespace

Store* store() {
  static FlashStore flash;
  return &flash;
}

}  // namespace split_port
