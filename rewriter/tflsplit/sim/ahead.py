# SPDX-License-Identifier: Apache-2.0
"""The next inference's input, taken while one is computed (docs/cluster_protocol.md)."""

from __future__ import annotations

from tflsplit.cluster import Cluster
from tflsplit.sim.node import Node
from tflsplit.sim.program import INPUT_CHANNEL, Program


class NextInput:
    """A device's memory for it: ``on_queued`` and ``ask_next_inputs`` of the device runner."""

    def __init__(self, node: Node, program: Program, cluster: Cluster) -> None:
        self._node, self._program, self._host_rank = node, program, cluster.host_rank
        self._exists = cluster.ahead
        self._next: int | None = None  # the inference that is to be asked for
        node.messages.on_datagram = self._look

    def free(self, number: int) -> None:
        """The input of inference ``number`` is where the graph reads it, or comes there."""
        if self._exists:
            self._next = number + 1
            self._look()

    def _look(self) -> None:
        """Ask once the next inference's START is here."""
        number, messages = self._next, self._node.messages
        if number is None or len(messages.inbox.datagrams) <= number:
            return
        self._next = None
        for index, (_, _, size) in enumerate(self._program.inputs):
            channel = number, INPUT_CHANNEL + index
            messages.expect(channel, self._host_rank, size, ahead=True)
