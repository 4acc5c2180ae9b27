# SPDX-License-Identifier: Apache-2.0
"""What the devices RECV from the host: the parts of a streamed input, in the order of reading.

host   x[0:9] ─► rank 0   x[8:17] ─► rank 0 …       the host is the rank behind the last device
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tflsplit.ops import Box
from tflsplit.ops.own.custom_options import RecvOptions
from tflsplit.split.devices import DeviceGraph
from tflsplit.wire import custom_ops as wire


@dataclass(frozen=True)
class HostBox:
    """One message of the host: ``box`` of the model's input ``tensor``, for one rank."""

    rank: int
    channel: int
    tensor: str
    box: Box
    size_bytes: int


def host_boxes(devices: Sequence[DeviceGraph]) -> list[HostBox]:
    """All of one inference, those first that are read first; ModelError for malformed options."""
    found = [
        HostBox(
            device.rank, piece.channel, options.tensor, piece.box,
            piece.box.size * node.output.dtype.itemsize,
        )
        for device in devices
        for node in device.graph.nodes
        if node.op == wire.RECV
        for options in [RecvOptions.of(node)]
        for piece in options.pieces
        if piece.source == len(devices)
    ]  # fmt: skip
    return sorted(found, key=lambda each: (each.channel, each.rank))
