// SPDX-License-Identifier: Apache-2.0
// A file as a store: argument store=PATH, made if it is missing; store_bytes=N of each slot. For trials
// the power fails: store_fails_after=N bytes that are erased or written, and the program is gone.
#include "split_port/store.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "split_port/port.h"

namespace split_port {
namespace {

constexpr uint32_t kEraseBytes = 4096;
constexpr int32_t kSlotBytes = 4 * 1024 * 1024;
constexpr int kUsageStatus = 2;
constexpr int kPowerStatus = 75;

class FileStore final : public Store {
 public:
  bool open(const char* path, uint32_t slot_bytes) {
    const int file = ::open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    const off_t wanted = off_t{kStoreSlots} * slot_bytes;
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0) return false;
    const bool is_new = status.st_size == 0;
    if (!is_new && status.st_size != wanted) return false;
    if (is_new && ftruncate(file, wanted) != 0) return false;
    void* const memory = mmap(nullptr, static_cast<size_t>(wanted), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ::close(file);
    if (memory == MAP_FAILED) return false;
    memory_ = static_cast<uint8_t*>(memory);
    slot_bytes_ = slot_bytes;
    if (is_new) std::memset(memory_, 0xFF, static_cast<size_t>(wanted));
    left_ = argument_or("store_fails_after", -1);
    return true;
  }

  uint32_t slot_bytes() const override { return slot_bytes_; }
  uint32_t erase_bytes() const override { return kEraseBytes; }
  bool survives() const override { return true; }
  const uint8_t* slot(uint8_t index) const override {
    return memory_ + size_t{index} * slot_bytes_;
  }
  bool erase(uint8_t index, uint32_t offset) override {
    for (uint32_t i = 0; i < kEraseBytes; ++i) change(index, offset + i, 0xFF);
    return true;
  }
  bool write(uint8_t index, uint32_t offset, const uint8_t* from, uint32_t bytes) override {
    for (uint32_t i = 0; i < bytes; ++i) {
      change(index, offset + i, static_cast<uint8_t>(slot(index)[offset + i] & from[i]));
    }
    return true;
  }

 private:
  void change(uint8_t index, uint32_t offset, uint8_t value) {
    if (left_ == 0) _exit(kPowerStatus);
    if (left_ > 0) --left_;
    memory_[size_t{index} * slot_bytes_ + offset] = value;
  }

  uint8_t* memory_ = nullptr;
  uint32_t slot_bytes_ = 0;
  int32_t left_ = -1;
};

}  // namespace

Store* store() {
  static FileStore file;
  char path[1024];
  if (!argument("store", path, sizeof path)) return nullptr;
  const int32_t wanted = argument_or("store_bytes", kSlotBytes);
  const bool is_sane = wanted >= static_cast<int32_t>(kEraseBytes) && wanted % kEraseBytes == 0;
  if (is_sane && file.open(path, static_cast<uint32_t>(wanted))) return &file;
  std::fprintf(stderr, "store=%s cannot be opened, or is of another size than two slots of store_bytes=%d\n",
               path, static_cast<int>(wanted));
  std::exit(kUsageStatus);
}

}  // namespace split_port
