# SPDX-License-Identifier: Apache-2.0
"""What a node does, in the units that a device's cycles are given for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from tflsplit.cluster import Family
from tflsplit.ir import Graph, Node
from tflsplit.ops import Kind, rule_of
from tflsplit.ops.own import unweighted
from tflsplit.ops.own.chain import blocks_of
from tflsplit.ops.own.chain_layout import columns_made
from tflsplit.ops.own.custom_options import WindowOptions
from tflsplit.ops.own.fused import unfused
from tflsplit.ops.own.fused_options import FusedOptions
from tflsplit.ops.own.packed import unpacked
from tflsplit.ops.own.scratch import CHUNK_COLUMNS, keeps_rows
from tflsplit.ops.stock.elementwise import flips_signs
from tflsplit.plan.cost.families import PER_MAC, WEIGHTS, family_of
from tflsplit.plan.cost.swept import Begun, begun_by_block, begun_by_chain
from tflsplit.wire import custom_ops as wire

_SUM_VALUES = 10
"""What beginning and storing a sum takes, in values added to it: 18 instructions a sum of 7 values,
150 of one of 125, counted on the emulated Cortex-M7."""
_ADD_MADE = 1.25
"""An ADD of our own in values that are made, 10 instructions to 8."""
_FLIPPED = 3.6
"""A sign that a QUANTIZE flips, in bytes that are moved (``boards.toml``)."""


@dataclass(frozen=True)
class Work:
    """So much of one family.

    amount: multiply-accumulates; of OTHER and COPY, bytes; of the parts beside multiply-accumulates
        values, or rows, as ``Cycles`` says; of SUM, values that are added up.
    """

    family: Family
    amount: float


def piece_work(
    node: Node, macs: int, output_bytes: int, channels: int | None = None, stock: bool = False
) -> tuple[Work, ...]:
    """The work of a piece of ``node`` with so many multiply-accumulates and bytes of results.

    channels: of the piece's results; None: those of the node.  stock: a convolution runs on TFLM's
    kernels.  An operator without multiply-accumulates is counted by what it makes or by what it
    reads, whichever is more: MEAN reads 49 values for each that it makes.
    """
    family = family_of(node)
    if stock and family in PER_MAC:
        values = output_bytes // node.outputs[0].dtype.itemsize
        return tuple(_stock_work(node, macs, values, channels or node.output.shape[-1]))
    if node.op == wire.PARTIAL_SUM:
        return (sum_work(node.input(0).size, output_bytes // node.output.dtype.itemsize),)
    if node.op in unweighted.OPS or (not stock and unweighted.may_be_ours(node)):
        return tuple(_unweighted_work(node, output_bytes))
    if flips_signs(node):
        return (Work(Family.COPY, _FLIPPED * output_bytes),)
    if family in (Family.OTHER, Family.COPY):
        return (Work(family, output_bytes * _reads_per_result(node)),)
    values = output_bytes // node.outputs[0].dtype.itemsize
    if family in (Family.REQUANTIZE, Family.ADD):
        return (Work(family, values),)
    beside = _BESIDE.get(family)
    if beside is None:
        return (Work(family, macs),)
    return (Work(family, macs), *beside(node, macs, values, channels or node.output.shape[-1]))


def _stock_work(node: Node, macs: int, values: int, channels: int) -> Iterator[Work]:
    """Of TFLM's own int8 convolution or dense layer.

    For every channel it adds up all its weights first; a larger window than 1x1 is copied at each
    position, pixel by pixel, two bytes a value.
    """
    family = family_of(node)
    if family is Family.FULLY_CONNECTED or not values:
        yield Work(Family.TFLM, macs)
    elif family is Family.DEPTHWISE:
        yield Work(Family.TFLM_DEPTHWISE, macs)
    else:
        yield Work(Family.TFLM_CONV, macs)
        yield Work(Family.TFLM_MADE, values)
        if family is Family.CONV:
            yield Work(Family.TFLM_READ, macs / channels)
            pixels = math.prod(node.input(WEIGHTS).shape[1:3])
            yield Work(Family.TFLM_GATHER, values / channels * pixels)
        yield Work(Family.TFLM_WEIGHT, macs / values * channels)


def _unweighted_work(node: Node, values: int) -> Iterator[Work]:
    """Of so many results of an ADD, MEAN or pool of our own.

    An ADD is a sum that is finished, and two values that are looked up.
    """
    under = unweighted.values_under(node)
    if under:
        yield sum_work(under * values, values)
    yield Work(Family.MADE, values if under else _ADD_MADE * values)


def sum_work(values: int, sums: int) -> Work:
    """Of int8 values that a PARTIAL_SUM adds up to so many sums."""
    return Work(Family.SUM, values + _SUM_VALUES * sums)


def _beside_depthwise(node: Node, macs: int, values: int, channels: int) -> Iterator[Work]:
    """Rows of channels, and the values under them: ``stride`` of them for each result."""
    columns = node.output.shape[2]
    stride = _stride(node)
    yield Work(Family.PLANE_ROW, values / columns)
    yield Work(Family.PLANE_INPUT, values * stride[0] * stride[1])


def _beside_pointwise(node: Node, macs: int, values: int, channels: int) -> Iterator[Work]:
    """Each value of a window is multiplied for every channel, and prepared once."""
    yield Work(Family.MADE, values)
    yield Work(Family.READ, macs / channels)


def _beside_conv(node: Node, macs: int, values: int, channels: int) -> Iterator[Work]:
    yield from _beside_pointwise(node, macs, values, channels)
    yield Work(Family.GATHER, values / channels * node.input(WEIGHTS).shape[1])


def _beside_dense(node: Node, macs: int, values: int, channels: int) -> Iterator[Work]:
    yield Work(Family.MADE, values)


_BESIDE = {
    Family.FULLY_CONNECTED: _beside_dense,
    Family.CONV: _beside_conv,
    Family.POINTWISE: _beside_pointwise,
    Family.DEPTHWISE: _beside_depthwise,
}


def _stride(node: Node) -> tuple[int, int]:
    if node.is_custom:
        return WindowOptions.of(node).stride
    return int(node.attrs["stride_h"]), int(node.attrs["stride_w"])  # type: ignore[arg-type]


def work_of(node: Node) -> tuple[Work, ...]:
    """All the work of a node of a device graph, stock or ours; () of a SEND or ASK, which only say.

    A stock operator runs on TFLM's own kernel: convolutions of a model that is not split.
    """
    if node.op in (wire.SEND, wire.ASK) or not node.outputs:
        return ()
    if node not in _KNOWN:
        _KNOWN[node] = _work_of(unpacked(node, sizes_only=True))
    return _KNOWN[node]


_KNOWN: WeakKeyDictionary[Node, tuple[Work, ...]] = WeakKeyDictionary()
"""Of nodes of device graphs, which are asked for by what predicts and what simulates."""


def _work_of(node: Node) -> tuple[Work, ...]:
    if node.op == wire.CHAIN:
        return tuple(_chain_work(node))
    if node.op == wire.FUSED_BLOCK:
        stages = unfused(node)
        if not FusedOptions.of(node).window_columns:
            return tuple(_block_work(stages, keeps_rows(node)))
        last = _last_unit(stages)
        of_first = _block_work(stages[:last], keeps=True) if last else ()
        return (*of_first, *_swept_work(stages[last:], begun_by_block(node)))
    output_bytes = sum(value.size_bytes for value in node.outputs)
    return piece_work(node, _macs(node), output_bytes, stock=not node.is_custom)


def stock_work(node: Node) -> tuple[Work, ...]:
    """What TFLM's own kernel would do in the place of an explicit convolution of ours."""
    return piece_work(node, _macs(node), node.output.size_bytes, stock=True)


