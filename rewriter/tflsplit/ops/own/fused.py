# SPDX-License-Identifier: Apache-2.0
"""TFLSPLIT_FUSED_BLOCK: expansion, depthwise convolution and projection in one operator.

    x -- CONV_2D --> e -- DEPTHWISE_CONV_2D --> d -- CONV_2D 1x1 --> y        (or int32 sums)
         '----------------------- one operator -----------------------'

Of ``e`` only the rows under the depthwise window exist at a time (a ring in scratch), of ``d`` one
row, and of both only the columns of one tile; so the expanded maps, six times wider than x, never
stand in memory.  The meaning is that of the three operators one after the other (``unfused``);
the idea is MCUNetV2's patches and Fused Depthwise Tiling, without their overlap along rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from tflsplit.ir import Attrs, DType, Graph, Node, Quantization, Value
from tflsplit.ops.local import sliced
from tflsplit.ops.own.custom import (
    conv_2d,
    depthwise_conv_2d,
    make_node,
    partial_conv_2d,
)
from tflsplit.ops.own.custom_options import WindowOptions
from tflsplit.ops.own.fused_options import FirstUnit, FusedOptions, ResidualAdd, Stage
from tflsplit.ops.own.middle import middle_of
from tflsplit.ops.window import explicit_pads
from tflsplit.wire import custom_ops as wire

__all__ = [
    "ABSENT",
    "FusedOptions",
    "Operands",
    "ResidualAdd",
    "Stage",
    "block_parts",
    "chained",
    "fused_block",
    "fused_inside",
    "stage_result",
    "unfused",
]

Operands = Sequence[Value | None]
"""weights, bias, multiplier, shift of one stage; all None for a stage that is not there."""

ABSENT: Operands = (None, None, None, None)
RESIDUAL = 13
"""Place of the operand of a block's ADD."""
FIRST = 14
"""Place of the operands of a chained block's first unit, 12 of them."""


def residual_of(node: Node) -> Value | None:
    """What a block adds, in explicit or packed form."""
    at = 2 if wire.is_packed(node) else RESIDUAL
    return node.inputs[at] if len(node.inputs) > at else None


def fused_block(
    x: Value,
    expand: Operands,
    depthwise: Operands,
    project: Operands,
    output: Value,
    options: FusedOptions,
    name: str = "",
    residual: Value | None = None,
) -> Node:
    """The operator; operands as those of conv_2d and depthwise_conv_2d, 4 for each stage.

    residual: what the ADD of the options adds, of the shape of ``output``, or x (``middle``).
    """
    inputs = (x, *expand, *depthwise, *project, *((residual,) if residual else ()))
    attrs = wire.encode(wire.FUSED_BLOCK, options.attrs())
    return make_node(wire.FUSED_BLOCK, inputs, (output,), attrs, name or output.name)


def chained(first: Node, last: Node, window_columns: int, name: str = "") -> Node:
    """Two explicit blocks as one: the second reads nothing but what the first makes.

    Neither adds, the first makes no sums, and an expansion of the second is 1x1; it has no tiles.
    """
    before, own, made = FusedOptions.of(first), FusedOptions.of(last), first.output.quantization
    assert made is not None
    project = Stage(WindowOptions(), before.activation, made.zero_point, made.scale)
    unit = FirstUnit(before.expand, before.depthwise, project)
    options = replace(own, tile_columns=0, window_columns=window_columns, first=unit)
    inputs = (first.input(0), *last.inputs[1:RESIDUAL], None, *first.inputs[1:RESIDUAL])
    attrs = wire.encode(wire.FUSED_BLOCK, options.attrs())
    return make_node(wire.FUSED_BLOCK, inputs, last.outputs, attrs, name or last.name)


