# SPDX-License-Identifier: Apache-2.0
"""RAM of one device over its nodes: what fills the arena when, and what is there at the peak."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup

from tflsplit.memory.arena import ArenaEstimate
from tflsplit.memory.buffers import Buffer
from tflsplit.memory.lifetimes import live_bytes_over_time
from tflsplit.plan.cost.fit import Fit
from tflsplit.report.figures import kib, short_name
from tflsplit.report.svg import WIDTH, chart, label, line, path, steps_path
from tflsplit.split.devices import DeviceGraph

HEIGHT, TOP, BOTTOM = 176.0, 16.0, 22.0
_LEAST_GAP = 90.0
"""Between two marks of the axis, so that they stay apart on a phone."""
MOST_TENANTS = 5


@dataclass(frozen=True)
class Tenant:
    """Something that lies in the arena at the peak.

    what: "activation" or "scratch"; name: the model's tensor, or the operator; shape: of the part
    that is here, "" of scratch.
    """

    what: str
    name: str
    shape: str
    size_bytes: int


@dataclass(frozen=True)
class RamSeries:
    """The arena of one device, in bytes, by the nodes of its graph in order.

    tail_bytes: persistent; there from start to end.
    live_bytes, scratch_bytes: activations, and scratch of the node that runs.
    required_bytes, room_bytes: the arena's size, and what the device has left for one.
    layers: the model's layer that each node works for; -1: none.
    tenants: what lies in the head at the peak, the largest first.
    A device without nodes, which a plan may leave, has one entry of nothing, and no layers.
    """

    rank: int
    tail_bytes: int
    live_bytes: tuple[int, ...]
    scratch_bytes: tuple[int, ...]
    required_bytes: int
    room_bytes: int
    layers: tuple[int, ...]
    tenants: tuple[Tenant, ...] = ()

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
    live = tuple(live_bytes_over_time(device.graph)) or (0,)
    both = [a + b for a, b in zip(live, scratch, strict=True)]
    return RamSeries(
        rank=device.rank,
        tail_bytes=arena.tail_bytes,
        live_bytes=live,
        scratch_bytes=tuple(scratch),
        required_bytes=fit.arena_bytes,
        room_bytes=fit.arena_room_bytes,
        layers=tuple(layers),
        tenants=tenants(device, arena, both.index(max(both))),
    )


def tenants(device: DeviceGraph, arena: ArenaEstimate, node: int) -> tuple[Tenant, ...]:
    """What lies in the head while a node runs, the largest first; what shares a place, once."""
    here = [
        (at, buffer)
        for buffer, at in arena.plan.offsets.items()
        if buffer.first <= node + 1 <= buffer.last and buffer.size_bytes
    ]
    here.sort(key=lambda place: (-place[1].size_bytes, place[0]))
    kept: list[tuple[int, Buffer]] = []
    for at, buffer in here:
        inside = any(
            start <= at and at + buffer.size_bytes <= start + other.size_bytes
            for start, other in kept
        )
        if not inside:
            kept.append((at, buffer))
    return tuple(_tenant(device, buffer) for _, buffer in kept)


def _tenant(device: DeviceGraph, buffer: Buffer) -> Tenant:
    if buffer.value is None:
        node = device.graph.nodes[buffer.first - 1]
        return Tenant("scratch", node.op.removeprefix("TFLSPLIT_"), "", buffer.size_bytes)
    shard = device.shards.get(buffer.value.name)
    name = shard.tensor if shard is not None else buffer.value.name
    shape = "×".join(map(str, buffer.value.shape))
    return Tenant("activation", name, shape, buffer.size_bytes)


def scale_bytes(series: RamSeries) -> float:
    """The top of a chart: the arena, and the limit too unless the arena would be a thin line."""
    used = max([series.required_bytes, *series.totals])
    return 1.08 * (series.room_bytes if used <= series.room_bytes <= 1.5 * used else used)


def ram_chart(series: RamSeries, names: list[str]) -> Markup:
    """A stacked area of tail, activations and scratch; lines at the arena's size and at the limit.

    names: of the model's layers.  Each chart has its own scale.
    """
    top_bytes = scale_bytes(series)
    width = WIDTH / len(series.live_bytes)
    floor = HEIGHT - BOTTOM

    def y(size_bytes: float) -> float:
        return floor - (floor - TOP) * size_bytes / top_bytes

    def area(heights: list[float], kind: str) -> Markup:
        edge = steps_path([y(height) for height in heights], 0, width)
        return path(f"{edge}V{floor:g}H0z", kind)

    live = [float(series.tail_bytes + size) for size in series.live_bytes]
    shapes = [
        area([float(size) for size in series.totals], "scratch"),
        area(live, "live"),
        area([float(series.tail_bytes)] * len(live), "tail"),
        line(0, floor, WIDTH, floor, "axis"),
    ]
    labels = _axis(series, floor)
    if not series.is_idle:
        at = width * (series.peak + 0.5)
        shapes.append(line(at, y(series.totals[series.peak]), at, floor, "peak"))
    _limits(series, y, top_bytes, shapes, labels)
    return chart(HEIGHT, _title(series, names), shapes, labels, "ram", series.rank)


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


def _axis(series: RamSeries, floor: float) -> list[Markup]:
    """The layers' numbers, as many as have room."""
    width = WIDTH / len(series.live_bytes)
    parts = []
    shown, last_x = -1, -_LEAST_GAP
    for index, layer in enumerate(series.layers):
        x = width * index
        if layer > shown and x - last_x >= _LEAST_GAP and x < WIDTH - 60:
            parts.append(label(x, floor + 3, f"#{layer}"))
            last_x = x
        shown = max(shown, layer)
    return parts


def _limits(
    series: RamSeries,
    y: Callable[[float], float],
    top_bytes: float,
    shapes: list[Markup],
    labels: list[Markup],
) -> None:
    at = y(series.required_bytes)
    shapes.append(line(0, at, WIDTH, at, "arena"))
    labels.append(label(0, at - 16, f"arena {kib(series.required_bytes)}", "on"))
    if series.room_bytes <= top_bytes:
        limit = y(series.room_bytes)
        shapes.append(line(0, limit, WIDTH, limit, "limit"))
        labels.append(label(WIDTH, limit - 16, f"limit {kib(series.room_bytes)}", "on end limit"))
    else:
        times = series.room_bytes / series.required_bytes
        note = f"limit {kib(series.room_bytes)}, {times:.1f} times the arena"
        labels.append(label(WIDTH, -2, f"↑ {note}", "end limit"))
