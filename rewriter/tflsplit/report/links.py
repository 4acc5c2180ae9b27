# SPDX-License-Identifier: Apache-2.0
"""Bytes between devices: payload from rank to rank, and what the wires carry for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tflsplit.ops.own.custom_options import SendOptions
from tflsplit.sim import SimResult, WireCount
from tflsplit.split.devices import DeviceGraph
from tflsplit.wire import custom_ops as wire


def payload_matrix(devices: Sequence[DeviceGraph]) -> list[list[int]]:
    """[source][destination]: bytes of tensors per inference, from the SENDs of the graphs.

    Its rows add up to ``sent_bytes`` of plan.json, its columns to ``received_bytes``.
    """
    matrix = [[0] * len(devices) for _ in devices]
    for device in devices:
        for node in device.graph.nodes:
            if node.op != wire.SEND:
                continue
            options, itemsize = SendOptions.of(node), node.input(0).dtype.itemsize
            for rank, box in zip(options.to, options.boxes, strict=True):
                matrix[device.rank][rank] += box.size * itemsize
    return matrix


@dataclass(frozen=True)
class WireView:
    """One direction of a wire in one inference; ``busy`` is the share of the time, in percent."""

    a: str
    b: str
    count: WireCount
    busy: float


def wire_views(simulation: SimResult, world_size: int) -> list[WireView]:
    """Every direction of every wire that carried something."""

    def name(rank: int) -> str:
        return "host" if rank == world_size else f"rank {rank}"

    return [
        WireView(name(a), name(b), count, 100 * count.busy_us / simulation.total_us)
        for (a, b), count in sorted(simulation.wires.items())
        if count.wire_bytes
    ]
