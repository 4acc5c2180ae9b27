# SPDX-License-Identifier: Apache-2.0
"""Recorded runs beside what was predicted for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tflsplit.bundle.plan_json import Json
from tflsplit.cluster import Cluster
from tflsplit.firmware import BOARDS
from tflsplit.sim import SimResult

HOST_KINDS = ("native", "core")
TARGETS_ONLY = ("arena used", "compute", "exchange")
"""What a program of the host's tells nothing about: another processor, other pointers."""


@dataclass(frozen=True)
class Figure:
    """One quantity of one device or wire; None where it was not measured or not predicted.

    unit: "bytes", "us" or "count".
    """

    what: str
    quantity: str
    unit: str
    predicted: float | None
    measured: float | None


@dataclass(frozen=True)
class RunView:
    """One recorded run.

    seconds: mean time of an inference on the clock of the computer that ran it; None if not known.
    """

    name: str
    kind: str
    recorded_at: str
    same_bits: bool | None
    inferences: int | None
    seconds: float | None
    figures: tuple[Figure, ...]


def run_views(
    runs: Sequence[Json], document: Json, simulation: SimResult, cluster: Cluster
) -> list[RunView]:
    """Every run; predictions are plan.json's (arena, payload) and the simulation's (the rest).

    cluster: what was simulated; of a device that ran on another board, times are not predicted.
    """
    views = []
    for run in runs:
        seconds = run.get("seconds") or []
        figures = [
            *(
                figure
                for entry in run.get("devices", [])
                for figure in _device(entry, document, simulation, cluster)
                if run.get("kind") not in HOST_KINDS or figure.quantity not in TARGETS_ONLY
            ),
            *(f for e in run.get("wires", []) for f in _wire(e, simulation, cluster.world_size)),
        ]
        views.append(
            RunView(
                run["name"],
                str(run.get("kind", "")),
                str(run.get("recorded_at", "")),
                run.get("same_bits"),
                run.get("inferences"),
                sum(seconds) / len(seconds) if seconds else None,
                tuple(figures),
            )
        )
    return views


def _device(entry: Json, document: Json, simulation: SimResult, cluster: Cluster) -> list[Figure]:
    rank = entry.get("rank")
    if not isinstance(rank, int) or not 0 <= rank < len(simulation.devices):
        return []
    planned, times = document["devices"][rank], simulation.devices[rank]
    hardware = cluster.devices[rank]
    is_same = entry.get("board", hardware.board) == hardware.board
    compute_us = times.compute_us if is_same else None
    exchange_us = times.send_us + times.wait_us if is_same else None
    # The clock of an emulated board counts instructions, so its cycles are instructions.
    counts = is_same and hardware.board in BOARDS and BOARDS[hardware.board].is_emulated
    cycles = times.compute_us * hardware.clock_hz / 1e6 if counts else None
    pairs = [
        ("arena used", "bytes", planned["arena_bytes"], _positive(entry.get("arena_used_bytes"))),
        ("sent", "bytes", planned["sent_bytes"], entry.get("sent_bytes")),
        ("received", "bytes", planned["received_bytes"], entry.get("received_bytes")),
        ("compute", "us", compute_us, _positive(entry.get("compute_us", _compute(entry)))),
        ("exchange", "us", exchange_us, entry.get("wait_us")),
        ("instructions", "count", cycles, entry.get("compute_instructions")),
    ]
    return [Figure(f"rank {rank}", *pair) for pair in pairs if pair[3] is not None]


def _compute(entry: Json) -> float | None:
    graph, wait = entry.get("graph_us"), entry.get("wait_us")
    return None if graph is None or wait is None else float(graph) - float(wait)


def _positive(value: float | None) -> float | None:
    """A device that does not know a figure gives 0."""
    return value or None


def _wire(entry: Json, simulation: SimResult, world_size: int) -> list[Figure]:
    a, b = entry.get("a"), entry.get("b")
    if not isinstance(a, int) or not isinstance(b, int):
        return []
    name = " → ".join("host" if rank == world_size else str(rank) for rank in (a, b))
    count = simulation.wires.get((a, b))
    pairs = [
        ("bytes", "bytes", None if count is None else count.wire_bytes, entry.get("bytes")),
        ("frames", "count", None if count is None else count.frames, entry.get("frames")),
        (
            "sent again",
            "count",
            None if count is None else count.resent_frames,
            entry.get("resent"),
        ),
    ]
    return [Figure(f"wire {name}", *pair) for pair in pairs if pair[3] is not None]
