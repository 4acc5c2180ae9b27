# SPDX-License-Identifier: Apache-2.0
"""Blocks one after the other as one operator, and the input of the first of them row by row.

    before   RECV x -- QUANTIZE --> q -- FUSED_BLOCK --> a -- FUSED_BLOCK --> b -- FUSED_BLOCK --> y
    after    RECV (some rows of x at a time) ----------------- TFLSPLIT_CHAIN -------------------> y

where nothing else reads q, a and b, which then never stand in memory.  x is *rolling* where it
comes from the host, whole and for these blocks alone: then it is asked for piece by piece as rows
are needed, column tile by column tile.  Two blocks whose x is there whole stay as they are:
``chain_blocks`` makes one block of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tflsplit.ir import DType, Graph, Node, Quantization, Value
from tflsplit.ops import Box
from tflsplit.ops.own.chain import chain
from tflsplit.ops.own.chain_layout import (
    UnitSizes,
    piece_rows,
    pieces_between,
    rolling_shape,
    tiled,
)
from tflsplit.ops.own.chain_options import MOST_UNITS, Rolling
from tflsplit.ops.own.custom_options import RecvOptions, WindowOptions
from tflsplit.ops.own.fused import RESIDUAL
from tflsplit.ops.own.fused_options import FusedOptions
from tflsplit.ops.own.middle import middle_of, middle_problem
from tflsplit.ops.own.packed import packed
from tflsplit.plan.spec import NodeSplit
from tflsplit.wire import custom_ops as wire

_CHANNELS = 0xF000  # behind the last one of a piece (docs/cluster_protocol.md, Channels)


@dataclass(frozen=True)
class Run:
    """Blocks that are to be one operator.

    slices: what cuts residuals out of their x; before: the RECV from the host and the QUANTIZE that
        make the x of the first, if that is to be rolling.
    """

    blocks: tuple[Node, ...]
    slices: tuple[Node, ...]
    before: tuple[Node, ...]

    @property
    def nodes(self) -> frozenset[Node]:
        """All of them."""
        return frozenset((*self.blocks, *self.slices, *self.before))


def slices_first(graph: Graph, splits: Mapping[str, NodeSplit]) -> Graph:
    """The graph with what a chained ADD cuts out of a unit's x cut out as soon as that is there.

    ``fuse_blocks`` takes an ADD into a block only if what is added is there before.
    """
    producers, readers = graph.producers(), graph.consumers()
    early: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        made = producers.get(node.input(0)) if node.op == "SLICE" else None
        adds = [n for n in readers[node.output] if n.op == "ADD"] if made else []
        if made and any(n.name in splits and splits[n.name].chained for n in adds):
            early.setdefault(made, []).append(node)
    moved = {node for nodes in early.values() for node in nodes}
    nodes = [n for node in graph.nodes if node not in moved for n in (node, *early.get(node, ()))]
    return replace(graph, nodes=nodes)


def find_runs(graph: Graph, splits: Mapping[str, NodeSplit], host_rank: int) -> list[Run]:
    """The runs of an explicit graph; ``splits``: by the name of the block."""
    readers, producers = graph.consumers(), graph.producers()
    runs, taken = list[Run](), set[Node]()
    for node in graph.nodes:
        if node in taken or node.op != wire.FUSED_BLOCK or not _is_chained(node, splits):
            continue
        blocks, slices = [node], list[Node]()
        while _is_chained(blocks[-1], splits) and len(blocks) < MOST_UNITS:
            after = _only_reader(blocks[-1].output, readers, producers, graph)
            if after is None or not _follows(after[0], blocks[-1].output):
                break
            blocks.append(after[0])
            slices += after[1]
        if len(blocks) < 2 or not all(map(_is_unit, blocks)):
            continue
        before = _rolling(blocks[0], readers, producers, graph, host_rank)
        run = Run(tuple(blocks), tuple(slices), before if _is_closed(graph, before, blocks) else ())
        if len(blocks) > 2 or run.before:
            runs.append(run)
            taken |= run.nodes
    return runs


def _is_chained(block: Node, splits: Mapping[str, NodeSplit]) -> bool:
    return block.name in splits and splits[block.name].chained


def _only_reader(
    made: Value,
    readers: Mapping[Value, list[Node]],
    producers: Mapping[Value, Node],
    graph: Graph,
) -> tuple[Node, list[Node]] | None:
    """The block that alone reads a value, and what cuts its residual out of it."""
    found = readers[made]
    blocks = [node for node in found if node.op == wire.FUSED_BLOCK and node.input(0) is made]
    others = [node for node in found if node not in blocks]
    if len(blocks) != 1 or made in graph.outputs:
        return None
    block = blocks[0]
    residual = block.inputs[RESIDUAL] if len(block.inputs) > RESIDUAL else None
    if residual is None or residual is made:
        return None if others else (block, [])
    cut = producers.get(residual)
    if cut is None or others != [cut] or readers[residual] != [block]:
        return None
    return (block, [cut]) if _cuts_middle(cut, block) else None


def _cuts_middle(cut: Node, block: Node) -> bool:
    """Whether a SLICE takes of the block's x what lies under the middle of its windows."""
    if cut.op != "SLICE" or cut.input(0) is not block.input(0):
        return False
    place, begin = middle_of(_adding_x(block), block.input(0)), cut.input(1).data
    return place is not None and begin is not None and tuple(begin) == (0, *place, 0)


