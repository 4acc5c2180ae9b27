# SPDX-License-Identifier: Apache-2.0
"""What it costs that activations lie in a bank: bytes that operators read and write there.

us = sum over the operands and results of a node that lie in a bank of
         bytes * the bank's cycles a byte, read or written, over the clock

A kernel reads an operand once by this, and rows that two windows share come from a cache, which all
boards with slow banks have; a RECV reads its local shard and writes its result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tflsplit.cluster import Device
from tflsplit.ir import Graph, Node, Value
from tflsplit.memory.banks import banked_values
from tflsplit.ops.own.custom_options import RecvOptions
from tflsplit.wire import custom_ops as wire

_WITHOUT_KERNEL = (wire.SEND, wire.ASK)
"""What they read leaves in polls."""


def banks_us(graph: Graph, device: Device) -> Mapping[Node, float]:
    """The time that each node of a device graph waits for banks; nodes that do not are missing.

    A bank that the device does not have costs nothing: there the arena is in one piece.
    """
    places, count = banked_values(graph), len(device.banks)
    banks = {value: device.banks[bank - 1] for value, bank in places.items() if bank <= count}
    if not banks:
        return {}
    found: dict[Node, float] = {}
    for node in graph.nodes:
        if node.op in _WITHOUT_KERNEL:
            continue
        read = dict.fromkeys(v for v in _read(node) if v in banks)
        made = [v for v in node.outputs if v in banks]
        cycles = sum(v.size_bytes * banks[v].read_cycles_per_byte for v in read)
        cycles += sum(v.size_bytes * banks[v].write_cycles_per_byte for v in made)
        if cycles:
            found[node] = device.cycles_us(cycles)
    return found


def _read(node: Node) -> Sequence[Value]:
    if node.op != wire.RECV:
        return node.operands
    return node.operands[:1] if RecvOptions.of(node).local else ()