def least_work(node: Node, macs: int, output_bytes: int) -> tuple[Work, ...]:
    """What of a node of a whole graph is done somewhere whatever becomes of it.

    Inside a fused block a depthwise stage finds its input where the expansion put it; what only
    moves bytes may go altogether, into other padding or offsets; an ADD costs least inside a block.
    All else of the node's work is done once at least: pieces cover its results, and partial sums
    its products.
    """
    if not macs and any(f.kind is Kind.REDUCTION for f in rule_of(node).factors(node)):
        return ()  # as sums of parts it takes another kernel, for a fraction of the time
    work = piece_work(node, macs, output_bytes)
    spared = Family.PLANE_INPUT, Family.COPY
    return tuple(
        Work(Family.MADE, 2 * each.amount) if each.family is Family.ADD else each
        for each in work
        if each.family not in spared
    )


def _block_work(stages: Sequence[Node], keeps: bool) -> Iterator[Work]:
    """Of a fused block: its stages', but the depthwise stage has its input otherwise.

    An expansion makes the rows that the window needs in place, each once.  Without one they are
    copied: each once too, where few bytes hold them, else for each row of the result.  Wide rows
    are made by chunks.
    """
    expands = family_of(stages[0]) is not Family.DEPTHWISE
    for stage in stages:
        if stage.op == "SLICE":  # a residual is read where it lies in x
            continue
        for work in work_of(stage):
            if work.family is Family.PLANE_ROW:
                chunks = math.ceil(stage.output.shape[2] / CHUNK_COLUMNS)
                yield Work(work.family, work.amount * chunks)
            elif work.family is Family.ADD:  # inside a block as much as two sums that are finished
                yield Work(Family.MADE, 2 * work.amount)
            elif work.family is not Family.PLANE_INPUT:
                yield work
            elif not expands:
                rows, stride = stage.input(WEIGHTS).shape[1], _stride(stage)
                again = 1 if keeps else rows / stride[0]
                yield Work(work.family, work.amount * again)


