# SPDX-License-Identifier: Apache-2.0
"""The SENDs and RECVs of one rank: what is posted, and which RECV waits for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tflsplit.ir import Value
from tflsplit.ops import Box
from tflsplit.ops.own.custom import recv, send
from tflsplit.ops.own.custom_options import RecvPiece
from tflsplit.plan.layout import Step
from tflsplit.plan.transfers import Assembly, Schedule, Transfer
from tflsplit.split.local_graph import LocalGraph


@dataclass
class LocalExchange:
    """Appends SENDs and RECVs to a device graph.

    A SEND only posts; its operand is pending until a RECV lists it (docs/custom_ops.md).
    """

    local: LocalGraph
    pending: list[Value] = field(default_factory=list)

    @property
    def rank(self) -> int:
        """Whose they are."""
        return self.local.rank

    def gather(self, movements: Schedule, step: Step) -> None:
        """All that the rank gives and gets before a step; first it gives."""
        for transfer in movements.sends.get(step, ()):
            if transfer.source == self.rank:
                box, local = self.local.held[transfer.value][0]
                self.post(transfer, local, box, self.local.labels[transfer.value])
        mine = self.mine(movements.assemblies.get(step, ()))
        for index, assembly in enumerate(mine):
            self._assemble(assembly, last=index == len(mine) - 1)

    def mine(self, assemblies: Sequence[Assembly]) -> list[Assembly]:
        """Those of this rank."""
        return [assembly for assembly in assemblies if assembly.rank == self.rank]

    def post(self, transfer: Transfer, local: Value, held: Box, tensor: str) -> None:
        """One SEND of parts of ``local``, which holds ``held`` of a tensor."""
        node = send(
            local,
            channel=transfer.channel,
            to=transfer.to,
            tensor=tensor,
            boxes=transfer.boxes,
            origin=held.origin,
            name=f"{tensor}/send{transfer.channel}",
        )
        self.local.add([node])
        if local not in self.pending:
            self.pending.append(local)

    def _assemble(self, assembly: Assembly, last: bool) -> None:
        value, box, local = assembly.value, assembly.local, None
        if not assembly.local.is_empty:
            box, local = self.local.held[value][0]
        output = self.local.hold(value, assembly.box, "/gathered")
        self.receive(assembly, output, self.local.labels[value], local, box, wait=last)

    def receive(
        self,
        assembly: Assembly,
        output: Value,
        tensor: str,
        local: Value | None,
        held: Box,
        add: bool = False,
        wait: bool = True,
    ) -> None:
        """One RECV; it waits for pending SENDs if it is the last before its node.

        An earlier one must not: two ranks that exchange two tensors before one node would each
        wait in the first RECV for the other to reach the second.
        """
        use_local = local is not None and not assembly.local.is_empty
        node = recv(
            output=output,
            tensor=tensor,
            origin=assembly.box.origin,
            local=local if use_local else None,
            local_box=assembly.local if use_local else None,
            local_origin=held.origin if use_local else (),
            pieces=[RecvPiece(*piece) for piece in assembly.pieces],
            pending=self.pending if wait else [],
            add=add,
            name=output.name,
        )
        if wait:
            self.pending.clear()
        self.local.add([node])

    def wait(self) -> None:
        """Keep what was sent last alive until it has left."""
        if not self.pending:
            return
        node = recv(
            output=None,
            tensor="",
            origin=(),
            local=None,
            local_box=None,
            local_origin=(),
            pieces=[],
            pending=self.pending,
            name="wait",
        )
        self.local.add([node])
