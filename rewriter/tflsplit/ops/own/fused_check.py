# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a fused block in explicit form: options against operands."""

from __future__ import annotations

from collections.abc import Iterator

from tflsplit.errors import InternalError
from tflsplit.ir import DType, Node
from tflsplit.ops.own.custom_check import add_check
from tflsplit.ops.own.custom_options import WindowOptions
from tflsplit.ops.own.fused import FIRST, RESIDUAL, unfused
from tflsplit.ops.own.fused_options import FusedOptions
from tflsplit.ops.own.middle import middle_of, middle_problem
from tflsplit.ops.quantmath import activation_range, add_multipliers
from tflsplit.wire import custom_ops as wire


def problems_of(node: Node) -> Iterator[str]:
    """How a block's options and operands contradict each other."""
    options = FusedOptions.of(node)
    many = (FIRST + 12,) if options.first else (RESIDUAL, RESIDUAL + 1)
    if len(node.inputs) not in many or len(node.outputs) != 1:
        yield "takes 13 operands, or 14 with an ADD, 26 with a first unit, and makes 1 result"
        return
    wrong = next(_add_problems(node, options), None)
    if wrong:
        yield wrong
        return
    wrong = next(_first_problems(node, options), None) or next(
        _operand_problems(node, options), None
    )
    if wrong:
        yield wrong
        return
    if middle_of(node, node.inputs[RESIDUAL] if options.add else None) is not None:
        wrong = middle_problem(node)
        if wrong:
            yield f"cannot add a part of x: {wrong}"
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
    if residual.dtype is not DType.INT8:
        yield f"adds {residual!r}, which is not int8"
    elif residual.shape != y.shape and residual is not node.input(0):
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
    there = [value is not None for value in node.inputs[:RESIDUAL]]
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
    channels = node.input(FIRST + 8).shape[0] if options.first else node.input(0).shape[3]
    if options.expand:
        weights = node.input(1).shape
        if weights[3] != channels:
            yield "the expansion must not be grouped"
        channels = weights[0]
    if node.input(5).shape[3] != channels:
        yield "the depthwise convolution must not have a channel multiplier"
    if node.input(9).shape[1:] != (1, 1, channels):
        yield f"the projection must have 1x1 weights of {channels} input channels"


def _first_problems(node: Node, options: FusedOptions) -> Iterator[str]:
    if options.window_columns and node.output.shape[0] != 1:
        yield "has window_columns, which are of one batch only"
    if options.first is None:
        return
    there = [value is not None for value in node.inputs[FIRST:]]
    expands = options.first.expand is not None
    needed = (0, 4, 8) if expands else (4, 8)
    if any(there[:4]) != expands or not all(there[at] and there[at + 2] for at in needed):
        yield "the operands of the first unit do not go with its options"
        return
    yield from _joint_problems(node, options)
    weights = [node.input(FIRST + at).shape for at in needed]
    if any(len(shape) != 4 for shape in weights):
        yield "the weights of the first unit must have 4 dimensions"
        return
    channels = node.input(0).shape[3]
    if expands:
        if weights[0][3] != channels:
            yield "the expansion of the first unit must not be grouped"
        channels = weights[0][0]
    if weights[-2][3] != channels:
        yield "the depthwise convolution of the first unit must not have a channel multiplier"
    if weights[-1][1:] != (1, 1, channels) or options.first.project.window != WindowOptions():
        yield f"the first unit's projection must have 1x1 weights of {channels} input channels"


def _joint_problems(node: Node, options: FusedOptions) -> Iterator[str]:
    """What does not go with a first unit."""
    if options.add is not None:
        yield "an ADD does not go with a first unit"
    is_plain = options.expand is None or options.expand.window == WindowOptions()
    if not is_plain or (options.expand and node.input(1).shape[1:3] != (1, 1)):
        yield "the expansion behind a first unit must be 1x1"


add_check(wire.FUSED_BLOCK, problems_of)
