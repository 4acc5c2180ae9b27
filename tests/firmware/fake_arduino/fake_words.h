// SPDX-License-Identifier: Apache-2.0
// Stands for the addresses of a chip that the port reads.
#pragma once

#include <cstdint>

extern const uint32_t fake_words[3];
#define fake_uid_base reinterpret_cast<uintptr_t>(fake_words)