def _adding_x(block: Node) -> Node:
    if len(block.inputs) <= RESIDUAL or block.inputs[RESIDUAL] is None:
        return block
    inputs = (*block.inputs[:RESIDUAL], block.input(0), *block.inputs[RESIDUAL + 1 :])
    return replace(block, inputs=inputs)


def _follows(block: Node, x: Value) -> bool:
    expand = FusedOptions.of(block).expand
    if expand is None:
        return block.input(0) is x
    return expand.window == WindowOptions() and block.input(1).shape[1:3] == (1, 1)


def _is_unit(block: Node) -> bool:
    options, taps = FusedOptions.of(block), block.input(5).shape
    window = options.depthwise.window
    adds = options.add is None or (
        _adding_x(block).input(0).shape == block.output.shape
        or middle_problem(_adding_x(block)) is None
    )
    return (
        adds
        and not (options.sums or options.tile_columns or options.first)
        and block.output.shape[0] == 1
        and window.stride[0] <= (taps[1] - 1) * window.dilation[0] + 1
    )


def _rolling(
    first: Node,
    readers: Mapping[Value, list[Node]],
    producers: Mapping[Value, Node],
    graph: Graph,
    host_rank: int,
) -> tuple[Node, ...]:
    """What makes the first block's x out of one box of the host's; () if something else does."""
    x, found = first.input(0), list[Node]()
    while (made := producers.get(x)) is not None and _is_read_through(made):
        found.insert(0, made)
        x = made.input(0)
    receives = producers.get(x)
    if receives is None or receives.op != wire.RECV or len(graph.inputs) > 0:
        return ()
    reading = [*found, first]
    if any(readers[node.input(0)] != [node] for node in reading):
        return ()
    options = RecvOptions.of(receives)
    sources = [piece.source for piece in options.pieces]
    if sources != [host_rank] or options.local is not None or x.dtype.itemsize != 1:
        return ()
    return (receives, *found)


def _is_read_through(node: Node) -> bool:
    """Whether the bytes stay, or all of them become int8 (``fold_identities``)."""
    if node.op == "RESHAPE":
        return node.input(0).shape == node.output.shape
    return node.op == "QUANTIZE" and _is_sign_flip(node)


def _is_sign_flip(quantize: Node) -> bool:
    """uint8 to int8 of the same scale."""
    x, y = quantize.input(0), quantize.output
    if (x.dtype, y.dtype) != (DType.UINT8, DType.INT8) or None in (x.quantization, y.quantization):
        return False
    assert x.quantization is not None
    assert y.quantization is not None
    same = x.quantization.scales == y.quantization.scales
    return same and x.quantization.zero_point == y.quantization.zero_point + 128


