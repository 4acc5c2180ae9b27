// SPDX-License-Identifier: Apache-2.0
// What an application may ask of its board. Every folder of tflm_app/ports implements this header
// and owns the program's entry point; the application defines split_app_main().
#ifndef SPLIT_PORT_PORT_H_
#define SPLIT_PORT_PORT_H_

#include <cstddef>
#include <cstdint>

#include "split_core/byte_stream.h"

// The application. Its result is the program's exit status where there is one (emulator, host).
int split_app_main();

namespace split_port {

// Links to the neighbours come first: 0 to the previous rank, 1 to the next one, further ones for
// a star. The last one leads to the host computer if this device is the gateway; a port may share
// it with the console (docs/adding_a_board.md).
inline constexpr size_t kPreviousLink = 0;
inline constexpr size_t kNextLink = 1;
size_t link_count();
size_t host_link();
// The stream of a link, index < link_count(); ready to use when split_app_main() starts.
split_core::ByteStream& link(size_t index);

// What went through a link since start-up. Lost bytes arrived and found no room; where a board's
// core does not count them, one for each time that its buffer was seen full.
struct LinkCounters {
  uint64_t received_bytes = 0;
  uint64_t sent_bytes = 0;
  uint32_t lost_bytes = 0;
};
LinkCounters link_counters(size_t index);

// Who this device is, for ports whose links share one Ethernet (docs/ethernet.md): link `index` then
// leads to the other devices in the order of their ranks. Called before the first link(); others need
// not know.
struct SegmentPlace;
void join_segment(const SegmentPlace& place);

// Microseconds; idle() sleeps until a link has news, at most a few milliseconds.
split_core::Clock& clock();

// Calls `tick` about every `period_us` from an interrupt, so that links go on moving while a kernel
// runs; begins paused. Between pause_ticks() and resume_ticks() none is under way and none begins.
// `tick` may use links, clock().now_us(), feed_watchdog() and nothing else of this header. It must be
// interruptible by what fills the links' buffers. Call once; false if the board has no timer for it.
bool start_ticks(void (*tick)(), uint32_t period_us);
void pause_ticks();
void resume_ticks();

// A counter for measuring: monotonic, 64 bit, ticks_per_second() is constant.
uint64_t ticks();
uint32_t ticks_per_second();

// The stack, and how much of it was ever in use since start-up, interrupts included; zeros where the
// port does not know.
struct StackUse {
  uint32_t bytes = 0;
  uint32_t used_bytes = 0;
};
StackUse stack_use();

// Memory beside the main RAM, by its name in the board table (docs/arena.md): where the linker has
// placed `bytes` of it, or null if it has not. Returns where they are, aligned to 16 bytes; null if the
// board has not so much, a chip that must be soldered on is missing, or did not answer at start-up.
uint8_t* bank(const char* name, uint8_t* placed, size_t bytes);

// Differs after every reset with near certainty; a link tells a restarted peer by it.
uint32_t boot_nonce();

// Writes text for people. Never waits for whoever reads it: text that finds no room is dropped whole,
// and counted.
void console_write(const char* text, size_t size);
void console_write(const char* text);
uint32_t console_lost_bytes();

// Resets the board unless feed_watchdog() is called at least every `timeout_ms` from now on; false,
// and nothing begins, if the board has no watchdog or none that waits so long. Started once.
bool start_watchdog(uint32_t timeout_ms);
void feed_watchdog();

// Why the board began to run this time. The numbers are those of INFO (docs/cluster_protocol.md).
enum class ResetReason : uint8_t { kUnknown = 0, kPower = 1, kButton = 2, kWatchdog = 3, kSoftware = 4 };
ResetReason reset_reason();

// Start-up arguments "key=value", where the board has any (emulator, host). Copies the value and
// a final zero; returns false, and leaves `to` alone, if there is no such key or it does not fit.
bool argument(const char* key, char* to, size_t capacity);
// The same as a decimal number, or `otherwise`.
int32_t argument_or(const char* key, int32_t otherwise);

// Ends the program with an exit status; a board without one says why on its console, and is reset
// a few seconds later.
[[noreturn]] void stop(int status);

}  // namespace split_port

#endif  // SPLIT_PORT_PORT_H_
