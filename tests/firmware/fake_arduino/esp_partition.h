// SPDX-License-Identifier: Apache-2.0
// As much of the ESP-IDF as store.cc uses; a test says what the functions do.
#ifndef TESTS_FIRMWARE_FAKE_ARDUINO_ESP_PARTITION_H_
#define TESTS_FIRMWARE_FAKE_ARDUINO_ESP_PARTITION_H_

#include <cstddef>
#include <cstdint>

using esp_err_t = int;
inline constexpr esp_err_t ESP_OK = 0;
enum { ESP_PARTITION_TYPE_APP = 0, ESP_PARTITION_SUBTYPE_APP_OTA_1 = 0x11, SPI_FLASH_MMAP_DATA = 0 };
struct esp_partition_t {
  uint32_t size;
  bool encrypted;
};
using spi_flash_mmap_handle_t = uint32_t;

inline const esp_partition_t* esp_partition_find_first(int type, int subtype, const char*) {
  static const esp_partition_t second{0x330000, false};
  return type == ESP_PARTITION_TYPE_APP && subtype == ESP_PARTITION_SUBTYPE_APP_OTA_1 ? &second : nullptr;
}
esp_err_t esp_partition_mmap(const esp_partition_t*, size_t at, size_t bytes, int memory, const void** to,
                             spi_flash_mmap_handle_t* handle);
esp_err_t esp_partition_erase_range(const esp_partition_t*, size_t at, size_t bytes);
esp_err_t esp_partition_write(const esp_partition_t*, size_t at, const void* from, size_t bytes);

#endif  // TESTS_FIRMWARE_FAKE_ARDUINO_ESP_PARTITION_H_
