# SPDX-License-Identifier: Apache-2.0
"""What every device does when: one row each, from the simulation of the device graphs."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tflsplit.report.figures import milliseconds, ticks
from tflsplit.report.svg import WIDTH, boxes_path, chart, label, line, path
from tflsplit.sim import SimResult

ROW, TOP = 26.0, 22.0
"""Pixels: of a device's row, and above the first."""

Interval = tuple[float, float]

KINDS = ("input", "compute", "wait", "send", "output")
"""Colours of the chart, in the order in which they are drawn."""


@dataclass(frozen=True)
class Bar:
    """What a device did from ``start_us`` to ``end_us``; ``node`` is one of its graph, or "".

    kind: "input", "compute", "exchange" (inside of a RECV) or "output".
    sending: of an exchange, the intervals in which the device's own wires carried bytes; in the
        rest of it the device waits.
    """

    kind: str
    node: str
    start_us: float
    end_us: float
    sending: tuple[Interval, ...] = ()

    @property
    def send_us(self) -> float:
        """The time in ``sending``."""
        return sum(end - start for start, end in self.sending)


def bars_of(simulation: SimResult, world_size: int) -> list[list[Bar]]:
    """For each rank, everything that it did, in time."""
    bars: list[list[Bar]] = [[] for _ in range(world_size)]
    busy = [_merged(simulation, rank) for rank in range(world_size)]
    for span in sorted(simulation.spans, key=lambda span: span.start_us):
        sending: tuple[Interval, ...] = ()
        if span.kind == "exchange":
            sending = _inside(busy[span.rank], span.start_us, span.end_us)
        bars[span.rank].append(Bar(span.kind, span.node, span.start_us, span.end_us, sending))
    return bars


def _merged(simulation: SimResult, rank: int) -> list[Interval]:
    """When any wire out of a device was busy."""
    union: list[Interval] = []
    busy = (each for edge, each in simulation.busy.items() if edge[0] == rank)
    for start, end in sorted(interval for each in busy for interval in each):
        if union and start <= union[-1][1]:
            union[-1] = union[-1][0], max(union[-1][1], end)
        else:
            union.append((start, end))
    return union


def _inside(intervals: Sequence[Interval], start: float, end: float) -> tuple[Interval, ...]:
    """The parts of ordered, disjoint intervals between ``start`` and ``end``."""
    first = bisect_right(intervals, start, key=lambda interval: interval[1])
    parts = []
    for begin, stop in intervals[first:]:
        if begin >= end:
            break
        parts.append((max(begin, start), min(stop, end)))
    return tuple(parts)


def gantt_chart(bars: Sequence[Sequence[Bar]], latency_us: float) -> Markup:
    """The chart: a row for each device, a path for each kind of each.

    Its shapes stretch: the page's script widens it to look closer.
    """
    height = TOP + ROW * len(bars) + 4
    scale = WIDTH / latency_us
    shapes, labels = [], []
    for ms in ticks(latency_us / 1000, 8):
        at = ms * 1000 * scale
        shapes.append(line(at, TOP - 4, at, height - 4, "grid"))
        if at < WIDTH - 50:
            labels.append(label(at, 0, f"{ms:g} ms", "tick"))
    for rank, row in enumerate(bars):
        for kind, places in _places(row).items():
            scaled = _visible([(start * scale, end * scale) for start, end in places])
            if scaled:
                shapes.append(path(boxes_path(scaled, TOP + ROW * rank + 3, ROW - 6), kind))
    title = f"What every device does over the {milliseconds(latency_us)} of one inference"
    return chart(height, title, shapes, labels, "gantt")


def _places(row: Sequence[Bar]) -> dict[str, list[Interval]]:
    """When a device is what; sending is drawn over the waiting of its exchange."""
    places: dict[str, list[Interval]] = {kind: [] for kind in KINDS}
    for bar in row:
        kind = "wait" if bar.kind == "exchange" else bar.kind
        places[kind].append((bar.start_us, bar.end_us))
        places["send"] += bar.sending
    return places


def _visible(places: Sequence[Interval]) -> list[Interval]:
    """Neighbours with less than a twentieth of a pixel between them become one box."""
    union: list[Interval] = []
    for start, end in places:
        if union and start - union[-1][1] < 0.05:
            union[-1] = union[-1][0], max(union[-1][1], end)
        else:
            union.append((start, end))
    return union


def gantt_data(
    bars: Sequence[Sequence[Bar]], layers: Sequence[dict[str, int]]
) -> list[list[list[float | str]]]:
    """For the page's script: [kind, layer, start, end, sending] in microseconds; layer -1: none.

    layers: for each rank, the layer that each of its nodes works for.
    """
    return [
        [
            [
                bar.kind,
                places.get(bar.node, -1),
                round(bar.start_us, 1),
                round(bar.end_us, 1),
                round(bar.send_us, 1),
            ]
            for bar in row
        ]
        for row, places in zip(bars, layers, strict=True)
    ]
