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
from tflsplit.ops.own.chain_options import MOST_UNITS
from tflsplit.ops.own.fused import block_parts
from tflsplit.plan.check import MOST_TILES
from tflsplit.plan.shards import tile_factor
from tflsplit.plan.spec import NodeSplit, Way
from tflsplit.planner.ways.chain_lengths import best_length
from tflsplit.planner.ways.units import Unit, joined

Splits = tuple[NodeSplit, ...]


def narrowed(graph: Graph, splits: Splits, columns: int, sweeps: int = 1) -> Splits:
    """The splits of a unit with windows of columns; its blocks but for the last are chained.

    So are their ADDs.  sweeps: of a chain whose input comes row by row (``NodeSplit.sweeps``).
    """
    made = dict(zip(graph.nodes, splits, strict=True))
    projections = list(block_parts(graph))
    for project in projections:
        made[project] = replace(made[project], window_columns=columns)
    for project in projections[:-1]:
        made[project] = replace(made[project], chained=True)
    inner = {project.output for project in projections[:-1]}
    for node in graph.nodes:
        if node.op == "ADD" and inner & set(node.operands):
            made[node] = replace(made[node], chained=True)
    _in_channel_tiles(graph.nodes, made, columns)
    if sweeps > 1 and projections:
        made[projections[-1]] = replace(made[projections[-1]], sweeps=sweeps)
    return tuple(made.values())


def chained_inside(splits: Sequence[NodeSplit]) -> frozenset[str]:
    """Names of the nodes whose results live inside chained blocks: halos are computed there."""
    return frozenset(split.node for split in splits if split.chained)


def with_pairs(units: Sequence[Unit]) -> tuple[Unit, ...]:
    """The units, two blocks as one where the map between them is larger than what is around.

    What passes on the model's input is one with what follows: the host may send halos of both.
    """
    found: list[Unit] = []
    rest = list(units)
    while len(rest) > 2 and _only_passes_on(rest[0]) and _only_passes_on(rest[1]):
        rest[:2] = [joined(rest[0], rest[1])]
    if len(rest) > 1 and _only_passes_on(rest[0]) and rest[1].inputs == rest[0].outputs:
        first = joined(rest.pop(0), rest.pop(0))  # the host may send halos of what it makes
        pair = bool(rest) and _is_pair(first, rest[0])
        found.append(joined(first, rest.pop(0)) if pair else first)
    while rest:
        unit = rest.pop(0)
        if rest and (_is_pair(unit, rest[0]) or _is_averaged(unit, rest[0])):
            unit = joined(unit, rest.pop(0))
        found.append(unit)
    return tuple(found)


def _only_passes_on(unit: Unit) -> bool:
    """Whether a unit computes value by value, like the QUANTIZE of an image, or renames values."""
    return not unit.returned and all(
        node.op == "QUANTIZE" or (node.op == "RESHAPE" and node.input(0).shape == node.output.shape)
        for node in unit.nodes
    )


def _is_pair(first: Unit, last: Unit) -> bool:
    """Whether two units are blocks, alone, and the tensor between them is larger than the ends."""
    if not all(_is_block(unit.nodes) for unit in (first, last)):
        return False
    (between,), (x,), (y,) = first.outputs, first.inputs, last.outputs
    if first.returned or last.inputs != (between,):
        return False
    return between.size_bytes > max(x.size_bytes, y.size_bytes)


def _is_averaged(first: Unit, last: Unit) -> bool:
    """Whether a convolution makes a map larger than what it reads, and its mean follows."""
    if not _are_averaging((*first.nodes, *last.nodes)):
        return False
    (conv,), (x,), (y,) = first.nodes, first.inputs, last.outputs
    is_alone = last.inputs == (conv.output,) and not first.returned
    return is_alone and conv.output.size_bytes > x.size_bytes and y.size == y.shape[-1]


def _are_averaging(nodes: Sequence[Node]) -> bool:
    """A convolution, and the mean of its map for each channel."""
    if [node.op for node in nodes] not in _AVERAGING:
        return False
    y = nodes[-1].output
    return nodes[-1].op == "MEAN" or y.size == y.shape[-1]


_AVERAGING = (["CONV_2D", "MEAN"], ["CONV_2D", "AVERAGE_POOL_2D"])


def _in_channel_tiles(nodes: Sequence[Node], made: dict[Node, NodeSplit], columns: int) -> None:
    """A convolution and the mean of its map, some channels at a time: the map is never there whole.

    x --> CONV_2D, channels 0:320 --> MEAN --.
      --> CONV_2D, channels 320:640 -> MEAN -+--> y

    Where its positions are shared out, each device so with its own (``passes/sums_in_parts.py``).
    """
    if not _are_averaging(nodes):
        return
    conv, mean = nodes
    ways = {made[node].way for node in nodes}
    if ways <= {Way.WHOLE, Way.REPLICATED} and tile_factor(mean, made[mean]) is not None:
        tiles = _FEW_TILES if columns > 1 else MOST_TILES
        made[conv] = replace(made[conv], streamed=True)
        made[mean] = replace(made[mean], gather_tiles=tiles)
    elif made[mean].scatter_factor:
        made[conv] = replace(made[conv], chained=True)


_FEW_TILES = 5  # each is two operators more


def _is_block(nodes: Sequence[Node]) -> bool:
    """Whether nodes are one block, with neither an ADD nor anything else."""
    graph = Graph("unit", (), (), list(nodes))
    parts = block_parts(graph).get(nodes[-1])
    own = [node for node in nodes if node.op not in ("QUANTIZE", "RESHAPE")]
    return parts is not None and {*parts, nodes[-1]} - {None} == set(own)


def block_count(graph: Graph) -> int:
    """Of a unit."""
    return len(block_parts(graph))


def with_chain(units: Sequence[Unit], world_size: int) -> tuple[Unit, ...] | None:
    """The units with the first blocks as one, so many that the arena is about the smallest.

    None where the model does not begin with two blocks that can be a chain.
    """
    first = next((n for n, unit in enumerate(units) if not _only_passes_on(unit)), 0)
    lengths = [0, *(_length(unit) for unit in units[first:])]
    most = next((n for n, length in enumerate(lengths[1:]) if not length), len(lengths) - 1)
    if most < _FEWEST:
        return None
    most = min(most, MOST_UNITS)
    rests = {n: with_pairs(units[first + n :]) for n in range(_FEWEST, most + 1)}
    best = best_length(units[first : first + most], rests, world_size)
    head = units[0]
    for unit in units[1 : first + best]:
        head = joined(head, unit)
    return (head, *rests[best])


_FEWEST = 2


def _length(unit: Unit) -> int:
    """1 of a unit that is one block, perhaps with an ADD of what the unit reads; else 0."""
    parts = block_parts(unit.graph)
    if len(parts) != 1 or unit.returned or len(unit.inputs) != 1 or len(unit.outputs) != 1:
        return 0
    ((project, inner),) = parts.items()
    rest = [node for node in unit.nodes if node not in {project, *inner}]
    if not rest:
        return 1
    operands = {project.output, unit.inputs[0]}
    return int(len(rest) == 1 and rest[0].op == "ADD" and set(rest[0].operands) == operands)
