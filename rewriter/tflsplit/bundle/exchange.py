# SPDX-License-Identifier: Apache-2.0
"""Two folders change places, in one step where the operating system has one.

::

    Linux     renameat2(…, RENAME_EXCHANGE)      atomic: at every moment both names exist
    macOS     renamex_np(…, RENAME_SWAP)         likewise
    else      three renames                      between the first two, ``folder`` does not exist

Python's ``os`` has neither call.  A file system may lack it too (some network and FUSE ones).
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_RENAME_SWAP = 2
_NOT_THERE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)


def exchange(folder: Path, other: Path) -> bool:
    """Let two folders of one file system change places; whether it was one step.

    Raises OSError if they cannot; both are then where they were.
    """
    if _at_once(folder, other):
        return True
    between = other.with_name(other.name + BETWEEN)
    folder.rename(between)
    try:
        other.rename(folder)
    except BaseException:  # a Ctrl-C between the two, too
        between.rename(folder)
        raise
    between.rename(other)
    return False


BETWEEN = "-was"
"""Ends the name that a folder has for the moment that three renames take."""


def _at_once(folder: Path, other: Path) -> bool:
    """False where the operating system or the file system cannot."""
    names = os.fsencode(folder), os.fsencode(other)
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        call, arguments = "renamex_np", (*names, ctypes.c_uint(_RENAME_SWAP))
    else:
        call = "renameat2"
        arguments = (_AT_FDCWD, names[0], _AT_FDCWD, names[1], ctypes.c_uint(_RENAME_EXCHANGE))
    try:
        result = getattr(libc, call)(*arguments)
    except AttributeError:  # an old C library
        return False
    if result == 0:
        return True
    number = ctypes.get_errno()
    if number in _NOT_THERE:
        return False
    raise OSError(number, os.strerror(number), str(folder))
