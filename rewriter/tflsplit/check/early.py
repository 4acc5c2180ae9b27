# SPDX-License-Identifier: Apache-2.0
"""Nothing meets what an early RECV still has to bring.

An early RECV may be done before its pieces are there.  Sound is only: its next node is a
FUSED_BLOCK whose x is its result, for that reads rows when they have come, and ends when all have.
So the two are, for all others, one step that ends with the pieces: no SEND or RECV lies between,
and the proof that the schedule ends (``schedule``) takes an early RECV like any other.
"""

from __future__ import annotations

from collections.abc import Sequence

from tflsplit.ops.custom_options import RecvOptions
from tflsplit.split.devices import DeviceGraph
from tflsplit.wire.custom_ops import FUSED_BLOCK, RECV


def check_early(devices: Sequence[DeviceGraph]) -> list[str]:
    """Every early RECV whose result is not read by such a block at once."""
    problems = []
    for device in devices:
        nodes = device.graph.nodes
        for place, node in enumerate(nodes):
            if node.op != RECV or not node.outputs or not RecvOptions.of(node).early:
                continue
            after = nodes[place + 1] if place + 1 < len(nodes) else None
            if after is None or after.op != FUSED_BLOCK or after.inputs[0] is not node.output:
                problems.append(
                    f"rank {device.rank}: {node.name!r} is an early RECV, but the next node does "
                    "not wait for its pieces"
                )
            elif node.output.shape[0] != 1:
                problems.append(f"rank {device.rank}: {node.name!r} is early and of several images")
    return problems
