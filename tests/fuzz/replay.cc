// SPDX-License-Identifier: Apache-2.0
// Runs a harness on files, without libFuzzer: replay FILE...
#include <vector>

#include "input.h"

namespace {

bool load(const char* path, std::vector<uint8_t>* bytes) {
  std::FILE* const file = std::fopen(path, "rb");
  if (file == nullptr) return false;
  uint8_t piece[4096];
  bytes->clear();
  while (const size_t count = std::fread(piece, 1, sizeof piece, file)) {
    bytes->insert(bytes->end(), piece, piece + count);
  }
  std::fclose(file);
  return true;
}

}  // namespace

int main(int count, char** words) {
  std::vector<uint8_t> bytes;
  for (int i = 1; i < count; ++i) {
    if (!load(words[i], &bytes)) {
      std::fprintf(stderr, "cannot read %s\n", words[i]);
      return 2;
    }
    std::printf("%s\n", words[i]);  // before it runs: the last line names what ended the program
    std::fflush(stdout);
    const auto exact = fuzz::copy_of(bytes.data(), bytes.size());
    LLVMFuzzerTestOneInput(exact.get(), bytes.size());
  }
  return 0;
}
