# SPDX-License-Identifier: Apache-2.0
"""Compute operators whose constants are one tensor, in the order in which kernels read them.

    explicit   x, weights, bias, multiplier, shift -- TFLSPLIT_CONV_2D --> y        version 1
    packed     x, constants                        -- TFLSPLIT_CONV_2D --> y        version 2

The explicit form defines the meaning: ``unpacked`` gives it back, with the scales of the weights,
which follow from multipliers and the scales of x and y.  A packed node is sound if its constant has
the right size, its explicit form is sound, and that one, packed again, is the same bytes
(``packed_problems``): so whoever reads a file proves every short rounding anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from weakref import WeakKeyDictionary

import numpy as np

from tflsplit.errors import InternalError
from tflsplit.ir import DType, Node, Value
from tflsplit.ops.own.custom_check import add_packed_check, problems
from tflsplit.ops.own.fused import ABSENT, FIRST, RESIDUAL, residual_of
from tflsplit.ops.own.packed_options import (
    attrs_of,
    block_options,
    explicit_attrs,
    inner_stages,
    roundings_of,
    stages_of,
)
from tflsplit.ops.own.packed_stage import Operands, blank_bytes
from tflsplit.ops.own.short_rounding import Rounding
from tflsplit.wire import custom_ops as wire

_OPERANDS = {wire.PARTIAL_CONV_2D: 1, wire.PARTIAL_FULLY_CONNECTED: 1}
"""Constants of an explicit stage, where they are not weights, bias, multiplier and shift."""


def is_packable(node: Node) -> bool:
    """Whether ``node`` is one of our compute operators in explicit form, its constants known."""
    return (
        wire.is_ours(node)
        and node.op in wire.PACKED_SCHEMAS
        and not wire.is_packed(node)
        and all(
            value is None or value.is_constant
            for value in (*node.inputs[1:RESIDUAL], *node.inputs[FIRST:])
        )
    )


Constants = tuple[Value, tuple[Rounding, ...]]
"""Packed constants, and the rounding of each stage."""


def packed_constants(node: Node, sizes_only: bool = False) -> Constants:
    """Of an explicit node.  They depend on its stages and on its constant operands alone."""
    stages, name = stages_of(node), f"{node.name}/constants"
    if sizes_only:
        constant = blank_bytes(name, sum(stage.size_bytes for stage in stages))
        roundings = (Rounding.ANY,) * len(stages)
    else:
        pairs = zip(stages, _stage_operands(node), strict=True)
        parts = [stage.pack(operands) for stage, operands in pairs]
        data = np.concatenate([part for part, _ in parts])
        constant = Value(name, data.shape, DType.INT8, data=data)
        roundings = tuple(rounding for _, rounding in parts)
    if node.op == wire.PARTIAL_FULLY_CONNECTED:  # LiteRT's rounding asks for it (runtime/rounding)
        of_weights = node.input(1).quantization
        if of_weights is not None and not of_weights.per_channel:
            constant.quantization = of_weights
    return constant, roundings


def packed(node: Node, sizes_only: bool = False, shared: Constants | None = None) -> Node:
    """An explicit node in packed form; one that has no constants (PARTIAL_SUM) as it is.

    sizes_only: the constant has the right size and no contents; for drafts.
    shared: constants that were packed for an equal node.
    """
    if node.op not in wire.PACKED_SCHEMAS:
        return node
    constant, roundings = shared or packed_constants(node, sizes_only)
    attrs = attrs_of(node, roundings)
    added = residual_of(node) if node.op == wire.FUSED_BLOCK else None
    inputs = (node.input(0), constant, *((added,) if added else ()))
    return replace(node, inputs=inputs, attrs=attrs)


def _stage_operands(node: Node) -> list[Sequence[Value | None]]:
    """weights, bias, multiplier, shift of every stage of an explicit node."""
    nothing: Sequence[Value | None] = (None, None, None)
    if node.op == wire.FUSED_BLOCK:
        groups = [node.inputs[at : at + 4] for at in (FIRST, FIRST + 4, FIRST + 8, 1, 5, 9)]
        groups = [group for group in groups if group]
        return [group for group in groups if group[0] is not None]
    if node.op == wire.REQUANTIZE:
        return [(None, *node.inputs[1:4])]
    return [(*node.inputs[1:], *nothing)[:4]]


def unpacked(node: Node, sizes_only: bool = False) -> Node:
    """A packed node in explicit form; any other node as it is.

    sizes_only: the constants have the right shapes and no contents; for who looks only.
    """
    if not wire.is_packed(node):
        return node
    if not sizes_only:
        return _unpacked(node, sizes_only)
    if node not in _KNOWN:
        _KNOWN[node] = _unpacked(node, sizes_only)
    return _KNOWN[node]


_KNOWN: WeakKeyDictionary[Node, Node] = WeakKeyDictionary()
"""Explicit forms without contents: planning asks for each several times."""


def _unpacked(node: Node, sizes_only: bool) -> Node:
    stages, operands = stages_of(node), list[Operands]()
    at, data = 0, _bytes_of(node)
    steps = zip(stages, roundings_of(node), _scales(node), strict=True)
    for number, (stage, rounding, (x_scale, y_scale)) in enumerate(steps):
        name = node.output.name + (f"/{number}" if len(stages) > 1 else "")
        if sizes_only:
            operands.append(stage.blank(name))
        else:
            part = data[at : at + stage.size_bytes]
            operands.append(stage.unpack(part, rounding, x_scale, y_scale, name))
        at += stage.size_bytes
    inputs = (node.input(0), *_explicit_inputs(node, operands))
    return replace(node, inputs=inputs, attrs=explicit_attrs(node))


def _bytes_of(node: Node) -> np.ndarray:
    data = node.input(1).data
    if data is None:
        raise InternalError(f"{node!r} has no constants")
    return data


def _explicit_inputs(node: Node, stages: Sequence[Operands]) -> Sequence[Value | None]:
    if node.op == wire.FUSED_BLOCK:
        return _block_inputs(node, iter(stages))
    if node.op == wire.REQUANTIZE:
        return stages[0][1:]
    weights = stages[0][: _OPERANDS.get(node.op, 4)]
    if node.op == wire.PARTIAL_FULLY_CONNECTED and weights[0] is not None:
        weights[0].quantization = node.input(1).quantization
    return weights


def _block_inputs(node: Node, stages: Iterator[Operands]) -> Sequence[Value | None]:
    """Operands of a block in explicit form, behind x; ``stages``: those that it has, in order."""
    options = block_options(node)
    first = options.first
    kinds = (first and first.expand, first, first, options.expand, True, True)
    parts = [next(stages) if kind else ABSENT for kind in kinds]
    before, own = ([v for part in some for v in part] for some in (parts[:3], parts[3:]))
    added = residual_of(node)
    if first is not None:
        return [*own, added, *before]
    return [*own, *((added,) if added else ())]


def _scales(node: Node) -> list[tuple[float, float]]:
    """Scales of x and the result of every stage; 1 where a tensor has none."""
    ends = [_scale(node.input(0)), _scale(node.output)]
    if node.op != wire.FUSED_BLOCK:
        return [(ends[0], ends[1])]
    inner = [stage.scale for stage in inner_stages(node)]
    add = block_options(node).add
    ends[1] = add.scale if add else ends[1]
    line = [ends[0], *inner, ends[1]]
    return list(pairwise(line))


def _scale(value: Value) -> float:
    quantization = value.quantization
    return quantization.scale if quantization and len(quantization.scales) == 1 else 1.0


def packed_problems(node: Node) -> Iterator[str]:
    """How a packed node's options, operands and constants contradict each other."""
    adds = node.op == wire.FUSED_BLOCK and bool(wire.decode(node)["add"])
    if len(node.inputs) != 2 + adds or None in node.inputs or len(node.outputs) != 1:
        yield "takes x, one constant and what it adds, and makes 1 result"
        return
    wrong = next(_tensor_problems(node), None)
    if wrong:
        yield wrong
        return
    size = sum(stage.size_bytes for stage in stages_of(node))
    constants = node.input(1)
    if constants.dtype is not DType.INT8 or constants.shape != (size,):
        yield f"needs {size} bytes of constants, not {constants!r}"
    elif constants.data is not None:
        yield from _content_problems(node)


def _tensor_problems(node: Node) -> Iterator[str]:
    """What ``stages_of`` would trip over."""
    x, y = node.input(0), node.output
    free = node.op in (wire.REQUANTIZE, wire.PARTIAL_FULLY_CONNECTED)
    if not all(value.shape and (free or len(value.shape) == 4) for value in (x, y)):
        yield f"{x!r} or {y!r} has a wrong number of dimensions"
        return
    for value in x, y:
        if value.quantization is not None and len(value.quantization.scales) != 1:
            yield f"{value!r} needs one scale and zero point"
    groups = node.attrs.get("groups", 1)
    if isinstance(groups, int) and (x.shape[-1] % groups or y.shape[-1] % groups):
        yield f"{x!r} or {y!r} cannot be divided into {groups} groups"


def _content_problems(node: Node) -> Iterator[str]:
    explicit = unpacked(node)
    found = problems(explicit)
    if found:
        yield from found
        return
    again = packed(explicit)
    if again.attrs != node.attrs:
        yield "has the rounding of other constants"
    elif not np.array_equal(_bytes_of(again), _bytes_of(node)):
        yield "has constants that contradict each other"


add_packed_check(packed_problems)
