# SPDX-License-Identifier: Apache-2.0
"""Expansion, depthwise convolution and projection as one operator that loops over rows.

    before   x -- TFLSPLIT_CONV_2D --> e -- TFLSPLIT_DEPTHWISE_CONV_2D --> d -- 1x1 --> y
    after    x -- TFLSPLIT_FUSED_BLOCK --> y

where nothing else reads e or d.  The expansion may have any window and may be missing; the
projection may be a TFLSPLIT_PARTIAL_CONV_2D, whose int32 sums are added up elsewhere.  Only own
kernels are fused: ``own_kernels`` comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from tflsplit.ir import Graph, Node, Value
from tflsplit.ops.custom_options import WindowOptions, activation_of
from tflsplit.ops.fused import ABSENT, FusedOptions, Stage, fused_block
from tflsplit.ops.scratch import block_scratch
from tflsplit.wire import custom_ops as wire


def fuse_blocks(graph: Graph, limits: Mapping[str, int] | int | None = None) -> Graph:
    """The graph with every such chain as one operator.

    limits: most bytes of scratch, for all blocks or by the name of their projection.  A block that
        would need more makes its columns in as few equal tiles as bring it below (or in tiles of
        one column, if nothing does).
    """
    readers = graph.consumers()
    kept = set(graph.outputs)
    producers = graph.producers()
    gone: set[Node] = set()
    fused: dict[Node, Node] = {}

    def only_reader(value: Value, node: Node) -> bool:
        return value not in kept and readers[value] == [node]

    for node in graph.nodes:
        chain = _chain(node, producers, only_reader)
        if chain is not None:
            if chain[0] in fused:  # MobileNetV1: the end of one block is no other's beginning
                chain = None, *chain[1:]
            block = _fused(*chain)
            gone.update(part for part in chain if part is not None and part is not node)
            limit = limits.get(node.name) if isinstance(limits, Mapping) else limits
            fused[node] = _tiled(block, limit)
    nodes = [fused.get(node, node) for node in graph.nodes if node not in gone]
    return replace(graph, nodes=nodes)


def _chain(
    project: Node, producers: dict[Value, Node], only_reader: Callable[[Value, Node], bool]
) -> tuple[Node | None, Node, Node] | None:
    """(expansion or None, depthwise, projection) that end in ``project``; None if there is none."""
    if not _is_pointwise(project):
        return None
    d = project.input(0)
    depthwise = producers.get(d)
    if depthwise is None or depthwise.op != wire.DEPTHWISE_CONV_2D or not only_reader(d, project):
        return None
    x = depthwise.input(0)
    if depthwise.input(1).shape[3] != x.shape[3]:  # a channel multiplier
        return None
    expand = producers.get(x)
    if expand is None or expand.op != wire.CONV_2D or not only_reader(x, depthwise):
        return None, depthwise, project
    if expand.input(1).shape[3] != expand.input(0).shape[3]:  # grouped
        return None, depthwise, project
    return expand, depthwise, project


def _is_pointwise(node: Node) -> bool:
    """Whether a node is a 1x1 convolution (or partial sums of one) without groups."""
    if node.op not in (wire.CONV_2D, wire.PARTIAL_CONV_2D):
        return False
    weights, options = node.input(1), WindowOptions.of(node)
    return (
        weights.shape[1:3] == (1, 1)
        and weights.shape[3] == node.input(0).shape[3]
        and options.stride == (1, 1)
        and not any(options.pads)
    )


def _fused(expand: Node | None, depthwise: Node, project: Node) -> Node:
    sums = project.op == wire.PARTIAL_CONV_2D
    options = FusedOptions(
        expand=_stage(expand) if expand else None,
        depthwise=_stage(depthwise),
        activation=(-128, 127) if sums else activation_of(project),
        sums=sums,
    )
    return fused_block(
        (expand or depthwise).input(0),
        expand.inputs[1:5] if expand else ABSENT,
        depthwise.inputs[1:5],
        (project.input(1), None, None, None) if sums else project.inputs[1:5],
        project.output,
        options,
        project.name,
    )


def _stage(node: Node) -> Stage:
    quantization = node.output.quantization
    assert quantization is not None
    return Stage(
        WindowOptions.of(node),
        activation_of(node),
        quantization.zero_point,
        quantization.scale,
    )


def _tiled(block: Node, limit_bytes: int | None) -> Node:
    """The block with the fewest column tiles that keep its scratch within the limit."""
    columns = block.output.shape[2]
    if limit_bytes is None or block_scratch(block).total_bytes <= limit_bytes:
        return block
    tile = columns
    for tiles in range(2, columns + 1):
        tile = -(-columns // tiles)
        if block_scratch(block, tile).total_bytes <= limit_bytes:
            break
    return replace(block, attrs=block.attrs.replace(tile_columns=tile))
