# SPDX-License-Identifier: Apache-2.0
"""What a cluster's inferences came to, per device and per wire, from the devices' own counters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tflsplit.bundle.plan_json import Json
from tflsplit.errors import PlanError
from tflsplit.host.causes import BY_WATCHDOG
from tflsplit.host.coordinator import Inference
from tflsplit.wire.control import Info, LinkReport, Report, ResetReason

NS_PER_INSTRUCTION = 64
"""Of an emulated board's clock that counts instructions (``-icount shift=6``)."""

ENOUGH_STACK = 0.8
"""Of a stack: beyond it, an interrupt more may be too much."""

Links = Sequence[Sequence[LinkReport]]
"""The link reports of every rank, and of the host after them."""


@dataclass(frozen=True)
class DeviceFigures:
    """One device, means over the inferences; times in microseconds.

    stack_bytes, stack_used_bytes: reserved, and the deepest that it went; 0: the board does not
        know.
    instructions, wait_instructions: of the graph, and of these while it waited for others; None
        where the clock does not count them.
    """

    rank: int
    board: str
    arena_bytes: int
    arena_used_bytes: int
    input_us: float
    graph_us: float
    wait_us: float
    output_us: float
    instructions: float | None
    wait_instructions: float | None
    sent_bytes: int
    received_bytes: int
    stack_bytes: int = 0
    stack_used_bytes: int = 0

    @property
    def compute_us(self) -> float:
        """The graph without waiting."""
        return self.graph_us - self.wait_us

    @property
    def compute_instructions(self) -> float | None:
        """The graph's instructions without those spent waiting."""
        if self.instructions is None or self.wait_instructions is None:
            return None
        return self.instructions - self.wait_instructions


@dataclass(frozen=True)
class WireFigures:
    """One direction of a wire, per inference; all bytes count, frames' overhead included.

    a, b: from the device of rank a to rank b; the host has the rank after the last device's.
    damaged: frames that arrived at b and were dropped as damaged.
    lost_bytes: arrived at b's port and found no room, as far as its board can tell.
    """

    a: int
    b: int
    bytes: float
    frames: float
    resent: float
    damaged: float
    polls: float
    lost_bytes: float = 0.0


def remarks(infos: Sequence[Info], wires: Sequence[WireFigures]) -> list[str]:
    """What somebody should know of boards that went on all the same, one sentence each."""
    found = [
        f"rank {rank} was reset {BY_WATCHDOG}"
        for rank, info in enumerate(infos)
        if info.reset_reason == ResetReason.WATCHDOG
    ]
    found += [
        f"rank {rank} dropped {info.console_lost_bytes} bytes of text for its console: its "
        "terminal does not keep up"
        for rank, info in enumerate(infos)
        if info.console_lost_bytes
    ]
    found += [
        f"rank {rank} used {info.stack_used_bytes:,} of its {info.stack_bytes:,} bytes of stack: "
        "give its board more (stack_bytes)"
        for rank, info in enumerate(infos)
        if info.stack_used_bytes > ENOUGH_STACK * info.stack_bytes
    ]
    return found + [
        f"rank {wire.b} lost bytes that came from rank {wire.a} ({wire.lost_bytes:.4g} counted an "
        "inference): its port is served too late; give firmware a lower --baud"
        for wire in wires
        if wire.lost_bytes
    ]


def device_figures(
    infos: Sequence[Info], inferences: Sequence[Inference], counts_instructions: bool
) -> list[DeviceFigures]:
    """By rank."""
    return [
        _device(rank, info, [inference.reports[rank] for inference in inferences],
                counts_instructions)
        for rank, info in enumerate(infos)
    ]  # fmt: skip


def _device(
    rank: int, info: Info, reports: Sequence[Report], counts_instructions: bool
) -> DeviceFigures:
    def mean(name: str) -> float:
        return float(sum(getattr(report, name) for report in reports)) / len(reports)

    def instructions(name: str) -> float | None:
        if not counts_instructions or not info.ticks_per_second:
            return None
        return mean(name) * 1e9 / info.ticks_per_second / NS_PER_INSTRUCTION

    return DeviceFigures(
        rank, info.board, info.arena_bytes, info.arena_used_bytes,
        mean("input_us"), mean("graph_us"), mean("wait_us"), mean("output_us"),
        instructions("graph_ticks"), instructions("wait_ticks"),
        reports[-1].sent_bytes, reports[-1].received_bytes,
        info.stack_bytes, info.stack_used_bytes,
    )  # fmt: skip


def wire_figures(before: Links, after: Links, inferences: int) -> list[WireFigures]:
    """What went over every wire between two readings of the counters, per inference."""
    first = {(rank, link.peer): link for rank, links in enumerate(before) for link in links}
    last = {(rank, link.peer): link for rank, links in enumerate(after) for link in links}

    def lost(key: tuple[int, int]) -> float:
        if key not in last:
            return 0.0
        return ((last[key].lost_bytes - first[key].lost_bytes) & 0xFFFF_FFFF) / inferences

    def per_inference(key: tuple[int, int], *names: str) -> float:
        if key not in last:
            return 0.0
        counts = (last[key].count(name) - first[key].count(name) for name in names)
        # Counters are modulo 2^32.
        return sum(count & 0xFFFF_FFFF for count in counts) / inferences

    return [
        WireFigures(
            *key,
            per_inference(key, "bytes_sent"),
            per_inference(key, "frames_sent"),
            per_inference(key, "frames_resent"),
            per_inference(key[::-1], "crc_errors", "cobs_errors", "too_long", "too_short"),
            per_inference(key, "polls"),
            lost(key[::-1]),
        )
        for key in sorted(last)
    ]


def check_traffic(plan: Json, reports: Sequence[Report]) -> None:
    """Raises PlanError unless every device moved the bytes that plan.json says."""
    for entry, report in zip(plan["devices"], reports, strict=True):
        planned = entry["sent_bytes"], entry["received_bytes"]
        if planned != (report.sent_bytes, report.received_bytes):
            raise PlanError(
                f"rank {entry['rank']} sent and received {report.sent_bytes} and "
                f"{report.received_bytes} bytes, but plan.json says {planned[0]} and {planned[1]}: "
                "write the folder again with `rewrite`, then flash the devices"
            )
