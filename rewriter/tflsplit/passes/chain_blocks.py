# SPDX-License-Identifier: Apache-2.0
"""Fused blocks that keep few rows, and two of them as one.

    before   x -- TFLSPLIT_FUSED_BLOCK --> a -- TFLSPLIT_FUSED_BLOCK --> y
    after    x -- TFLSPLIT_FUSED_BLOCK with the first as its first unit --> y

where nothing else reads ``a``, which then never stands in memory: its rows are made as those of y
need them.  Only blocks for which windows of columns are wanted are changed, and of two of them the
first only if it is to be chained.  Where a condition of the operator is not met (several batches, a
sum that is added, an expansion of the second that is not 1x1) blocks stay as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from tflsplit.ir import Graph, Node
from tflsplit.ops.own.custom_options import WindowOptions
from tflsplit.ops.own.fused import chained
from tflsplit.ops.own.fused_options import FusedOptions
from tflsplit.wire import custom_ops as wire


def chain_blocks(graph: Graph, windows: Mapping[str, int], chains: Collection[str]) -> Graph:
    """The graph with such blocks, all explicit.

    windows: columns of a window, by the name of the block; chains: names of blocks that are to be
        run inside the one that reads them.
    """
    readers, made = graph.consumers(), dict[Node, Node]()
    producers = graph.producers()
    gone: set[Node] = set()
    for node in graph.nodes:
        columns = windows.get(node.name, 0)
        if node.op != wire.FUSED_BLOCK or not columns or node.output.shape[0] != 1:
            continue
        first = producers.get(node.input(0))
        if (
            first is not None
            and first.name in chains
            and readers[first.output] == [node]
            and first.output not in graph.outputs
            and _fit(made.get(first, first), node)
        ):
            gone.add(first)
            made[node] = chained(first, node, columns)
        elif FusedOptions.of(node).expand is not None:
            made[node] = _windowed(node, columns)
    nodes = [made.get(node, node) for node in graph.nodes if node not in gone]
    return replace(graph, nodes=nodes)


def _fit(first: Node, last: Node) -> bool:
    if first.op != wire.FUSED_BLOCK:
        return False
    before, own = FusedOptions.of(first), FusedOptions.of(last)
    plain = own.expand is None or (
        last.input(1).shape[1:3] == (1, 1) and own.expand.window == WindowOptions()
    )
    return plain and before.add is None and own.add is None and not before.sums and not before.first


def _windowed(node: Node, columns: int) -> Node:
    options = replace(FusedOptions.of(node), tile_columns=0, window_columns=columns)
    return replace(node, attrs=wire.encode(wire.FUSED_BLOCK, options.attrs()))
