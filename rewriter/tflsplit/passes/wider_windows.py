# SPDX-License-Identifier: Apache-2.0
"""Blocks that keep few rows make as many columns at a time as cost the arena nothing.

    step        1     2     3     4               plan: each block one column at a time
    head   =========================            the arena is as large as at its fullest step
           |     |#####|     |     |
           |#####|#####|##+++|###++|            +: memory that steps 3 and 4 may have as well
           `-----'-----'-----'-----'

What is left over below the head of the fullest step goes to windows, up to whole rows, and up to a
block that keeps all rows under its window, which is quickest.  A chain's units are as wide as one
of them (``chain_layout``), so it is widened as a whole.  The arena is planned anew, and what makes
it larger is taken back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from tflsplit.ir import Graph, Node
from tflsplit.memory.abi import HOST_64
from tflsplit.memory.arena import predict_arena
from tflsplit.memory.better import live_bytes, plan_offline
from tflsplit.memory.demand import Kernels, node_demand
from tflsplit.memory.offline import METADATA_NAME
from tflsplit.ops.own.scratch import POSITIONS
from tflsplit.wire import custom_ops as wire


def wider_windows(graph: Graph, checked: bool = True) -> Graph:
    """The graph, of packed constants, with such windows and planned offsets.

    checked: as of ``plan_offline``.
    """
    metadata = {key: value for key, value in graph.metadata.items() if key != METADATA_NAME}
    bare = replace(graph, metadata=metadata)
    planned = plan_offline(bare, checked)
    if not any(_columns(node) for node in graph.nodes):
        return planned
    most = _head_bytes(planned)
    wider = {
        node: widest
        for node, live in zip(bare.nodes, live_bytes(bare)[1:], strict=True)
        if (widest := _widest(node, most - live)) is not node
    }
    return _as_many(bare, planned, wider, {}, most, checked)[0]


def _as_many(
    graph: Graph,
    planned: Graph,
    wider: Mapping[Node, Node],
    accepted: dict[Node, Node],
    most: int,
    checked: bool,
) -> tuple[Graph, dict[Node, Node]]:
    """Of some nodes all that leave the head as it is: all at once, or else by halves."""
    if not wider:
        return planned, accepted
    tried = {**accepted, **wider}
    nodes = [tried.get(node, node) for node in graph.nodes]
    other = plan_offline(replace(graph, nodes=nodes), checked)
    if _head_bytes(other) <= most:
        return other, tried
    if len(wider) > 1:
        half = len(wider) // 2
        for some in (list(wider)[:half], list(wider)[half:]):
            part = {node: wider[node] for node in some}
            planned, accepted = _as_many(graph, planned, part, accepted, most, checked)
    return planned, accepted


_FLAVOURS: tuple[Kernels, ...] = ("reference", "cmsis_nn", "cmsis_nn_mve")


def _head_bytes(graph: Graph) -> int:
    """Of whichever of TFLM's kernels need most."""
    return max(predict_arena(graph, kernels=flavour).head_bytes for flavour in _FLAVOURS)


def _columns(node: Node) -> int:
    """At a time; 0 of what keeps all rows, and of any other operator."""
    if not node.is_custom or node.op not in (wire.FUSED_BLOCK, wire.CHAIN):
        return 0
    return node.attrs.integer("window_columns", 0)


def _widest(node: Node, spare_bytes: int) -> Node:
    """The node as wide as so many bytes more allow."""
    if not (columns := _columns(node)) or spare_bytes <= 0:
        return node
    limit = _scratch(node) + spare_bytes
    wider = (replace(node, attrs=node.attrs.replace(window_columns=c)) for c in _ways(node))
    for other in wider:
        if _columns(other) == columns:
            return node
        if _scratch(other) <= limit:
            return other
    return node


def _ways(node: Node) -> Iterator[int]:
    """Columns at a time, the quickest first; 0: all rows are kept."""
    if node.op == wire.FUSED_BLOCK and not node.attrs.integers("first_depthwise"):
        yield 0
    whole = node.output.shape[2]
    yield whole
    yield from range((whole - 1) // POSITIONS * POSITIONS, POSITIONS, -POSITIONS)
    yield from range(min(POSITIONS, whole - 1), 0, -1)


def _scratch(node: Node) -> int:
    return sum(node_demand(node, HOST_64, "reference").prepared.scratch)
