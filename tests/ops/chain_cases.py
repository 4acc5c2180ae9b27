# SPDX-License-Identifier: Apache-2.0
"""Chains of blocks of any kind, to hold kernels against (hypothesis)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from tests.ops.custom_cases import Case, fused_block_cases, middle_cases, run_case
from tflsplit.ir import DType, Quantization, Value
from tflsplit.ops.own.chain import blocks_of, chain
from tflsplit.ops.own.chain_layout import UnitSizes, rolling_shape, tiled
from tflsplit.ops.own.chain_options import Rolling
from tflsplit.ops.own.fused_options import FusedOptions
from tflsplit.ops.own.packed import packed, unpacked
from tflsplit.ops.own.semantics import Array


@st.composite
def chain_cases(draw: st.DrawFn, whole: bool = False) -> Case:
    """TFLSPLIT_CHAIN of one to four units, some rolling and in tiles; the array is all of x.

    whole: none is rolling.
    """
    first = draw(_units())
    units, count = [first.node], draw(st.integers(0, 3))
    for _ in range(count):
        units.append(draw(_units(units[-1].output)).node)
    blocks = [packed(unit) for unit in units]
    sizes = [UnitSizes.of(block) for block in blocks]
    windows = draw(st.sampled_from([1, 2, 3, 4, 9]))
    if whole or draw(st.booleans()):
        return Case(chain(blocks, windows), first.arrays)
    x, tile = units[0].input(0), draw(st.sampled_from([0, 0, 1, 2, 3, 5]))
    tiles = tiled(sizes, windows, tile)
    assume(all(tile.x[0] < tile.x[1] for tile in tiles))
    assume(_is_sound(sizes, [tile.y for tile in tiles]))
    rolling = Rolling(x.shape[1], x.shape[2], draw(st.integers(1, x.shape[1])))
    memory = Value("x", rolling_shape(sizes, tiles, rolling.piece_rows), DType.INT8, x.quantization)
    arrays = first.arrays
    if draw(st.booleans()) and x.quantization is not None:
        point = x.quantization.zero_point + 128
        memory.dtype = DType.UINT8
        memory.quantization = Quantization(x.quantization.scales, (point,))
        arrays = ((first.arrays[0].view(np.uint8) ^ 128),)
    return Case(chain(blocks, windows, tile, rolling, memory), arrays)


def _is_sound(units: list[UnitSizes], columns: list[tuple[int, int]]) -> bool:
    whole = len(columns) == 1
    for unit in reversed(units):
        under = [unit.columns_under(each, whole) for each in columns]
        if any(start >= stop for pair in under for start, stop in pair):
            return False
        columns = [x for x, _ in under]
    return True


@st.composite
def _units(draw: st.DrawFn, x: Value | None = None) -> Case:
    """A block that may be a unit; ``x``: what it reads."""
    adds = draw(st.booleans())
    case = draw(middle_cases(x) if adds else fused_block_cases(x, plain=x is not None))
    options, node = FusedOptions.of(case.node), case.node
    assume(node.output.shape[0] == 1 and not options.sums)
    assume(adds or options.add is None)
    window, taps = options.depthwise.window, node.input(5).shape
    assume(window.stride[0] <= (taps[1] - 1) * window.dilation[0] + 1)
    plain = replace(options, tile_columns=0, window_columns=0)
    return Case(replace(node, attrs=node.attrs.replace(**plain.attrs())), case.arrays)


def run_chain_case(case: Case) -> Array:
    """The NumPy semantics: the blocks one after the other."""
    x = case.arrays[0]
    if case.node.input(0).dtype is DType.UINT8:
        x = (x ^ 128).view(np.int8)
    for block in blocks_of(case.node):
        x = run_case(Case(unpacked(block), (x,)))
    return x
