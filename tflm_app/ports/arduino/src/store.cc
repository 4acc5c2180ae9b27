// SPDX-License-Identifier: Apache-2.0
// Where a generic firmware keeps its images: in the flash, by the functions that each core has for it, behind
// the room that is left to the program; or, with TFLSPLIT_STORE_BYTES (of both slots), in memory.
//
//   core      flash of the store                        two slots of   written by
//   Teensy 4  0x60200000 to 0x607C0000, program 2 MB    2944 KB        the core's own for its EEPROM
//   mbed      Pico: from 768 KB; Nano 33 BLE: from 704  640, 160 KB    mbed::FlashIAP
//   ESP32     the second program's partition            half of it     esp_partition
//
// Nothing can be read from these flashes while they are written, so links go unserved meanwhile, some 50 ms for
// a sector of 4 KB, and repeat what they lost.
#include "split_port/store.h"

#include <chrono>  // before Arduino.h, whose macro abs() it does not survive in C++17
#include <cstring>

#include <Arduino.h>

#if defined(TFLSPLIT_STORE_BYTES)
#include "split_port/ram_store.h"

namespace split_port {
namespace {

alignas(16) uint8_t g_store[TFLSPLIT_STORE_BYTES];

}  // namespace

Store* store() {
  static RamStore ram(g_store, sizeof g_store);
  return &ram;
}

}  // namespace split_port

#else
#include "split_port/pages.h"

#if defined(TEENSYDUINO) && defined(__IMXRT1062__)
extern "C" {
void eepromemu_flash_write(void* address, const void* data, uint32_t bytes);
void eepromemu_flash_erase_sector(void* address);
extern unsigned long _flashimagelen;  // its address is the length
}
#elif defined(ARDUINO_ARCH_MBED)
#include <FlashIAP.h>  // says where the program ends, too
#elif defined(ARDUINO_ARCH_ESP32)
#include <esp_partition.h>
#endif

namespace split_port {
namespace {

constexpr uint32_t kSectorBytes = 4096;
constexpr uint32_t kPageBytes = 256;

#if defined(TEENSYDUINO) && defined(__IMXRT1062__)

#define SPLIT_PORT_HAS_FLASH

constexpr uint32_t kProgram = 0x60000000;
constexpr uint32_t kFirst = 0x60200000;
constexpr uint32_t kSlotBytes = 0x2E0000;

class Flash {
 public:
  // The program must not reach into it.
  bool begin() {
    return kProgram + static_cast<uint32_t>(reinterpret_cast<uintptr_t>(&_flashimagelen)) <= kFirst;
  }
  uint32_t slot_bytes() const { return kSlotBytes; }
  const uint8_t* at(uint32_t offset) const {
    return reinterpret_cast<const uint8_t*>(uintptr_t{kFirst} + offset);
  }
  bool erase(uint32_t offset) {
    eepromemu_flash_erase_sector(const_cast<uint8_t*>(at(offset)));
    return true;
  }
  bool program(uint32_t offset, const uint8_t* page) {
    eepromemu_flash_write(const_cast<uint8_t*>(at(offset)), page, kPageBytes);
    return true;
  }
};

#elif defined(ARDUINO_ARCH_MBED)

#define SPLIT_PORT_HAS_FLASH

#if defined(TARGET_RP2040)
constexpr uint32_t kFirst = 0x10000000 + 768 * 1024;
constexpr uint32_t kSlotBytes = 640 * 1024;
#else
constexpr uint32_t kFirst = 704 * 1024;
constexpr uint32_t kSlotBytes = 160 * 1024;
#endif

class Flash {
 public:
  bool begin() {
    return FLASHIAP_APP_ROM_END_ADDR <= kFirst && flash_.init() == 0 &&
           kPageBytes % flash_.get_page_size() == 0 &&
           flash_.get_sector_size(kFirst) == kSectorBytes;
  }
  uint32_t slot_bytes() const { return kSlotBytes; }
  const uint8_t* at(uint32_t offset) const {
    return reinterpret_cast<const uint8_t*>(uintptr_t{kFirst} + offset);
  }
  bool erase(uint32_t offset) { return flash_.erase(kFirst + offset, kSectorBytes) == 0; }
  bool program(uint32_t offset, const uint8_t* page) {
    return flash_.program(page, kFirst + offset, kPageBytes) == 0;
  }

 private:
  mbed::FlashIAP flash_;
};

#elif defined(ARDUINO_ARCH_ESP32)

#define SPLIT_PORT_HAS_FLASH

// Updates over the air would want the place of the second program; a generic firmware has none.
class Flash {
 public:
  bool begin() {
    partition_ = esp_partition_find_first(ESP_PARTITION_TYPE_APP, ESP_PARTITION_SUBTYPE_APP_OTA_1, nullptr);
    if (partition_ == nullptr || partition_->encrypted) return false;
    const void* mapped = nullptr;
    spi_flash_mmap_handle_t handle;
    const esp_err_t error = esp_partition_mmap(partition_, 0, 2 * slot_bytes(), SPI_FLASH_MMAP_DATA,
                                               &mapped, &handle);
    mapped_ = static_cast<const uint8_t*>(mapped);
    return error == ESP_OK;
  }
  uint32_t slot_bytes() const {
    return static_cast<uint32_t>(partition_->size / kStoreSlots / kSectorBytes * kSectorBytes);
  }
  const uint8_t* at(uint32_t offset) const { return mapped_ + offset; }
  bool erase(uint32_t offset) {
    return esp_partition_erase_range(partition_, offset, kSectorBytes) == ESP_OK;
  }
  bool program(uint32_t offset, const uint8_t* page) {
    return esp_partition_write(partition_, offset, page, kPageBytes) == ESP_OK;
  }

 private:
  const esp_partition_t* partition_ = nullptr;
  const uint8_t* mapped_ = nullptr;
};

#endif

#if defined(SPLIT_PORT_HAS_FLASH)

class FlashStore final : public Store {
 public:
  bool begin() { return flash_.begin(); }
  uint32_t slot_bytes() const override { return flash_.slot_bytes(); }
  uint32_t erase_bytes() const override { return kSectorBytes; }
  bool survives() const override { return true; }
  const uint8_t* slot(uint8_t index) const override { return flash_.at(place_of(index, 0)); }
  bool erase(uint8_t index, uint32_t offset) override { return flash_.erase(place_of(index, offset)); }
  bool write(uint8_t index, uint32_t offset, const uint8_t* from, uint32_t bytes) override {
    return write_pages<kPageBytes>(offset, from, bytes, [&](uint32_t at, const uint8_t* page) {
      return flash_.program(place_of(index, at), page);
    });
  }

 private:
  uint32_t place_of(uint8_t index, uint32_t offset) const { return index * flash_.slot_bytes() + offset; }

  Flash flash_;
};

#endif

}  // namespace

Store* store() {
#if defined(SPLIT_PORT_HAS_FLASH)
  static FlashStore flash;
  return flash.begin() ? &flash : nullptr;
#else
  return nullptr;
#endif
}

}  // namespace split_port

#endif  // TFLSPLIT_STORE_BYTES
