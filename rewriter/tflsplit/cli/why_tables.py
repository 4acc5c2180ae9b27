# SPDX-License-Identifier: Apache-2.0
"""What ``tflsplit simulate --why`` prints."""

from __future__ import annotations

from tflsplit.cli.console import table
from tflsplit.sim.why import CAUSES, Why, most

_INTERVALS = 8


def print_why(reasons: Why, world_size: int) -> None:
    """Cause by cause, then the longest intervals in which nothing on the path computes."""
    total_us = sum(reasons.shares_us.values())
    rows = [
        [cause, _rounded(us / 1000, 2), f"{_rounded(100 * us / total_us, 0)} %", CAUSES[cause]]
        for cause, us in reasons.shares_us.items()
    ]
    rows.append(["latency", f"{total_us / 1000:.2f}", "100 %", ""])
    table("where the time goes: the critical path", ["<cause", "ms", "share", "<"], rows)
    waits = [part for part in reasons.parts if part.cause not in ("compute", "input")]
    cells = [
        [
            "host" if part.rank == world_size else str(part.rank),
            part.cause,
            f"{(part.end_us - part.start_us) / 1000:.2f}",
            f"{part.start_us / 1000:.2f}",
            part.what,
        ]
        for part in most(waits, _INTERVALS)
    ]
    if cells:
        columns = ["rank", "<cause", "ms", "at ms", "<of"]
        table("its longest waits behind the first kernel", columns, cells)


def _rounded(number: float, digits: int) -> str:
    """As ``f"{number:.2f}"``, without a minus before what rounds to nothing."""
    return f"{round(number, digits) + 0.0:.{digits}f}"
