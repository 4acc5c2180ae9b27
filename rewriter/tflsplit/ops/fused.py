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

from collections.abc import Callable, Iterator, Sequence

from tflsplit.errors import InternalError
from tflsplit.ir import Attrs, DType, Graph, Node, Quantization, Value
from tflsplit.ops.custom import (
    conv_2d,
    depthwise_conv_2d,
    make_node,
    partial_conv_2d,
)
from tflsplit.ops.custom_check import add_check
from tflsplit.ops.fused_options import FusedOptions, ResidualAdd, Stage
from tflsplit.ops.quantmath import activation_range, add_multipliers
from tflsplit.ops.window import explicit_pads
from tflsplit.wire import custom_ops as wire

__all__ = [
    "ABSENT",
    "FusedOptions",
    "Operands",
    "ResidualAdd",
    "Stage",
    "block_parts",
    "fused_block",
    "fused_inside",
    "problems_of",
    "stage_result",
    "unfused",
]

Operands = Sequence[Value | None]
"""weights, bias, multiplier, shift of one stage; all None for a stage that is not there."""

ABSENT: Operands = (None, None, None, None)
RESIDUAL = 13
"""Place of the operand of a block's ADD."""


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

    residual: what the ADD of the options adds, of the shape of ``output``.
    """
    inputs = (x, *expand, *depthwise, *project, *((residual,) if residual else ()))
    attrs = wire.encode(wire.FUSED_BLOCK, options.attrs())
    return make_node(wire.FUSED_BLOCK, inputs, (output,), attrs, name or output.name)


def unfused(node: Node) -> list[Node]:
    """The three (or two) operators that the block stands for: its definition."""
    options = FusedOptions.of(node)
    x, nodes = node.input(0), list[Node]()
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
    return [*nodes, project, Node("ADD", (output, node.input(RESIDUAL)), (node.output,), attrs)]


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


def problems_of(node: Node) -> Iterator[str]:
    """How a block's options and operands contradict each other."""
    if len(node.inputs) not in (RESIDUAL, RESIDUAL + 1) or len(node.outputs) != 1:
        yield "takes 13 operands, or 14 with an ADD, and makes 1 result"
        return
    options = FusedOptions.of(node)
    wrong = next(_add_problems(node, options), None)
    if wrong:
        yield wrong
        return
    wrong = next(_operand_problems(node, options), None)
    if wrong:
        yield wrong
        return
    try:
        chain = unfused(node)
    except InternalError as error:
        yield str(error)
        return
    made = chain[-1].output
    if tuple(made.shape) != tuple(node.output.shape):
        yield f"must make {list(made.shape)}, not {node.output!r}"


def _add_problems(node: Node, options: FusedOptions) -> Iterator[str]:
    """How an ADD contradicts the operands."""
    add, y = options.add, node.output
    residual = node.inputs[RESIDUAL] if len(node.inputs) > RESIDUAL else None
    if (add is None) != (residual is None) or (add is not None and options.sums):
        yield "the operand of an ADD does not go with the options"
    if add is None or residual is None:
        return
    if residual.dtype is not DType.INT8 or residual.shape != y.shape:
        yield f"adds {residual!r}, which is not like {y!r}"
    if any(v.quantization is None or len(v.quantization.scales) != 1 for v in (residual, y)):
        yield "adds what has not one scale"
        return
    assert residual.quantization is not None
    assert y.quantization is not None
    scales = add.scale, residual.quantization.scale, y.quantization.scale
    if not min(scales) > 0 or add_multipliers(*scales) != add.multipliers:
        yield "adds with multipliers that do not follow from the scales"
    elif residual.quantization.zero_point != add.residual_zero_point:
        yield f"adds {residual!r} with another zero point than its own"
    elif activation_range(add.function, y.quantization, y.dtype) != options.activation:
        yield "adds with another activation than its own"


def _operand_problems(node: Node, options: FusedOptions) -> Iterator[str]:
    """What ``unfused`` would trip over, and what it would take although the kernel does not."""
    there = [value is not None for value in node.inputs]
    if any(there[1:5]) != (options.expand is not None):
        yield "the operands of the expansion do not go with its options"
    if options.sums and any(there[10:RESIDUAL]):
        yield "makes sums, which are not requantized here"
    needed = {0: 4, 5: 4, 7: 1, 8: 1, 9: 4}
    needed |= {1: 4, 3: 1, 4: 1} if options.expand else {}
    needed |= {} if options.sums else {11: 1, 12: 1}
    for index, dimensions in needed.items():
        value = node.inputs[index]
        if value is None or len(value.shape) != dimensions:
            yield f"operand {index} must be there, with {dimensions} dimensions"
            return
    channels = node.input(0).shape[3]
    if options.expand:
        weights = node.input(1).shape
        if weights[3] != channels:
            yield "the expansion must not be grouped"
        channels = weights[0]
    if node.input(5).shape[3] != channels:
        yield "the depthwise convolution must not have a channel multiplier"
    if node.input(9).shape[1:] != (1, 1, channels):
        yield f"the projection must have 1x1 weights of {channels} input channels"


add_check(wire.FUSED_BLOCK, problems_of)


def block_parts(graph: Graph) -> dict[Node, tuple[Node | None, Node]]:
    """For every projection of a block that could be fused: its (expansion or None, depthwise).

    graph: an unsplit model, with stock operators.  A block is CONV_2D (any window) or nothing,
    DEPTHWISE_CONV_2D without channel multiplier, CONV_2D 1x1, all int8, each read by the next only.
    """
    readers, producers = graph.consumers(), graph.producers()
    blocks: dict[Node, tuple[Node | None, Node]] = {}
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