def unfused(node: Node) -> list[Node]:
    """The three (or two) operators that the block stands for: its definition."""
    options = FusedOptions.of(node)
    x, nodes = node.input(0), list[Node]()
    if options.first is not None:
        nodes = _first_unit(node, options.first)
        x = nodes[-1].output
    if options.expand is not None:
        e = stage_result(node, x, options.expand, 1, f"{node.output.name}/expanded")
        nodes.append(_window_node(conv_2d, node, x, e, options.expand, 1))
        x = e
    d = stage_result(node, x, options.depthwise, 5, f"{node.output.name}/depthwise")
    nodes.append(_window_node(depthwise_conv_2d, node, x, d, options.depthwise, 5))
    weights, output = node.input(9), node.output
    if options.sums:
        return [*nodes, partial_conv_2d(d, weights, output, name=node.name)]
    bias, multiplier, shift = node.inputs[10], node.input(11), node.input(12)
    activation, add = options.activation, options.add
    if add is not None:
        quantization = Quantization((add.scale,), (add.zero_point,))
        output = Value(f"{node.output.name}/projected", output.shape, DType.INT8, quantization)
        activation = add.activation
    project = conv_2d(
        d, weights, bias, multiplier, shift, output, activation=activation, name=output.name
    )
    if add is None:
        project.name = node.name
        return [*nodes, project]
    attrs = Attrs(fused_activation_function=add.function)
    before, residual = _residual(node)
    added = Node("ADD", (output, residual), (node.output,), attrs)
    return [*nodes, project, *before, added]


def _residual(node: Node) -> tuple[list[Node], Value]:
    """What an explicit block adds, cut out of x where it is a part of that."""
    residual, y = node.input(RESIDUAL), node.output
    place = middle_of(node, residual)
    if place is None:
        return [], residual
    part = Value(f"{y.name}/residual", y.shape, residual.dtype, residual.quantization)
    return [sliced(residual, (0, *place, 0), part)], part


def _first_unit(node: Node, first: FirstUnit) -> list[Node]:
    """The operators of a chained block's first unit."""
    x, name, nodes = node.input(0), f"{node.output.name}/first", list[Node]()
    parts = (("expanded", first.expand), ("depthwise", first.depthwise), ("", first.project))
    for number, (part, stage) in enumerate(parts):
        if stage is None:
            continue
        at = FIRST + 4 * number
        y = stage_result(node, x, stage, at, f"{name}/{part}" if part else name)
        make = depthwise_conv_2d if part == "depthwise" else conv_2d
        nodes.append(_window_node(make, node, x, y, stage, at))
        x = y
    return nodes


def inner_result(node: Node) -> Value:
    """What the last unit of a block reads: x, or the result of the unit before it."""
    first = FusedOptions.of(node).first
    return node.input(0) if first is None else _first_unit(node, first)[-1].output


@dataclass(frozen=True)
class UnitWindows:
    """What one unit of a block does with rows: of the first unit first.

    x_rows: of what it reads; map_rows: of what its depthwise convolution reads.
    expand, expand_kernel: None and () without expansion.
    """

    x_rows: int
    map_rows: int
    expand: WindowOptions | None
    expand_kernel: tuple[int, ...]
    depthwise: WindowOptions
    kernel: tuple[int, ...]


def unit_windows(node: Node) -> list[UnitWindows]:
    """The units of a block in explicit form."""
    options = FusedOptions.of(node)
    found = []
    if options.first is not None:
        first = options.first
        found.append(_windows(node, node.input(0), first.expand, first.depthwise, FIRST))
    found.append(_windows(node, inner_result(node), options.expand, options.depthwise, 1))
    return found


def _windows(node: Node, x: Value, expand: Stage | None, depthwise: Stage, at: int) -> UnitWindows:
    e = stage_result(node, x, expand, at, "") if expand else x
    return UnitWindows(
        x.shape[1],
        e.shape[1],
        expand.window if expand else None,
        node.input(at).shape[1:3] if expand else (),
        depthwise.window,
        node.input(at + 4).shape[1:3],
    )


