// SPDX-License-Identifier: Apache-2.0
#include "watchdog.h"

#include <csignal>
#include <cstring>

#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "split_port/port.h"

namespace split_port {
namespace {

constexpr size_t kMostArguments = 64;
constexpr char kReason[] = "reset=watchdog";
constexpr char kWords[] = "WATCHDOG: the program hangs; it begins again\n";

char* g_again[kMostArguments + 2];
bool g_was_bitten = false;
timer_t g_timer;
uint32_t g_timeout_ms = 0;

// Only calls that a handler may make. Signals that are held back here stay so in the new program.
void bite(int) {
  [[maybe_unused]] const ssize_t said = ::write(STDERR_FILENO, kWords, sizeof kWords - 1);
  // Else these go on in the new program, which is not ready for them.
  const itimerval off{};
  setitimer(ITIMER_REAL, &off, nullptr);
  std::signal(SIGALRM, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execv("/proc/self/exe", g_again);
  _exit(1);
}

void set_timer() {
  itimerspec when{};
  when.it_value.tv_sec = g_timeout_ms / 1000;
  when.it_value.tv_nsec = static_cast<long>(g_timeout_ms % 1000) * 1'000'000;
  timer_settime(g_timer, 0, &when, nullptr);
}

}  // namespace

namespace host {

void note_reset(char** arguments) {
  size_t count = 0;
  for (; arguments[count] != nullptr && count < kMostArguments; ++count) {
    g_again[count] = arguments[count];
    g_was_bitten = g_was_bitten || std::strcmp(arguments[count], kReason) == 0;
  }
  if (!g_was_bitten) g_again[count] = const_cast<char*>(kReason);
}

}  // namespace host

bool start_watchdog(uint32_t timeout_ms) {
  if (timeout_ms == 0) return false;
  struct sigaction action {};
  action.sa_handler = bite;
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGRTMIN;
  if (sigaction(SIGRTMIN, &action, nullptr) != 0) return false;
  if (timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &g_timer) != 0) return false;
  g_timeout_ms = timeout_ms;
  set_timer();
  return true;
}

void feed_watchdog() {
  if (g_timeout_ms != 0) set_timer();
}

ResetReason reset_reason() {
  return g_was_bitten ? ResetReason::kWatchdog : ResetReason::kPower;
}

}  // namespace split_port
