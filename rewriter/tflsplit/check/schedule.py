# SPDX-License-Identifier: Apache-2.0
"""The SENDs and RECVs of all devices as one schedule: whether it ends, and whether it ends even if
a box for several ranks leaves only once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from tflsplit.errors import ModelError
from tflsplit.ir import Graph, Node, Value
from tflsplit.ops.own.custom_check import problems as problems_of_node
from tflsplit.ops.own.custom_options import RecvOptions, SendOptions, sent_from
from tflsplit.split.devices import DeviceGraph
from tflsplit.wire.custom_ops import RECV, SEND
from tflsplit.wire.timers import MULTICAST_HOLD_US


@dataclass(frozen=True)
class Exchange:
    """A SEND or RECV of a device, its options read once."""

    rank: int
    node: Node
    send: SendOptions | None
    recv: RecvOptions | None

    @property
    def pending(self) -> tuple[Value, ...]:
        """The operands whose SENDs a RECV waits for."""
        assert self.recv is not None
        return self.node.operands[self.recv.local is not None :]


Programs = Sequence[Sequence[Exchange]]


def exchanges(graphs: Sequence[Graph]) -> list[list[Exchange]]:
    """Each rank's SENDs and RECVs in order; ModelError if one is malformed."""
    return [
        [_exchange(rank, node) for node in graph.nodes if node.op in (SEND, RECV)]
        for rank, graph in enumerate(graphs)
    ]


def _exchange(rank: int, node: Node) -> Exchange:
    found = problems_of_node(node)
    if found:
        raise ModelError(f"rank {rank}: {found[0]}")
    if node.op == SEND:
        return Exchange(rank, node, SendOptions.of(node), None)
    return Exchange(rank, node, None, RecvOptions.of(node))


def check_progress(programs: Programs) -> list[str]:
    """Run all ranks with zero buffering; each that never ends is a violation.

    A transfer happens only when the sender has posted it and the receiver stands in its RECV.
    """
    return [
        f"rank {rank} waits for ever in {step.node.name!r}"
        for rank, step in enumerate(_Run(programs, waits=False).stuck())
        if step is not None
    ]


def multicasts_can_wait(devices: Sequence[DeviceGraph]) -> bool:
    """Whether the schedule ends even if a box for several ranks leaves when all of them ask for it.

    Not so where one receiver first waits for what another makes of the same box::

        rank 0   SEND x -> 1, 2
        rank 1   RECV x, SEND y -> 2
        rank 2   RECV y from 1, RECV x      1 must have x before 2 asks for it
    """
    programs = exchanges([device.graph for device in devices])
    return all(step is None for step in _Run(programs, waits=True).stuck())


_Us = TypeVar("_Us", int, float)


def multicast_hold_us(devices: Sequence[DeviceGraph], patient_us: _Us) -> _Us | int:
    """How long a multicast waits for all of its receivers: ``patient_us`` where that is safe."""
    return patient_us if multicasts_can_wait(devices) else MULTICAST_HOLD_US


@dataclass
class _Run:
    """All ranks in turn until nothing moves.

    waits: whether a multicast leaves for all of its receivers at once.
    """

    programs: Programs
    waits: bool
    sends: dict[int, SendOptions] = field(default_factory=dict)
    posted: dict[tuple[int, Value], list[SendOptions]] = field(
        default_factory=lambda: defaultdict(list)
    )
    receiving: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))

    def stuck(self) -> list[Exchange | None]:
        """By rank, the step that never ends; None if all do."""
        at = [0] * len(self.programs)
        moved = True
        while moved:
            moved = False
            for rank, program in enumerate(self.programs):
                while at[rank] < len(program) and self._passes(program[at[rank]]):
                    at[rank] += 1
                    moved = True
        return [
            program[i] if i < len(program) else None
            for i, program in zip(at, self.programs, strict=True)
        ]

    def _passes(self, step: Exchange) -> bool:
        """Whether a step is done. A RECV is when its pieces can come and what it waits for left."""
        if step.send is not None:
            self.posted[step.rank, sent_from(step.node)].append(step.send)
            self.sends[step.send.channel] = step.send
            return True
        assert step.recv is not None
        for piece in step.recv.pieces:
            self.receiving[piece.channel].add(step.rank)
        # The host posts all that it has at the start, to each rank alone.
        pieces = (p for p in step.recv.pieces if p.source != len(self.programs))
        return all(self._leaves(piece.channel) for piece in pieces) and all(
            self.receiving[options.channel].issuperset(options.to)
            for value in step.pending
            for options in self.posted.get((step.rank, value), ())
        )

    def _leaves(self, channel: int) -> bool:
        options = self.sends.get(channel)
        if options is None:
            return False
        is_multicast = self.waits and len(set(options.boxes)) == 1
        return not is_multicast or self.receiving[channel].issuperset(options.to)