def stage_result(node: Node, x: Value, stage: Stage, first: int, name: str) -> Value:
    """The tensor that a stage would make; ``first``: the place of its weights in the operands."""
    weights, multiplier = node.input(first), node.input(first + 2)
    rows, columns = stage.window.output_extent(x.shape, (weights.shape[1], weights.shape[2]))
    shape = (x.shape[0], rows, columns, multiplier.shape[0])
    return Value(name, shape, DType.INT8, stage.quantization)


def _window_node(
    make: Callable[..., Node], node: Node, x: Value, output: Value, stage: Stage, first: int
) -> Node:
    weights, bias = node.input(first), node.inputs[first + 1]
    multiplier, shift = node.input(first + 2), node.input(first + 3)
    return make(
        x,
        weights,
        bias,
        multiplier,
        shift,
        output,
        stride=stage.window.stride,
        dilation=stage.window.dilation,
        pads=stage.window.pads,
        activation=stage.activation,
        name=output.name,
    )


def block_parts(graph: Graph) -> dict[Node, tuple[Node | None, Node]]:
    """For every projection of a block that could be fused: its (expansion or None, depthwise).

    graph: an unsplit model, with stock operators.  A block is CONV_2D (any window) or nothing,
    DEPTHWISE_CONV_2D without channel multiplier, CONV_2D 1x1, all int8, each read by the next only.
    Found once for a graph that stays as it is: a search asks for every option of a unit.
    """
    contents: tuple[Value | Node, ...] = (*graph.outputs, *graph.nodes)
    known = _KNOWN_PARTS.get(graph)
    if known is None or known[0] != contents:
        known = _KNOWN_PARTS[graph] = contents, _block_parts(graph)
    return dict(known[1])


_Parts = dict[Node, tuple[Node | None, Node]]
_KNOWN_PARTS: WeakKeyDictionary[Graph, tuple[tuple[Value | Node, ...], _Parts]] = (
    WeakKeyDictionary()
)


def _block_parts(graph: Graph) -> _Parts:
    readers, producers = graph.consumers(), graph.producers()
    blocks: _Parts = {}
    for project in graph.nodes:
        if project.op != "CONV_2D" or not _is_plain(project, pointwise=True):
            continue
        depthwise = producers.get(project.input(0))
        if depthwise is None or not _feeds(depthwise, project, readers, graph):
            continue
        if (
            depthwise.op != "DEPTHWISE_CONV_2D"
            or depthwise.input(0).shape[3] != (depthwise.output.shape[3])
        ):
            continue
        expand = producers.get(depthwise.input(0))
        is_block = (
            expand is not None
            and expand not in blocks  # MobileNetV1: one block's projection is no other's expansion
            and expand.op == "CONV_2D"
            and _is_plain(expand, pointwise=False)
            and _feeds(expand, depthwise, readers, graph)
        )
        blocks[project] = (expand if is_block else None), depthwise
    return blocks


def _feeds(node: Node, reader: Node, readers: dict[Value, list[Node]], graph: Graph) -> bool:
    """Whether one result is all that a node makes, and ``reader`` alone reads it."""
    (made, *others) = node.outputs
    return not others and readers[made] == [reader] and made not in graph.outputs


def _is_plain(node: Node, pointwise: bool) -> bool:
    """An int8 convolution without groups; with ``pointwise`` 1x1 and not strided."""
    x, weights = node.input(0), node.input(1)
    strides = node.attrs.integer("stride_h", 1), node.attrs.integer("stride_w", 1)
    return (
        x.dtype is DType.INT8
        and weights.is_constant
        and weights.shape[3] == x.shape[3]
        and (
            not pointwise
            or (weights.shape[1:3] == (1, 1) and strides == (1, 1) and not any(explicit_pads(node)))
        )
    )


def fused_inside(graph: Graph) -> frozenset[str]:
    """Names of the nodes whose results would live inside fused blocks."""
    return frozenset(
        part.name for parts in block_parts(graph).values() for part in parts if part is not None
    )
