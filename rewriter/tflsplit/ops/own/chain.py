# SPDX-License-Identifier: Apache-2.0
"""TFLSPLIT_CHAIN: fused blocks one after the other, row by row.

    x -- TFLSPLIT_FUSED_BLOCK --> a -- TFLSPLIT_FUSED_BLOCK --> b -- TFLSPLIT_FUSED_BLOCK --> y
         '---------- one operator: of a and b only the rows exist that the next row needs ---'

The meaning is that of the blocks one after the other (``blocks_of``); their packed constants lie
one behind the other.  A *rolling* x is never there whole: it comes in pieces of rows (a RECV that
says so comes right before), and may be uint8, which is read as int8 with the zero point 128 less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from tflsplit.errors import ModelError
from tflsplit.ir import DType, Node, Quantization, Value
from tflsplit.ops.own.chain_options import STAGE, ChainOptions, Rolling, UnitOptions
from tflsplit.ops.own.custom import make_node
from tflsplit.ops.own.custom_options import WindowOptions, activation_of
from tflsplit.ops.own.fused_options import Stage
from tflsplit.ops.own.packed_options import StageOptions, stages_of
from tflsplit.ops.own.packed_stage import blank_bytes
from tflsplit.ops.own.short_rounding import Rounding
from tflsplit.wire import custom_ops as wire

_NO_STAGES = dict.fromkeys(("first_expand", "first_depthwise", "first_project"), ())


def chain(
    blocks: Sequence[Node],
    window_columns: int,
    tile_columns: int = 0,
    rolling: Rolling | None = None,
    x: Value | None = None,
    name: str = "",
) -> Node:
    """The operator of packed blocks, each of which reads what the one before makes.

    x: what comes instead of all of the first block's x (``rolling_x``), if that is rolling.
    """
    parts, name = [block.input(1).data for block in blocks], name or blocks[-1].name
    data = np.concatenate([part for part in parts if part is not None])
    constants = Value(f"{name}/constants", data.shape, DType.INT8, data=data)
    options = ChainOptions(tuple(map(_unit_of, blocks)), window_columns, tile_columns, rolling)
    attrs = wire.encode(wire.CHAIN, options.attrs())
    return make_node(
        wire.CHAIN, (x or blocks[0].input(0), constants), blocks[-1].outputs, attrs, name
    )


def _unit_of(block: Node) -> UnitOptions:
    stored, y = wire.decode(block), block.output
    options = cast(dict[str, tuple[int, ...]], stored)
    assert y.quantization is not None
    made = y.quantization.zero_point, y.quantization.scale
    result = Stage(WindowOptions(), activation_of(block), *made)
    rounding = Rounding(cast(int, stored["rounding"]))
    last = StageOptions(result, (1, 1), y.shape[3], rounding)
    return UnitOptions(options["expand"], options["depthwise"], last.ints(), options["add"])


def whole_x(node: Node) -> Value:
    """All of x, int8, as the first block reads it."""
    x, rolling = node.input(0), ChainOptions.of(node).rolling
    if rolling is None:
        return x
    quantization = x.quantization
    if x.dtype is DType.UINT8 and quantization is not None:
        points = tuple(point - 128 for point in quantization.zero_points)
        quantization = Quantization(quantization.scales, points, quantization.axis)
    shape = 1, rolling.rows, rolling.columns, x.shape[3]
    return Value(f"{node.output.name}/x", shape, DType.INT8, quantization)


def blocks_of(node: Node, sizes_only: bool = False) -> list[Node]:
    """The packed blocks that a chain stands for; ModelError if options or constants do not fit.

    sizes_only: constants have the right sizes and no contents; for who looks only.
    """
    options, data, at = ChainOptions.of(node), node.input(1).data, 0
    x, blocks = whole_x(node), list[Node]()
    for number, unit in enumerate(options.units):
        last = number == len(options.units) - 1
        y = node.output if last else _made(node, unit, x, f"{node.output.name}/unit{number}")
        block = _block(node, unit, x, y, options.window_columns)
        size = sum(stage.size_bytes for stage in stages_of(block))
        constants = blank_bytes(f"{y.name}/constants", size)
        if not sizes_only and data is not None:
            part = data[at : at + size]
            constants = Value(constants.name, part.shape, DType.INT8, data=part)
        at += size
        blocks.append(replace(block, inputs=(x, constants, *block.inputs[2:])))
        x = y
    if node.input(1).shape != (at,):
        raise ModelError(f"{node.op} {node.name!r} needs {at} bytes of constants")
    return blocks


def _made(node: Node, unit: UnitOptions, x: Value, name: str) -> Value:
    """What a unit makes of ``x``."""
    shape = x.shape
    for ints in (unit.expand, unit.depthwise, unit.result):
        if ints:
            window = Stage.of_ints(ints[:12]).window
            shape = (shape[0], *window.output_extent(shape, (ints[12], ints[13])), ints[14])
    if min(shape) < 1:
        raise ModelError(f"{node.op} {node.name!r}: a unit makes nothing of {x!r}")
    return Value(name, shape, DType.INT8, Stage.of_ints(unit.result[:12]).quantization)


def _block(node: Node, unit: UnitOptions, x: Value, y: Value, window_columns: int) -> Node:
    attrs = wire.encode(
        wire.FUSED_BLOCK,
        {
            "expand": unit.expand,
            "depthwise": unit.depthwise,
            "activation": unit.result[8:10],
            "rounding": unit.result[STAGE - 1],
            "sum": 0,
            "tile_columns": 0,
            "add": unit.add,
            "window_columns": window_columns,
            **_NO_STAGES,
        },
        wire.BLOCK_VERSION,
    )
    unknown = Value("constants", (0,), DType.INT8)
    inputs = (x, unknown, *((x,) if unit.add else ()))
    return Node(wire.FUSED_BLOCK, inputs, (y,), attrs, y.name, is_custom=True)