def chain_stages(node: Node) -> Iterator[list[tuple[Node, float]]]:
    """Of each block of a chain its stages, and how often on average their columns are made."""
    for block, (inner, outer) in zip(
        blocks_of(node, sizes_only=True), columns_made(node), strict=True
    ):
        stages = unfused(unpacked(block, sizes_only=True))
        expands = family_of(stages[0]) is not Family.DEPTHWISE
        yield [(stage, inner if expands and not at else outer) for at, stage in enumerate(stages)]


def _swept_work(stages: Sequence[Node], begun: Begun) -> Iterator[Work]:
    """Of a block of which few rows are kept."""
    for work in _block_work(stages, keeps=True):
        yield replace(work, amount=begun.runs) if work.family is Family.PLANE_ROW else work
    yield from (Work(Family.RUN, begun.fresh), Work(Family.APART, begun.apart))


def _last_unit(stages: Sequence[Node]) -> int:
    """Where that of two blocks as one begins; 0 of one."""
    projections = [at for at, stage in enumerate(stages) if family_of(stage) is Family.DEPTHWISE]
    return projections[0] + 2 if len(projections) > 1 else 0


def _chain_work(node: Node) -> Iterator[Work]:
    """Of a chain: its blocks', and again what tiles of columns have in common."""
    for timed, begun in zip(chain_stages(node), begun_by_chain(node), strict=True):
        (first, inner), (_, outer) = timed[0], timed[-1]
        of_first = len(work_of(first))
        for number, work in enumerate(_swept_work([stage for stage, _ in timed], begun)):
            again = inner if number < of_first else outer
            is_all = work.family in (Family.PLANE_ROW, Family.RUN, Family.APART)
            yield work if is_all else Work(work.family, work.amount * again)


def made_again(graph: Graph) -> int:
    """Multiply-accumulates that the tiles of chains do again, beyond what a plan's layers say."""
    chains = [node for node in graph.nodes if node.op == wire.CHAIN]
    timed = (each for node in chains for stages in chain_stages(node) for each in stages)
    return round(sum(_macs(stage) * (times - 1) for stage, times in timed if stage.is_custom))


def _macs(node: Node) -> int:
    if not node.is_custom:
        return rule_of(node).macs(node)
    if family_of(node) not in PER_MAC:
        return 0
    weights = node.input(WEIGHTS).shape
    # OHWI and [O, I]: all but the first dimension for each result; depthwise [1, h, w, O].
    each = weights[1:3] if family_of(node) is Family.DEPTHWISE else weights[1:]
    return node.output.size * math.prod(each)


def _reads_per_result(node: Node) -> float:
    if node.op == wire.RECV or not node.outputs:
        return 1.0
    made = sum(value.size for value in node.outputs)
    read = max((v.size for v in node.operands if v.is_computed), default=0)
    return max(1.0, read / made) if made and family_of(node) is Family.OTHER else 1.0
