# SPDX-License-Identifier: Apache-2.0
"""One simulated device: runs its steps, and says when it has to wait."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from tflsplit.ir import Graph, Value
from tflsplit.ops import Box
from tflsplit.ops.own.custom_options import RecvOptions
from tflsplit.runtime.engines import Array
from tflsplit.runtime.steps import KernelStep, RecvStep, SendStep, Step


class Transport(Protocol):
    """What carries boxes between devices."""

    def post(self, channel: int, to: int, data: Array) -> None:
        """Start sending an array to a rank; returns at once."""

    def take(self, channel: int, source: int) -> bytes | None:
        """The bytes of a box that has arrived, or None if it has not yet."""


def assembled_shape(options: RecvOptions, output: Value) -> tuple[int, ...]:
    """Of what a RECV brings: of its result, or of all pieces if that is memory for a few."""
    if not options.rolling:
        return output.shape
    boxes = [piece.box.relative_to(options.origin) for piece in options.pieces]
    ends = zip(*([stop for _, stop in box.intervals] for box in boxes), strict=True)
    return tuple(map(max, ends))


@dataclass
class Device:
    """One rank between two inferences.

    sent_bytes, received_bytes: payload of the boxes of the last inference; a box that goes to
        three ranks is sent three times.
    values: the tensors of the last inference, for whoever wants to look at them.
    """

    rank: int
    graph: Graph
    steps: Sequence[Step]
    transport: Transport
    sent_bytes: int = 0
    received_bytes: int = 0
    values: dict[Value, Array] = field(default_factory=dict)

    def infer(self, inputs: Sequence[Array]) -> Iterator[None]:
        """Run one inference; yields whenever a box that it needs has not arrived."""
        self.sent_bytes = self.received_bytes = 0
        self.values = {v: v.data for v in self.graph.constants() if v.data is not None}
        self.values.update(zip(self.graph.inputs, inputs, strict=True))
        for step in self.steps:
            if isinstance(step, KernelStep):
                results = step.run([self.values[value] for value in step.inputs])
                self.values.update(zip(step.outputs, results, strict=True))
            elif isinstance(step, SendStep):
                self._send(step)
            else:
                yield from self._receive(step)

    @property
    def outputs(self) -> list[Array]:
        """The device's outputs of the last inference."""
        return [self.values[value] for value in self.graph.outputs]

    def _send(self, step: SendStep) -> None:
        options, x = step.options, self.values[step.node.input(0)]
        for rank, box in zip(options.to, options.boxes, strict=True):
            data = np.ascontiguousarray(x[box.relative_to(options.origin).slices])
            self.sent_bytes += data.nbytes
            self.transport.post(options.channel, rank, data)
        self._copy(step)

    def _copy(self, step: SendStep) -> None:
        """The result of a SEND that has one."""
        options, x = step.options, self.values[step.node.input(0)]
        for copy in step.node.outputs:
            parts = [x[box.relative_to(options.origin).slices] for box in options.different]
            sent = [np.ascontiguousarray(part).reshape(-1).view(np.int8) for part in parts]
            self.values[copy] = np.concatenate(sent)

    def _receive(self, step: RecvStep) -> Iterator[None]:
        options = step.options
        if step.output is None:  # what it would wait for is copied when it is posted
            return
        result = self._begin_result(step, step.output)
        for piece in options.pieces:
            while (payload := self.transport.take(piece.channel, piece.source)) is None:
                yield
            self.received_bytes += len(payload)
            self._place(result, piece.box.relative_to(options.origin), payload, options.add)
        self.values[step.output] = result

    def _begin_result(self, step: RecvStep, output: Value) -> Array:
        """The tensor that a RECV assembles, with the local shard in its place."""
        options = step.options
        result = np.zeros(assembled_shape(options, output), output.dtype.numpy)
        if options.local is not None:
            local = options.local.relative_to(options.local_origin)
            target = options.local.relative_to(options.origin)
            result[target.slices] = self.values[step.node.input(0)][local.slices]
        return result

    @staticmethod
    def _place(result: Array, box: Box, payload: bytes, add: bool) -> None:
        part = np.frombuffer(payload, result.dtype).reshape(box.shape)
        if add:
            result[box.slices] += part
        else:
            result[box.slices] = part
