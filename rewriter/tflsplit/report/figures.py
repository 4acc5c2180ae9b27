# SPDX-License-Identifier: Apache-2.0
"""Numbers as the page shows them."""

from __future__ import annotations

import math


def kib(size_bytes: float | None) -> str:
    """``61.2 KiB``; a dash where unknown."""
    if size_bytes is None:
        return "–"
    for unit, factor in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if abs(size_bytes) >= factor:
            return f"{size_bytes / factor:.{2 if unit == 'MiB' else 1}f} {unit}"
    return f"{size_bytes:.0f} B"


def millions(count: float | None) -> str:
    """``12.50 M``; fewer than would show there as they are: ``768``."""
    if count is None:
        return "–"
    return f"{count:,.0f}" if count < 5000 else f"{count / 1e6:.2f} M"


def milliseconds(us: float | None) -> str:
    """``1,234 ms``, ``12.3 ms``, ``0.12 ms``."""
    if us is None:
        return "–"
    ms = us / 1000
    return f"{ms:,.0f} ms" if ms >= 1000 else f"{ms:.1f} ms" if ms >= 10 else f"{ms:.2f} ms"


def percent(part: float, whole: float) -> str:
    """``63 %``; a dash of nothing."""
    return f"{100 * part / whole:.0f} %" if whole else "–"


def deviation(measured: float | None, predicted: float | None) -> str:
    """How far a measurement lies from its prediction: ``+3.1 %``, ``=``."""
    if measured is None or not predicted:
        return "–"
    return "=" if measured == predicted else f"{100 * (measured / predicted - 1):+.1f} %"


def short_name(name: str, width: int = 44) -> str:
    """A node's name as converters make them (``a;b;c/long/path``), short enough for a column."""
    first = name.split(";", 1)[0]
    return first if len(first) <= width else "…" + first[1 - width :]


def ticks(largest: float, count: int = 6) -> list[float]:
    """Round numbers from 0 up to ``largest``, at most ``count + 1`` of them."""
    if largest <= 0:
        return [0.0]
    decade = 10.0 ** math.floor(math.log10(largest / count))
    step = next(m * decade for m in (1, 2, 5, 10) if largest / (m * decade) <= count)
    return [step * i for i in range(int(largest / step) + 1)]
