# SPDX-License-Identifier: Apache-2.0
"""Expansion, depthwise convolution and projection as one operator that loops over rows.

    before   x -- TFLSPLIT_CONV_2D --> e -- TFLSPLIT_DEPTHWISE_CONV_2D --> d -- 1x1 --> y
    after    x -- TFLSPLIT_FUSED_BLOCK --> y

    before   ... -- 1x1 --> p;  p, residual -- ADD --> y
    after    x, residual -- TFLSPLIT_FUSED_BLOCK --> y

where nothing else reads e, d or p, and the residual is there before p is made.  The expansion may
have any window and may be missing; the projection may be a TFLSPLIT_PARTIAL_CONV_2D, whose int32
sums are added up elsewhere.  Only own kernels are fused: ``own_kernels`` comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from tflsplit.ir import Activation, DType, Graph, Node, Value
from tflsplit.ops.own.custom_options import WindowOptions, activation_of
from tflsplit.ops.own.fused import ABSENT, FusedOptions, ResidualAdd, Stage, fused_block
from tflsplit.ops.own.scratch import block_scratch
from tflsplit.ops.quantmath import add_multipliers
from tflsplit.ops.stock.requantization import fused_range
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
    places = {value: at for at, node in enumerate(graph.nodes) for value in node.outputs}
    places.update(dict.fromkeys(graph.inputs, -1))
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
            add = _residual_add(node, readers, kept, places)
            if add is not None:
                gone.add(add)
                block = _adding(block, node, add)
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


def _residual_add(
    project: Node,
    readers: Mapping[Value, list[Node]],
    kept: set[Value],
    places: Mapping[Value, int],
) -> Node | None:
    """The ADD that alone reads a projection's result, if its other operand is there already."""
    p = project.output
    (add, *others) = readers[p] or [project]
    if project.op != wire.CONV_2D or others or p in kept or add.op != "ADD" or add.is_custom:
        return None
    operands = [value for value in add.operands if value is not p]
    if len(operands) != 1 or not all(_is_plain(value, p) for value in (*operands, add.output)):
        return None
    return add if places.get(operands[0], places[p]) < places[p] else None


def _is_plain(value: Value, p: Value) -> bool:
    quantization = value.quantization
    is_like = value.dtype is DType.INT8 and value.shape == p.shape and not value.is_variable
    return is_like and quantization is not None and len(quantization.scales) == 1


def _adding(block: Node, project: Node, add: Node) -> Node:
    """The block with the ADD inside."""
    p, y = project.output.quantization, add.output.quantization
    (residual,) = (value for value in add.operands if value is not project.output)
    assert p is not None
    assert y is not None
    assert residual.quantization is not None
    multipliers = add_multipliers(p.scale, residual.quantization.scale, y.scale)
    function = add.attrs.integer("fused_activation_function", Activation.NONE)
    inside = ResidualAdd(
        activation_of(project),
        p.zero_point,
        p.scale,
        function,
        multipliers,
        residual.quantization.zero_point,
    )
    options = replace(FusedOptions.of(block), activation=fused_range(add), add=inside)
    attrs = wire.encode(wire.FUSED_BLOCK, options.attrs())
    return replace(block, inputs=(*block.inputs, residual), outputs=add.outputs, attrs=attrs)


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
