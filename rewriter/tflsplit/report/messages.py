# SPDX-License-Identifier: Apache-2.0
"""What hangs together in a simulation: messages from SEND to RECV, and the critical path."""

from __future__ import annotations

from collections.abc import Sequence

from tflsplit.ops.own.custom_options import SendOptions
from tflsplit.sim import SimResult, Why
from tflsplit.sim.program import INPUT_CHANNEL
from tflsplit.split.devices import DeviceGraph
from tflsplit.wire import custom_ops as wire

Row = list[float]


def message_data(
    simulation: SimResult, devices: Sequence[DeviceGraph], layers: Sequence[dict[str, int]]
) -> list[Row]:
    """For the page's script: [from, to, posted, arrived, layer] of the first inference, in us.

    layers: for each rank, the layer that each of its nodes works for.  Those of the host, which is
    no row of the chart, are left out.
    """
    channels = [_channels(device, places) for device, places in zip(devices, layers, strict=True)]
    host = len(devices)
    rows: list[Row] = []
    for (source, (epoch, channel), receiver), delivery in simulation.trace.deliveries.items():
        if epoch or host in (source, receiver) or channel >= INPUT_CHANNEL:
            continue
        if delivery.arrived_us is None:
            continue
        posted = simulation.trace.posted[source, (epoch, channel)]
        layer = channels[source].get(channel, -1)
        rows.append([source, receiver, round(posted, 1), round(delivery.arrived_us, 1), layer])
    return sorted(rows, key=lambda row: row[2])


def _channels(device: DeviceGraph, places: dict[str, int]) -> dict[int, int]:
    """The layer for which a device sends on each channel."""
    return {
        SendOptions.of(node).channel: places.get(node.name, -1)
        for node in device.graph.nodes
        if node.op == wire.SEND
    }


def path_data(reasons: Why, layers: Sequence[dict[str, int]]) -> list[list[float | str]]:
    """For the page's script: [rank, cause, start, end, layer] of the critical path, in us."""
    return [
        [
            part.rank,
            part.cause,
            round(part.start_us, 1),
            round(part.end_us, 1),
            layers[part.rank].get(part.what, -1) if part.rank < len(layers) else -1,
        ]
        for part in reasons.parts
    ]
