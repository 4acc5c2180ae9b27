# SPDX-License-Identifier: Apache-2.0
"""A search makes millions of small objects, and hardly any that only the collector can free.

It would look through all that is known of the units every 700 objects: a seventh of the time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_OBJECTS = 500_000
"""So many more must be there before the collector looks at them."""


@contextmanager
def collecting_rarely() -> Iterator[None]:
    """Meanwhile; where the collector is switched off, it stays so."""
    before = gc.get_threshold()
    gc.set_threshold(before[0] and max(before[0], _OBJECTS), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
