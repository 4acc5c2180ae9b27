# SPDX-License-Identifier: Apache-2.0
"""A device graph as it goes into flash: the same network, without what only people read.

::

    weights  name, per-channel scales ─┐                weights ─┐
    x        name, scale, zero point  ─┼─ CONV_2D  ==>  x  scale, zero point ─┼─ CONV_2D
    options  tensor: 'a/long/name'    ─┘                options  tensor: 'name' ─┘

Tensors, nodes, their order, shapes, types, contents and everything that a kernel reads stay, so
TFLM computes the same bits in the same arena (tests/firmware/test_model.py runs both).
"""

from __future__ import annotations

from tflsplit.bundle.folder import METADATA
from tflsplit.ir import Attrs, Graph, Node, Value
from tflsplit.memory.offline import METADATA_NAME
from tflsplit.tflite import write_model
from tflsplit.tflite.extras import METADATA_BUFFERS, REPEATED_METADATA, SIGNATURES, SUBGRAPHS
from tflsplit.wire import custom_ops as wire

NAME_CHARACTERS = 24
"""What is left of a tensor's name in the options of SEND and RECV: its end, for error messages."""

_FOR_PEOPLE = (SIGNATURES, METADATA_BUFFERS, REPEATED_METADATA, "description")
_KEPT_METADATA = (METADATA, METADATA_NAME)


def flash_model(graph: Graph) -> bytes:
    """The .tflite file for the device; ``graph`` carries its mark already."""
    if SUBGRAPHS in graph.file_extra:
        return write_model(graph)  # control flow refers to its parts in ways that are not ours
    return write_model(stripped(graph))


def stripped(graph: Graph) -> Graph:
    """A copy without names, signatures, and scales that no kernel reads."""
    unread = _unread_scales(graph)
    copies = {value: _copy(value, value in unread) for value in graph.values()}
    nodes = [
        Node(
            node.op,
            tuple(None if value is None else copies[value] for value in node.inputs),
            tuple(copies[value] for value in node.outputs),
            _short(node),
            str(index),
            node.version,
            node.is_custom,
            node.file_extra,
        )
        for index, node in enumerate(graph.nodes)
    ]
    extra = {key: item for key, item in graph.file_extra.items() if key not in _FOR_PEOPLE}
    return Graph(
        "",
        tuple(copies[value] for value in graph.inputs),
        tuple(copies[value] for value in graph.outputs),
        nodes,
        {key: blob for key, blob in graph.metadata.items() if key in _KEPT_METADATA},
        Attrs(extra),
    )


def _copy(value: Value, is_unread: bool) -> Value:
    return Value(
        "",
        value.shape,
        value.dtype,
        None if is_unread else value.quantization,
        value.data,
        value.is_variable,
        value.file_extra,
    )


def _unread_scales(graph: Graph) -> set[Value]:
    """Constants of our own operators: these take multipliers, not scales."""
    read_by_stock = {v for node in graph.nodes if not wire.is_ours(node) for v in node.operands}
    ours = {v for node in graph.nodes if wire.is_ours(node) for v in node.operands}
    outside = {*graph.inputs, *graph.outputs}
    return {v for v in ours - read_by_stock - outside if v.is_constant}


def _short(node: Node) -> Attrs:
    if node.op not in (wire.SEND, wire.RECV, wire.ASK):
        return node.attrs
    return node.attrs.replace(tensor=str(node.attrs["tensor"])[-NAME_CHARACTERS:])
