# SPDX-License-Identifier: Apache-2.0
"""Sums that are added in 16 bits are few enough for it, whatever the values are.

    rank 0   x, 4 rows -- PARTIAL_SUM --> int16 -- SEND -.
    rank 1   x, 3 rows -- PARTIAL_SUM --> int16 ---------+-- RECV, sum: 7 rows of values in int16

A value less its zero point is at most 255 away from 0, so int16 holds 128 of them.  (Sums of 32
bits may wrap, where TFLM's do.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tflsplit.ir import DType, Graph, Node, Value
from tflsplit.ops.own.custom_options import RecvOptions, SendOptions, axes_of
from tflsplit.split.devices import DeviceGraph
from tflsplit.wire.custom_ops import PARTIAL_SUM, RECV, SEND

_MOST = ((1 << 15) - 1) // 255
_UNKNOWN = math.inf
"""Of what is no sum of int8."""


def check_short_sums(devices: Sequence[DeviceGraph]) -> list[str]:
    """Every RECV that adds up more in int16 than that is sure to hold."""
    makers = [_makers(device.graph) for device in devices]
    sent = {
        SendOptions.of(node).channel: _values(node.input(0), made)
        for device, made in zip(devices, makers, strict=True)
        for node in device.graph.nodes
        if node.op == SEND and node.input(0).dtype is DType.INT16
    }
    problems = []
    for device, made in zip(devices, makers, strict=True):
        for node in device.graph.nodes:
            if node.op != RECV or not node.outputs or node.output.dtype is not DType.INT16:
                continue
            options = RecvOptions.of(node)
            if not options.add:
                continue
            total = sum(sent.get(piece.channel, _UNKNOWN) for piece in options.pieces)
            total += _values(node.input(0), made) if options.local else 0
            if total > _MOST:
                what = "no sums of int8" if total == _UNKNOWN else f"{total} values"
                problems.append(
                    f"rank {device.rank}: RECV {node.output.name!r} adds up {what}, "
                    f"but int16 holds {_MOST} values of int8 for sure"
                )
    return problems


def _makers(graph: Graph) -> dict[Value, Node]:
    return {value: node for node in graph.nodes for value in node.outputs}


def _values(sums: Value, made: dict[Value, Node]) -> float:
    """How many values of int8 each of some sums is of."""
    node = made.get(sums)
    if node is None:
        return _UNKNOWN
    if node.op == "CONCATENATION":
        return max(_values(part, made) for part in node.operands)
    if node.op == PARTIAL_SUM:
        return math.prod(node.input(0).shape[slice(*axes_of(node))])
    return _UNKNOWN
