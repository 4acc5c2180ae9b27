# SPDX-License-Identifier: Apache-2.0
"""A plan whose inputs the host keeps: what first reads them does so in tiles of rows.

before   image -- all of it --> QUANTIZE --> block 1 ------------> map
after    host -- rows 0:35 --> QUANTIZE --> block 1, rows 0:16 --.
         host -- rows 29:67 -> QUANTIZE --> block 1, rows 16:32 -+--> map
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tflsplit.ir import Graph, Node, Value
from tflsplit.ops.fused import block_parts
from tflsplit.plan.spec import NodeSplit, Plan, Way

_DEEPEST = 9
"""Layers from the input on that tiles may reach: QUANTIZE, PAD and a block, or two in one."""
_WAYS = {Way.ROWS, Way.COLUMNS, Way.WHOLE, Way.REPLICATED}


def in_tiles(graph: Graph, plan: Plan, tiles: int) -> Plan:
    """The plan with all inputs streamed, the first layers behind each of them in tiles."""
    splits = plan.by_node()
    if tiles > 1:
        for value in graph.inputs:
            chain = _chain(graph, value, splits)
            for node in chain[:-1]:
                splits[node.name] = replace(splits[node.name], streamed=True, extents=())
            if chain:
                splits[chain[-1].name] = replace(splits[chain[-1].name], gather_tiles=tiles)
    return replace(plan, splits=tuple(splits.values()), stream=True)


def _chain(graph: Graph, value: Value, splits: dict[str, NodeSplit]) -> list[Node]:
    """The layers from an input to the end of the first block, each read by the next one only.

    Of the first two, if the second runs the first (``NodeSplit.chained``).  To the first layer with
    weights, if no block ends within reach; [] if that is divided by channels, or not the only one
    that reads.
    """
    blocks = block_parts(graph)
    chain: list[Node] = []
    for node in _read_alone(graph, value):
        ways = {splits[each.name].way for each in (*chain, node)}
        if len(ways) > 1 or not ways <= _WAYS or splits[node.name].tiles > 1:
            break
        chain.append(node)
        if node in blocks and not splits[node.name].chained:
            return chain
    weighted = (
        index for index, node in enumerate(chain, 1) if any(v.is_constant for v in node.operands)
    )
    return chain[: next(weighted, 0)]


def _read_alone(graph: Graph, value: Value) -> Iterator[Node]:
    """The only node that reads a tensor, the only one that reads its result, and so on."""
    for _ in range(_DEEPEST):
        readers = [node for node in graph.nodes if value in node.operands]
        if len(readers) != 1 or len(readers[0].outputs) != 1 or value in graph.outputs:
            return
        yield readers[0]
        value = readers[0].output
