// SPDX-License-Identifier: Apache-2.0
// The store of the Arduino port, on a flash in this computer's memory at the address that the chip has it at.
#include <sys/mman.h>

#include <cstdio>
#include <cstring>

#include "split_port/store.h"

#if defined(TEENSYDUINO)
constexpr uintptr_t kFlash = 0x60000000;
constexpr size_t kFlashBytes = 0x7C0000, kProgramBytes = 0x200000;
#elif defined(TARGET_RP2040)
constexpr uintptr_t kFlash = 0x10000000;
constexpr size_t kFlashBytes = 2048 * 1024, kProgramBytes = 768 * 1024;
#else
constexpr uintptr_t kFlash = 0x60000000;  // wherever the partition is mapped
constexpr size_t kFlashBytes = 0x330000, kProgramBytes = 0;
#endif

namespace fake {

int writes = 0;

uint8_t* flash(uintptr_t at, size_t bytes, size_t unit) {
  if (at < kFlash + kProgramBytes || at + bytes > kFlash + kFlashBytes || at % unit != 0) {
    std::printf("outside of the store: %zx\n", static_cast<size_t>(at));
    std::exit(1);
  }
  ++writes;
  return reinterpret_cast<uint8_t*>(at);
}

void erase(uintptr_t at) { std::memset(flash(at, 4096, 4096), 0xFF, 4096); }
// Bits can only be cleared; a page that is longer than a page begins anew at its start.
void program(uintptr_t at, const void* from, size_t bytes) {
  uint8_t* const to = flash(at, bytes, 256);
  for (size_t i = 0; i < bytes; ++i) to[i] = static_cast<uint8_t>(to[i] & static_cast<const uint8_t*>(from)[i]);
}

}  // namespace fake

#if defined(TEENSYDUINO)
extern "C" {
void eepromemu_flash_write(void* at, const void* from, uint32_t bytes) {
  fake::program(reinterpret_cast<uintptr_t>(at), from, bytes);
}
void eepromemu_flash_erase_sector(void* at) { fake::erase(reinterpret_cast<uintptr_t>(at)); }
}
#elif defined(ARDUINO_ARCH_MBED)
namespace mbed {
int FlashIAP::erase(uint32_t at, uint32_t bytes) {
  if (bytes != 4096) return -1;
  fake::erase(at);
  return 0;
}
int FlashIAP::program(const void* from, uint32_t at, uint32_t bytes) {
  fake::program(at, from, bytes);
  return 0;
}
}  // namespace mbed
#elif defined(ARDUINO_ARCH_ESP32)
esp_err_t esp_partition_erase_range(const esp_partition_t*, size_t at, size_t bytes) {
  if (bytes != 4096) return 1;
  fake::erase(kFlash + at);
  return ESP_OK;
}
esp_err_t esp_partition_write(const esp_partition_t*, size_t at, const void* from, size_t bytes) {
  fake::program(kFlash + at, from, bytes);
  return ESP_OK;
}
esp_err_t esp_partition_mmap(const esp_partition_t*, size_t, size_t, int, const void** to,
                             spi_flash_mmap_handle_t*) {
  *to = reinterpret_cast<const void*>(kFlash);
  return ESP_OK;
}
#endif

int main() {
  void* const at = mmap(reinterpret_cast<void*>(kFlash), kFlashBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (at != reinterpret_cast<void*>(kFlash)) return 2;
  split_port::Store* const store = split_port::store();
  if (store == nullptr) {
    std::puts("none");
    return 0;
  }
  const uint32_t slot = store->slot_bytes(), unit = store->erase_bytes();
  bool ok = slot % unit == 0 && store->survives();
  uint8_t bytes[4096 + 96];
  for (size_t i = 0; i < sizeof bytes; ++i) bytes[i] = static_cast<uint8_t>(i * 7 + 1);
  for (uint8_t index = 0; index < 2; ++index) {
    for (uint32_t offset = 0; offset < slot; offset += unit) ok = ok && store->erase(index, offset);
    // Whole pages, a piece over the border of two, and records side by side at the end.
    ok = ok && store->write(index, 0, bytes, 4096) && store->write(index, 4096 + 208, bytes, 4096 + 96);
    ok = ok && store->write(index, slot - 192, bytes, 96) && store->write(index, slot - 96, bytes + 96, 96);
  }
  uint8_t zeros[96] = {};
  ok = ok && store->write(1, slot - 96, zeros, 96);
  for (uint8_t index = 0; index < 2; ++index) {
    const uint8_t* const from = store->slot(index);
    ok = ok && std::memcmp(from, bytes, 4096) == 0 && from[4096] == 0xFF && from[4096 + 207] == 0xFF;
    ok = ok && std::memcmp(from + 4096 + 208, bytes, 4096 + 96) == 0 && from[4096 + 208 + 4192] == 0xFF;
    ok = ok && std::memcmp(from + slot - 192, bytes, 96) == 0;
    ok = ok && std::memcmp(from + slot - 96, index == 0 ? bytes + 96 : zeros, 96) == 0;
  }
  std::printf("%s %u\n", ok ? "PASS" : "FAIL", static_cast<unsigned>(slot));
  return ok ? 0 : 1;
}