def _is_closed(graph: Graph, before: Sequence[Node], blocks: Sequence[Node]) -> bool:
    """Whether no other node lies between a RECV and the last block, and no other asks the host."""
    if not before:
        return False
    nodes = graph.nodes
    start, stop = nodes.index(before[0]), nodes.index(blocks[-1])
    known = {*before, *blocks}
    others = [n for n in nodes[start:stop] if n not in known and n.op != "SLICE"]
    (piece,) = RecvOptions.of(before[0]).pieces
    asked = [
        n for n in nodes if n.op == wire.RECV and n.outputs
        and piece.source in {p.source for p in RecvOptions.of(n).pieces}
    ]  # fmt: skip
    return not others and asked == [before[0]]


def chain_units(graph: Graph, splits: Mapping[str, NodeSplit], host_rank: int) -> Graph:
    """The graph with every run as one operator."""
    made: dict[Node, list[Node]] = {}
    for run in find_runs(graph, splits, host_rank):
        made.update({node: [] for node in run.nodes})
        made[run.blocks[-1]] = _chain(run, splits[run.blocks[-1].name])
    nodes = [new for node in graph.nodes for new in made.get(node, [node])]
    return replace(graph, nodes=nodes)


def _chain(run: Run, split: NodeSplit) -> list[Node]:
    blocks = [packed(_plain(block)) for block in run.blocks]
    windows, name = max(1, split.window_columns), run.blocks[-1].name
    if not run.before:
        return [chain(blocks, windows, name=name)]
    receives, x = run.before[0], run.before[0].output
    units = [UnitSizes.of(block) for block in blocks]
    tile = -(-units[-1].y[1] // split.sweeps)
    tiles = tiled(units, windows, tile if split.sweeps > 1 else 0)
    rolling = Rolling(x.shape[1], x.shape[2], piece_rows(units, tiles))
    shape = rolling_shape(units, tiles, rolling.piece_rows)
    memory = Value(f"{x.name}/rows", shape, x.dtype, _quantization(x, blocks[0].input(0)))
    node = chain(blocks, windows, tile if split.sweeps > 1 else 0, rolling, memory, name)
    return [_in_pieces(receives, memory, list(pieces_between(rolling, tiles))), node]


def _quantization(x: Value, read: Value) -> Quantization | None:
    """Of x, so that ``read`` is what the first block reads of it: uint8 as int8."""
    quantization = read.quantization
    if x.dtype is not DType.UINT8 or quantization is None:
        return quantization
    points = tuple(point + 128 for point in quantization.zero_points)
    return Quantization(quantization.scales, points, quantization.axis)


def _plain(block: Node) -> Node:
    """The block, adding its own x, without what is said of its windows."""
    options = replace(FusedOptions.of(block), window_columns=0)
    return replace(_adding_x(block), attrs=wire.encode(wire.FUSED_BLOCK, options.attrs()))


def _in_pieces(
    receives: Node, memory: Value, pieces: Sequence[tuple[tuple[int, int], tuple[int, int]]]
) -> Node:
    """The RECV with its one box in pieces, which the next node takes one by one."""
    options = RecvOptions.of(receives)
    (batch, top, left, depth), whole = options.origin, options.pieces[0]
    channels = memory.shape[3]
    boxes = [
        Box(
            (
                (batch, batch + 1),
                _moved(rows, top),
                _moved(columns, left),
                (depth, depth + channels),
            )
        )
        for rows, columns in pieces
    ]
    attrs = {
        **wire.decode(receives),
        "channels": tuple(range(_CHANNELS - len(boxes), _CHANNELS)),
        "from": (whole.source,) * len(boxes),
        "boxes": tuple(int(bound) for box in boxes for bound in box.flat()),
        "early": 2,
    }
    return replace(receives, outputs=(memory,), attrs=wire.encode(wire.RECV, attrs))


def _moved(interval: tuple[int, int], by: int) -> tuple[int, int]:
    return interval[0] + by, interval[1] + by
