# SPDX-License-Identifier: Apache-2.0
"""For the least RAM: blocks that keep few rows, and pairs of blocks that run as one.

A map between two blocks that is larger than all around it bounds the arena; run as one operator, it
never stands in memory, and its halos are computed twice.  Such pairs are one unit of the search::

    image 150 K -> [ block, block ] -> 75 K        the map of 200 K between them is no longer there
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tflsplit.ir import Graph, Node
from tflsplit.ops.fused import block_parts
from tflsplit.plan.spec import NodeSplit
from tflsplit.planner.units import Unit, joined

Splits = tuple[NodeSplit, ...]


def narrowed(graph: Graph, splits: Splits, columns: int) -> Splits:
    """The splits of a unit with windows of columns; its blocks but for the last are chained."""
    made = dict(zip(graph.nodes, splits, strict=True))
    projections = [node for node in graph.nodes if node in block_parts(graph)]
    for project in projections:
        made[project] = replace(made[project], window_columns=columns)
    for project in projections[:-1]:
        made[project] = replace(made[project], chained=True)
    return tuple(made.values())


def chained_inside(splits: Sequence[NodeSplit]) -> frozenset[str]:
    """Names of the nodes whose results live inside chained blocks: halos are computed there."""
    return frozenset(split.node for split in splits if split.chained)


def with_pairs(units: Sequence[Unit]) -> tuple[Unit, ...]:
    """The units, two blocks as one where the map between them is larger than what is around.

    A QUANTIZE of the model's input is one with what follows: the host may send halos of both.
    """
    found: list[Unit] = []
    rest = list(units)
    if len(rest) > 1 and _only_passes_on(rest[0]) and rest[1].inputs == rest[0].outputs:
        first = joined(rest.pop(0), rest.pop(0))  # the host may send halos of what it makes
        pair = bool(rest) and _is_pair(first, rest[0])
        found.append(joined(first, rest.pop(0)) if pair else first)
    while rest:
        unit = rest.pop(0)
        if rest and _is_pair(unit, rest[0]):
            unit = joined(unit, rest.pop(0))
        found.append(unit)
    return tuple(found)


def _only_passes_on(unit: Unit) -> bool:
    """Whether a unit computes value by value, like the QUANTIZE of an image."""
    return len(unit.nodes) == 1 and unit.nodes[0].op == "QUANTIZE" and not unit.returned


def _is_pair(first: Unit, last: Unit) -> bool:
    """Whether two units are blocks, alone, and the tensor between them is larger than the ends."""
    if not all(_is_block(unit.nodes) for unit in (first, last)):
        return False
    (between,), (x,), (y,) = first.outputs, first.inputs, last.outputs
    if first.returned or last.inputs != (between,):
        return False
    return between.size_bytes > max(x.size_bytes, y.size_bytes)


def _is_block(nodes: Sequence[Node]) -> bool:
    """Whether nodes are one block, with neither an ADD nor anything else."""
    graph = Graph("unit", (), (), list(nodes))
    parts = block_parts(graph).get(nodes[-1])
    own = [node for node in nodes if node.op != "QUANTIZE"]
    return parts is not None and {*parts, nodes[-1]} - {None} == set(own)
