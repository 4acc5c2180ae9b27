# SPDX-License-Identifier: Apache-2.0
"""RAM of one device over its nodes: what fills the arena when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup

from tflsplit.memory.arena import ArenaEstimate
from tflsplit.memory.lifetimes import live_bytes_over_time
from tflsplit.plan.cost.fit import Fit
from tflsplit.report.figures import kib, short_name
from tflsplit.report.svg import line, path, picture, steps_path, text
from tflsplit.split.devices import DeviceGraph

WIDTH, HEIGHT = 640.0, 200.0
LEFT, RIGHT, TOP, BOTTOM = 60.0, 8.0, 18.0, 24.0


@dataclass(frozen=True)
class RamSeries:
    """The arena of one device, in bytes, by the nodes of its graph in order.

    tail_bytes: persistent; there from start to end.
    live_bytes, scratch_bytes: activations, and scratch of the node that runs.
    required_bytes, room_bytes: the arena's size, and what the device has left for one.
    layers: the model's layer that each node works for; -1: none.
    A device without nodes, which a plan may leave, has one entry of nothing, and no layers.
    """

    rank: int
    tail_bytes: int
    live_bytes: tuple[int, ...]
    scratch_bytes: tuple[int, ...]
    required_bytes: int
    room_bytes: int
    layers: tuple[int, ...]

    @property
    def totals(self) -> list[int]:
        """Tail, activations and scratch together, by node."""
        both = zip(self.live_bytes, self.scratch_bytes, strict=True)
        return [self.tail_bytes + live + scratch for live, scratch in both]

    @property
    def is_idle(self) -> bool:
        """Whether the device has no nodes."""
        return not self.layers

    @property
    def peak(self) -> int:
        """The node at which most is in use."""
        totals = self.totals
        return totals.index(max(totals))


def ram_series(device: DeviceGraph, arena: ArenaEstimate, fit: Fit, layers: list[int]) -> RamSeries:
    """The series of a device; ``layers`` as ``steps`` of plan.json."""
    scratch = [0] * max(1, len(device.graph.nodes))
    for buffer in arena.plan.offsets:
        if buffer.value is None:
            scratch[buffer.first - 1] += buffer.size_bytes
    return RamSeries(
        rank=device.rank,
        tail_bytes=arena.tail_bytes,
        live_bytes=tuple(live_bytes_over_time(device.graph)) or (0,),
        scratch_bytes=tuple(scratch),
        required_bytes=fit.arena_bytes,
        room_bytes=fit.arena_room_bytes,
        layers=tuple(layers),
    )


def scale_bytes(series: RamSeries) -> float:
    """The top of a chart: the limit, unless the arena would be a thin line below it."""
    used = max([series.required_bytes, *series.totals])
    return 1.1 * (series.room_bytes if used <= series.room_bytes <= 4 * used else used)


def ram_chart(series: RamSeries, names: list[str], top_bytes: float) -> Markup:
    """A stacked area of tail, activations and scratch; lines at the arena's size and at the limit.

    names: of the model's layers.
    """
    width = (WIDTH - LEFT - RIGHT) / len(series.live_bytes)
    floor = HEIGHT - BOTTOM

    def y(size_bytes: float) -> float:
        return floor - (floor - TOP) * size_bytes / top_bytes

    def area(heights: list[float], kind: str) -> Markup:
        edge = steps_path([y(height) for height in heights], LEFT, width)
        return path(f"{edge}V{floor:g}H{LEFT:g}z", kind)

    live = [float(series.tail_bytes + size) for size in series.live_bytes]
    parts = [
        area([float(size) for size in series.totals], "scratch"),
        area(live, "live"),
        area([float(series.tail_bytes)] * len(live), "tail"),
        *_axis(series),
        *_limits(series, y, top_bytes),
    ]
    return picture(WIDTH, HEIGHT, _title(series, names), parts, "ram", series.rank)


def _title(series: RamSeries, names: list[str]) -> str:
    arena = f"arena {kib(series.required_bytes)}, room {kib(series.room_bytes)}"
    if series.is_idle:
        return f"RAM of rank {series.rank}, which has nothing to do: {arena}"
    at = series.peak
    layer = series.layers[at]
    name = short_name(names[layer]) if layer >= 0 else "moving data"
    return (
        f"RAM of rank {series.rank} over its {len(series.layers)} nodes: at most "
        f"{kib(series.totals[at])}, at {name}; {arena}"
    )


def _axis(series: RamSeries) -> list[Markup]:
    floor = HEIGHT - BOTTOM
    width = (WIDTH - LEFT - RIGHT) / len(series.live_bytes)
    parts = [line(LEFT, floor, WIDTH - RIGHT, floor, "axis")]
    shown = -1
    last_x = -100.0
    for index, layer in enumerate(series.layers):
        x = LEFT + width * index
        if layer > shown and x - last_x >= 44 and x < WIDTH - 30:
            parts += [line(x, floor, x, floor + 4, "axis"), text(x, floor + 16, f"#{layer}")]
            last_x = x
        shown = max(shown, layer)
    return parts


def _limits(series: RamSeries, y: Callable[[float], float], top_bytes: float) -> list[Markup]:
    at = y(series.required_bytes)
    parts = [
        line(LEFT, at, WIDTH - RIGHT, at, "arena"),
        text(LEFT - 4, at + 4, kib(series.required_bytes), anchor="end"),
    ]
    if series.room_bytes <= top_bytes:
        limit = y(series.room_bytes)
        parts.append(line(LEFT, limit, WIDTH - RIGHT, limit, "limit"))
        if abs(limit - at) > 12:
            parts.append(text(LEFT - 4, limit + 4, kib(series.room_bytes), anchor="end"))
    else:
        note = f"limit {kib(series.room_bytes)}, not to scale"
        parts.append(line(LEFT, TOP, WIDTH - RIGHT, TOP, "limit far"))
        parts.append(text(WIDTH - RIGHT, TOP - 4, note, "label limit-label", "end"))
    return parts
