// SPDX-License-Identifier: Apache-2.0
// What newlib asks of the system. There is no heap: whatever tries to use one fails at once.
#include <cerrno>
#include <sys/stat.h>

#include "split_port_cortex_m/semihosting.h"
#include "split_port/port.h"

extern "C" {

void* _sbrk(int) {
  errno = ENOMEM;
  return reinterpret_cast<void*>(-1);
}

int _write(int, const char* text, int size) {
  split_port::console_write(text, static_cast<size_t>(size));
  return size;
}

int _read(int, char*, int) { return 0; }
int _close(int) { return -1; }
int _lseek(int, int, int) { return 0; }
int _isatty(int) { return 1; }
int _getpid() { return 1; }
int _fstat(int, struct stat* status) {
  status->st_mode = S_IFCHR;
  return 0;
}
int _kill(int, int) {
  errno = EINVAL;
  return -1;
}
[[noreturn]] void _exit(int status) { split_port::cortex_m::semihosting_exit(status); }

}  // extern "C"
