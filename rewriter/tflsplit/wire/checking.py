# SPDX-License-Identifier: Apache-2.0
"""Whether custom operators are checked as they are made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_IS_CHECKED: ContextVar[bool] = ContextVar("is_checked", default=True)


def is_checked() -> bool:
    """They are, but ``unchecked``."""
    return _IS_CHECKED.get()


@contextmanager
def unchecked() -> Iterator[None]:
    """For graphs that only size and time are wanted of: a search makes hundreds.

    What is written is made again, and checked.
    """
    token = _IS_CHECKED.set(False)
    try:
        yield
    finally:
        _IS_CHECKED.reset(token)
