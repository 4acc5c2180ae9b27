# SPDX-License-Identifier: Apache-2.0
"""A device graph whose kernels run on this computer and whose boxes cross the firmware's links.

::

    step        runtime.Device             CoreGraph
    kernel      engine (TFLM's wheel)      the same
    SEND        copy to a mailbox          post_send of the box where it lies in the tensor
    RECV        take from a mailbox        begin_recv into the box's place, wait for it and for
                                           what its pending operands still have to send
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from tflsplit.ir import Graph, Value
from tflsplit.ops import Box
from tflsplit.ops.own.custom_options import sent_from
from tflsplit.runtime.device import Device
from tflsplit.runtime.engines import Array
from tflsplit.runtime.steps import RecvStep, SendStep, Step
from tflsplit.wire.endpoint import rank_set
from tflsplit.wire.native import NativeNode

_MAX_AXES = 4


class Computation(Protocol):
    """What a device computes, for ``DeviceRunner``."""

    @property
    def input_arrays(self) -> list[Array]:
        """Fresh arrays of the inputs' shapes and types."""

    @property
    def outputs(self) -> list[Array]:
        """Of the last inference."""

    sent_bytes: int
    received_bytes: int

    def infer(self, inputs: Sequence[Array]) -> Iterator[None]:
        """One inference; yields whenever it waits for the links."""


class _NoTransport:
    """``CoreGraph`` hands tensors to the node itself."""

    def post(self, channel: int, to: int, data: Array) -> None:
        raise NotImplementedError

    def take(self, channel: int, source: int) -> bytes | None:
        raise NotImplementedError


@dataclass
class CoreGraph(Device):
    """See the module. Raises ``LinkError`` from ``infer`` when the inference is lost."""

    node: NativeNode = field(kw_only=True)
    _posted: dict[Value, list[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, rank: int, graph: Graph, steps: Sequence[Step], node: NativeNode) -> CoreGraph:
        """A graph that is compiled to steps, on a node of that rank."""
        return cls(rank, graph, steps, _NoTransport(), node=node)

    @property
    def input_arrays(self) -> list[Array]:
        """See ``Computation``."""
        return [np.zeros(value.shape, value.dtype.numpy) for value in self.graph.inputs]

    def infer(self, inputs: Sequence[Array]) -> Iterator[None]:
        """See ``Computation``."""
        self._posted.clear()
        return super().infer(inputs)

    def _send(self, step: SendStep) -> None:
        options, operand = step.options, step.node.input(0)
        ranks: dict[Box, list[int]] = {}
        for rank, box in zip(options.to, options.boxes, strict=True):
            ranks.setdefault(box, []).append(rank)
        for box, readers in ranks.items():
            view = self.values[operand][box.relative_to(options.origin).slices]
            self.node.post_send(options.channel, rank_set(readers), sendable(view))
            self.sent_bytes += view.nbytes * len(readers)
        self._posted.setdefault(sent_from(step.node), []).append(options.channel)
        self._copy(step)

    def _receive(self, step: RecvStep) -> Iterator[None]:
        options, output = step.options, step.output
        result = None if output is None else self._begin_result(step, output)
        landings: list[tuple[Array, Array]] = []
        for piece in options.pieces:
            assert result is not None
            place = result[piece.box.relative_to(options.origin).slices]
            lands = place if _is_box(place) and not options.add else np.zeros_like(place, order="C")
            self.node.begin_recv(piece.channel, piece.source, flat(lands))
            landings.append((place, lands))
            self.received_bytes += place.nbytes
        pending = [c for value in step.node.operands for c in self._posted.pop(value, ())]
        while not (self.node.recvs_complete and all(map(self.node.send_released, pending))):
            yield
        for place, lands in landings:
            if options.add:
                place += lands
            elif lands is not place:
                place[...] = lands
        if output is not None and result is not None:
            self.values[output] = result


def _is_box(array: Array) -> bool:
    """Whether split_core can address it where it lies."""
    return array.ndim <= _MAX_AXES and array.itemsize in (1, 2, 4)


def flat(array: Array) -> Array:
    """A dense array that is no box, as bytes; any other as it is."""
    return array if _is_box(array) else array.reshape(-1).view(np.uint8)


def sendable(array: Array) -> Array:
    """The array where it lies, or a dense copy as bytes if split_core cannot address that."""
    return array if _is_box(array) else flat(np.ascontiguousarray(array))
