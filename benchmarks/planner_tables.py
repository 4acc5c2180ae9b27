# SPDX-License-Identifier: Apache-2.0
"""The tables of ``benchmarks.planner_targets``, and the targets that they are held against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.planned import (
    BY_HAND,
    Figures,
    arena_limit,
    slower_steps,
    time_limit,
    wires_limit,
)
from tflsplit.baseline import SeedCost
from tflsplit.sim import SimResult

KIB = 1024
ARENA_TARGETS = {8: 64 * KIB, 4: 120_000, 2: 220_000, 1: 400_000}
WIRE_TARGETS = {(8, None): 600_000, (8, 1024 * KIB): 1_500_000, (8, 512 * KIB): 5_000_000}
SPEED_TARGETS = {"spi": 5.0, "uart": 3.0}
SPEED_TARGET_DEVICES = 8
_DASH = "–"


@dataclass(frozen=True)
class Case:
    """One row of the tables of RAM and bytes; ``ours`` is a message if nothing fits."""

    world_size: int
    weights_limit_bytes: int | None
    ours: Figures | str
    by_hand: tuple[Figures, ...]
    seed: SeedCost

    @property
    def arena_target(self) -> int | None:
        """What the arena must not exceed; without much flash, of eight devices only."""
        if self.weights_limit_bytes is not None and self.world_size != SPEED_TARGET_DEVICES:
            return None
        return ARENA_TARGETS.get(self.world_size)

    @property
    def wire_target(self) -> int | None:
        """What the bytes on the wires must not exceed."""
        return WIRE_TARGETS.get((self.world_size, self.weights_limit_bytes))

    @property
    def head(self) -> list[str]:
        """What the row is about."""
        return [str(self.world_size), limit_name(self.weights_limit_bytes)]


@dataclass(frozen=True)
class Speed:
    """One number of devices on one kind of link, simulated."""

    world_size: int
    link: str
    arena_bytes: int
    result: SimResult


def limit_name(weights_limit_bytes: int | None) -> str:
    """How a table calls it."""
    if weights_limit_bytes is None:
        return "the board's"
    return f"{weights_limit_bytes // KIB:,} KiB"


def verdict(value: int, target: int | None) -> str:
    """``met``, or by how much it is missed."""
    if target is None:
        return _DASH
    return "met" if value <= target else f"**missed** by {value - target:,}"


def arena_table(found: Sequence[Case]) -> str:
    """Arena of the fullest device, beside the other schemes."""
    rows = []
    for case in found:
        beside = [*(f"{each.arena_bytes:,}" for each in case.by_hand), f"{case.seed.peak_bytes:,}"]
        if isinstance(case.ours, str):
            rows.append([*case.head, _number(case.arena_target), "nothing fits", *beside, _DASH])
            continue
        arena = case.ours.arena_bytes
        rows.append(
            [*case.head, _number(case.arena_target), f"{arena:,}", *beside,
             verdict(arena, case.arena_target)]
        )  # fmt: skip
    seed = "the seed's scheme, activations alone"
    return table(
        "Whole arena of the fullest device, bytes",
        ["devices", "weights each", "target", "objective ram", *BY_HAND, seed, "target is"],
        rows,
    )


def wire_table(found: Sequence[Case]) -> str:
    """Bytes on the wires, beside the other schemes."""
    rows = []
    for case in found:
        if case.world_size == 1:
            continue
        beside = [f"{each.planned.wire_bytes:,}" for each in case.by_hand]
        beside.append(f"{case.seed.traffic_bytes:,}")
        if isinstance(case.ours, str):
            rows.append(
                [*case.head, _number(case.wire_target), "nothing fits", _DASH, *beside, _DASH]
            )
            continue
        ours = case.ours.planned
        rows.append(
            [*case.head, _number(case.wire_target), f"{ours.wire_bytes:,}",
             f"{ours.prediction.payload_bytes:,}", *beside,
             verdict(ours.wire_bytes, case.wire_target)]
        )  # fmt: skip
    return table(
        "Bytes on the wires beyond the image",
        ["devices", "weights each", "target", "objective ram", "of it payload", *BY_HAND,
         "the seed's scheme", "target is"],
        rows,
    )  # fmt: skip


def device_table(found: Sequence[Case]) -> str:
    """Head and tail of every device, its weights, and what limits the plan."""
    lines = ["**Every device, and what limits the plan** (arena = head + tail, bytes)", ""]
    for case in found:
        title = f"- {case.world_size} devices, weights: {case.head[1]}"
        if isinstance(case.ours, str):
            lines.append(f"{title}: {case.ours}")
            continue
        arenas = " · ".join(f"{a.head_bytes:,} + {a.tail_bytes:,}" for a in case.ours.arenas)
        lines.append(f"{title} (at most {case.ours.weights_bytes:,} bytes): {arenas}")
        lines.append(f"  - RAM: {arena_limit(case.ours)}")
        moving = wires_limit(case.ours.planned)
        if moving:
            lines.append(f"  - wires: {moving}")
    return "\n".join(lines) + "\n"


def speed_table(found: Sequence[Speed]) -> str:
    """Times and speed-ups, and whether the targets are met."""
    alone, *rest = found
    link = alone.link
    rows = [
        [
            "1, unlimited RAM" if speed is alone else str(speed.world_size),
            f"{speed.arena_bytes:,}",
            f"{speed.result.latency_us / 1000:.1f}",
            f"{_faster(alone, speed)[0]:.2f}",
            f"{speed.result.graph_us[0] / 1000:.1f}",
            f"{_faster(alone, speed)[1]:.2f}",
            f"{speed.result.between_devices().wire_bytes:,}",
        ]
        for speed in found
    ]
    title = f"Simulated time on a ring of {_LINKS[link]}, frame by frame"
    columns = ["devices", "arena", "ms, host to host", "times as fast", "ms in the graph",
               "times as fast", "bytes on the wires, image included"]  # fmt: skip
    return table(title, columns, rows) + "\n" + "\n".join(_speed_lines(alone, rest)) + "\n"


def _speed_lines(alone: Speed, rest: Sequence[Speed]) -> Iterator[str]:
    target = SPEED_TARGETS[alone.link]
    for speed in rest:
        if speed.world_size == SPEED_TARGET_DEVICES:
            whole, graph = _faster(alone, speed)
            yield (
                f"- {target:g} times as fast with {SPEED_TARGET_DEVICES}: "
                f"{'met' if whole >= target else '**missed**'} from host to host ({whole:.2f}), "
                f"{'met' if graph >= target else '**missed**'} in the graph ({graph:.2f}); "
                f"{time_limit(speed.result)}"
            )
    for what, times in (
        ("host to host", [speed.result.latency_us for speed in rest]),
        ("in the graph", [speed.result.graph_us[0] for speed in rest]),
    ):
        slower = ", ".join(map(str, slower_steps(times)))
        met = f"**missed**: slower with {slower} than with one fewer" if slower else "met"
        yield f"- never slower for one more device, {what}: {met}"


def _faster(alone: Speed, speed: Speed) -> tuple[float, float]:
    """From host to host, and in the graph."""
    return (
        alone.result.latency_us / speed.result.latency_us,
        alone.result.graph_us[0] / speed.result.graph_us[0],
    )


_LINKS = {"uart": "6 Mbaud UARTs", "spi": "30 MHz SPI"}


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table below its title."""
    lines = [f"**{title}**", "", _row(columns), "|" + "---:|" * len(columns), *map(_row, rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _number(value: int | None) -> str:
    return _DASH if value is None else f"≤ {value:,}"
