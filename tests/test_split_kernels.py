# SPDX-License-Identifier: Apache-2.0
"""The C++ kernels give the bits of the NumPy semantics, under AddressSanitizer and UBSan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.kernel_driver import (
    ADD_OP,
    ARRIVING_BLOCK,
    MEAN_OP,
    POOL_OP,
    WINDOW_FIELDS,
    KernelProcess,
    RefusedError,
    build,
    message_of,
)
from tests.ops.chain_cases import chain_cases, run_chain_case
from tests.ops.custom_cases import (
    Case,
    conv_2d_cases,
    depthwise_cases,
    every_pad_cases,
    fused_block_cases,
    long_sums,
    middle_cases,
    partial_conv_2d_cases,
    partial_fully_connected_cases,
    partial_sum_cases,
    requantize_cases,
    run_case,
    window_cases,
)
from tests.ops.unweighted_cases import add_cases, mean_cases, pool_cases
from tests.ops.wide_blocks import adding_cases, whole_window_cases, wide_cases
from tflsplit.ir import Graph
from tflsplit.memory.overlays import find_overlays
from tflsplit.ops.own.chain_layout import chain_scratch
from tflsplit.ops.own.packing import pack_pairs, pack_taps
from tflsplit.ops.own.scratch import scratch_bytes
from tflsplit.ops.own.short_rounding import Rounding, Short
from tflsplit.wire import custom_ops as wire


@pytest.fixture(scope="module")
def executable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("kernels"))


@pytest.fixture(scope="module")
def kernels(executable: Path) -> Iterator[KernelProcess]:
    process = KernelProcess(executable)
    yield process
    process.close()


def assert_equal(kernels: KernelProcess, case: Case) -> None:
    answer = kernels.answer(case.node, case.arrays)
    np.testing.assert_array_equal(answer.array(case.node), run_case(case), strict=True)
    assert answer.scratch_bytes == scratch_bytes(case.node)


@pytest.mark.parametrize("case", [*wide_cases(), *adding_cases(), *whole_window_cases()])
def test_wide_blocks(kernels: KernelProcess, case: Case) -> None:
    assert_equal(kernels, case)


@settings(max_examples=200)
@given(case=conv_2d_cases())
def test_conv_2d(kernels: KernelProcess, case: Case) -> None:
    assert_equal(kernels, case)


@settings(max_examples=200)
@given(case=depthwise_cases())
def test_depthwise_conv_2d(kernels: KernelProcess, case: Case) -> None:
    assert_equal(kernels, case)


@settings(max_examples=150)
@given(case=partial_conv_2d_cases())
def test_partial_conv_2d(kernels: KernelProcess, case: Case) -> None:
    assert_equal(kernels, case)


@settings(max_examples=50)
@given(case=partial_fully_connected_cases())
def test_partial_fully_connected(kernels: KernelProcess, case: Case) -> None:
    assert_equal(kernels, case)


@settings(max_examples=60)
@given(case=partial_sum_cases())
def test_partial_sum(kernels: KernelProcess, case: Case) -> None:
    assert_equal(kernels, case)


@settings(max_examples=200)
@given(case=st.one_of(add_cases(), add_cases(other_is_constant=True), mean_cases(), pool_cases()))
def test_operators_without_weights(kernels: KernelProcess, case: Case) -> None:
    assert_equal(kernels, case)


@settings(max_examples=60)
@given(case=add_cases(), operand=st.integers(0, 1), below=st.integers(0, 40))
def test_add_over_what_it_reads(
    kernels: KernelProcess, case: Case, operand: int, below: int
) -> None:
    made = kernels.run_over(case.node, case.arrays, operand, -below)
    np.testing.assert_array_equal(made, run_case(case))


@pytest.mark.parametrize(
    ("op", "integers", "message"),
    [
        (ADD_OP, (1, 0, 128, 0, -128, 127, 9, 0, 9, 0, 9, 0, 0), "add: zero point"),
        (ADD_OP, (1, 0, 0, 0, 5, 4, 9, 0, 9, 0, 9, 0, 0), "activation: no range"),
        (ADD_OP, (1, 0, 0, 0, -128, 127, 9, 0, 9, 1, 9, 0, 0), "add: a shift outside"),
        (ADD_OP, (1, 0, 0, 0, -128, 127, 9, 0, 9, 0, -9, 0, 0), "add: a multiplier is negative"),
        (MEAN_OP, (1, 0, 1, 0, 9, 0, 0), "x: an extent"),
        (MEAN_OP, (1, 1, 1, 0, -9, 0, 0), "scaling: a multiplier is negative"),
        (MEAN_OP, (1, 1, 1, 0, 9, 31, 0), "scaling: a shift outside"),
        (MEAN_OP, (1, 1, 1, 0, 9, 0, 128), "y: zero point outside"),
    ],
)
def test_operators_without_weights_that_make_no_sense_are_refused(
    kernels: KernelProcess, op: int, integers: tuple[int, ...], message: str
) -> None:
    with pytest.raises(RefusedError, match=message):
        kernels.exchange(op, integers, [np.zeros(1, np.int8), np.zeros(1, np.int8)])


@pytest.mark.parametrize(
    ("change", "activation", "message"),
    [
        ({"kernel_rows": 2}, (-128, 127), "y: rows"),
        ({"dilation_rows": 2}, (-128, 127), "dilation: a pool has none"),
        ({"out_channels": 2}, (-128, 127), "y: its channels"),
        ({"pad_top": 1, "out_rows": 2}, (-128, 127), "pads: as large as the kernel"),
        ({}, (5, 4), "activation: no range"),
    ],
)
def test_pools_that_make_no_sense_are_refused(
    kernels: KernelProcess, change: dict[str, int], activation: tuple[int, int], message: str
) -> None:
    x = [np.zeros(1, np.int8)]
    kernels.exchange(POOL_OP, (*SOUND.values(), 0, -128, 127), x)
    with pytest.raises(RefusedError, match=message):
        kernels.exchange(POOL_OP, (*{**SOUND, **change}.values(), 0, *activation), x)


@pytest.mark.parametrize("case", list(long_sums()))
def test_partial_sum_of_many_positions(kernels: KernelProcess, case: Case) -> None:
    assert_equal(kernels, case)


@settings(max_examples=100)
@given(case=requantize_cases())
def test_requantize(kernels: KernelProcess, case: Case) -> None:
    assert_equal(kernels, case)


@settings(max_examples=300)
@given(case=fused_block_cases())
def test_fused_block(kernels: KernelProcess, case: Case) -> None:
    assert_equal(kernels, case)


@settings(max_examples=400)
@given(case=window_cases())
def test_fused_block_with_windows_and_chains(kernels: KernelProcess, case: Case) -> None:
    assert_equal(kernels, case)


@settings(max_examples=150)
@given(case=middle_cases())
def test_fused_block_that_adds_a_part_of_x(kernels: KernelProcess, case: Case) -> None:
    assert_equal(kernels, case)


@settings(max_examples=300)
@given(case=chain_cases())
def test_chain(kernels: KernelProcess, case: Case) -> None:
    """Whole, and in pieces and tiles; what a piece too few would make is not taken for a result."""
    answer = kernels.answer(case.node, case.arrays)
    np.testing.assert_array_equal(answer.array(case.node), run_chain_case(case), strict=True)
    assert answer.scratch_bytes == chain_scratch(case.node)


@settings(max_examples=300)
@given(case=st.one_of(fused_block_cases(), window_cases(), middle_cases()))
def test_fused_block_over_what_it_reads(kernels: KernelProcess, case: Case) -> None:
    """y as high over x, or over what is added, as a plan may put it (``memory.overlays``)."""
    (node,), results = [case.node], run_case(case)
    graph = Graph("block", tuple(v for v in node.operands if v.is_computed), node.outputs, [node])
    for overlay in find_overlays(graph):
        operand = 0 if overlay.operand is node.input(0) else 2
        for distance in {overlay.high_bytes, min(overlay.high_bytes, 0)}:
            made = kernels.run_over(node, case.arrays, operand, distance)
            np.testing.assert_array_equal(made, results)


@settings(max_examples=300)
@given(case=fused_block_cases())
def test_a_fused_block_reads_nothing_before_it_has_come(kernels: KernelProcess, case: Case) -> None:
    """x comes in pieces in any order; what has not come reads as something else."""
    _, integers, arrays = message_of(case.node, case.arrays)
    answer = kernels.exchange(ARRIVING_BLOCK, integers, arrays)
    np.testing.assert_array_equal(answer.array(case.node), run_case(case), strict=True)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 5)])
@pytest.mark.parametrize("op", [wire.CONV_2D, wire.DEPTHWISE_CONV_2D])
def test_every_combination_of_pads(
    kernels: KernelProcess, op: str, kernel: tuple[int, int], stride: int
) -> None:
    for case in every_pad_cases(op, kernel, stride):
        assert_equal(kernels, case)


@settings(max_examples=100)
@given(case=st.one_of(conv_2d_cases(), depthwise_cases()))
def test_sums_wrap(kernels: KernelProcess, case: Case) -> None:
    """Biases at the ends of int32: additions are modulo 2**32, and nothing is undefined."""
    bias = case.node.inputs[2]
    if bias is not None and bias.data is not None:
        ends = np.array([-(2**31), 2**31 - 1, -(2**31) + 5], np.int64).astype(np.int32)
        bias.data = np.resize(ends, bias.shape)
    assert_equal(kernels, case)


SOUND = {
    **dict.fromkeys(WINDOW_FIELDS, 1),
    **dict.fromkeys((f"pad_{side}" for side in ("top", "bottom", "left", "right")), 0),
}


@pytest.mark.parametrize(
    ("op", "change", "message"),
    [
        (0, {"in_rows": 0}, "x: an extent"),
        (0, {"kernel_columns": 0}, "weights: an extent"),
        (0, {"stride_rows": 0}, "stride"),
        (0, {"dilation_columns": -1}, "dilation"),
        (0, {"pad_left": -1}, "pads"),
        (0, {"x_zero_point": 128}, "x: zero point"),
        (0, {"kernel_rows": 3}, "y: rows"),
        (0, {"out_columns": 2}, "y: columns"),
        (0, {"kernel_channels": 2}, "weights: their input channels"),
        (0, {"in_channels": 2}, "weights: their output channels"),
        (0, {"in_channels": 2**31 - 1, "batches": 2}, "x or y: too large"),
        (0, {"out_channels": 2**30, "batches": 2}, "x or y: too large"),
        (0, {"pad_right": 2**31 - 1, "out_columns": -(2**31)}, "y: columns"),
        (1, {"in_channels": 2}, "weights: their channels are no multiple"),
        (2, {"in_columns": 0}, "x: an extent"),
    ],
)
def test_windows_that_make_no_sense_are_refused(
    kernels: KernelProcess, op: int, change: dict[str, int], message: str
) -> None:
    finish = () if op == 2 else FINISH
    kernels.exchange(op, (*SOUND.values(), *finish), constants_of(op))
    with pytest.raises(RefusedError, match=message):
        kernels.exchange(op, (*{**SOUND, **change}.values(), *finish), constants_of(op))


FINISH = (0, 0, -128, 127)
"""Rounding, zero point, activation."""


def constants_of(op: int, *finish: int) -> list[np.ndarray]:
    """x and constants of one channel and one product; finish: multiplier, addend, shift."""
    multiplier, addend, shift = finish or (0, 0, 0)
    head = {
        0: [0, 0, multiplier, addend, shift, 0, 0, 0, 0, 0],
        1: [0, shift, multiplier, addend, 0],
        2: [0, 0, 0, 0],
        3: [0, 0, 0, 0],
        4: [0, shift, multiplier, addend],
    }[op]
    return [np.zeros(1, np.int32 if op == 4 else np.int8), np.array(head, np.int32)]


@pytest.mark.parametrize(
    ("stored", "finish", "message"),
    [
        ((-1, 0, 0), FINISH, "multiplier is negative"),
        ((1, 0, 31), FINISH, r"shift outside -31\.\.30"),
        ((1, 0, -32), FINISH, r"shift outside -31\.\.30"),
        ((1, 1, 0), FINISH, "an addend without short rounding"),
        ((1, 1, 0), (1, 0, -128, 127), r"shift outside 1\.\.30"),
        ((1, 1, 31), (2, -128, -128, 127), r"shift outside 1\.\.30"),
        ((1, 3, 1), (1, 0, -128, 127), "addend does not follow"),
        ((1, 1, 1), (2, 0, -128, 127), "rounding: 2 needs"),
        ((1, 1, 1), (3, 0, -128, 127), "rounding: not 0, 1 or 2"),
        ((1, 1, 1), (-1, 0, -128, 127), "rounding: not 0, 1 or 2"),
        ((1, 0, 0), (0, 128, -128, 127), "y: zero point"),
        ((1, 0, 0), (0, 0, 5, 4), "activation"),
        ((1, 0, 0), (0, 0, -129, 4), "activation"),
    ],
)
@pytest.mark.parametrize("op", [0, 1, 4])
def test_requantizations_that_make_no_sense_are_refused(
    kernels: KernelProcess,
    op: int,
    stored: tuple[int, ...],
    finish: tuple[int, ...],
    message: str,
) -> None:
    shape = (1, 1) if op == 4 else tuple(SOUND.values())
    kernels.exchange(op, (*shape, 1, 0, -128, 127), constants_of(op, 1, 1, 1))
    with pytest.raises(RefusedError, match=message):
        kernels.exchange(op, (*shape, *finish), constants_of(op, *stored))


@pytest.mark.parametrize("op", [0, 1, 2, 3, 4])
def test_constants_of_another_size_are_refused(kernels: KernelProcess, op: int) -> None:
    shape = {3: (1, 1, 1, 0), 4: (1, 1)}.get(op, tuple(SOUND.values()))
    integers = (*shape, *(() if op in (2, 3) else FINISH))
    x, constants = constants_of(op)
    kernels.exchange(op, integers, (x, constants))
    for other in (constants[:-1], np.append(constants, constants[:1]), None):
        with pytest.raises(RefusedError, match="constants: their size"):
            kernels.exchange(op, integers, (x, other))


@pytest.mark.parametrize("integers", [(0, 1, 1, 0), (1, 0, 1, 0), (1, 1, 0, 0), (1, 1, 1, 200)])
def test_fully_connected_that_makes_no_sense_is_refused(
    kernels: KernelProcess, integers: tuple[int, ...]
) -> None:
    with pytest.raises(RefusedError):
        kernels.exchange(3, integers, constants_of(3))


STAGE = (*{**SOUND, "x_zero_point": 0}.values(), *FINISH)
FIELD_AT = {
    field: index for index, field in enumerate((*WINDOW_FIELDS, "rounding", "y_zero_point"))
}
BLOCK_CONSTANTS = (constants_of(0)[1], constants_of(1)[1], constants_of(0)[1])


def exchange_block(
    kernels: KernelProcess,
    changes: dict[str, int],
    tile_columns: int = 0,
    parts: tuple[np.ndarray, ...] = BLOCK_CONSTANTS,
    add: tuple[int, ...] = (0,) * 13,
    window_columns: int = 0,
    chained: bool = False,
) -> None:
    """A block of 1x1x1 everywhere, changed. ``"2 in_rows"``: that field of stage 2.

    chained: with a first unit, whose stages are 3 to 5.
    """
    stages = [list(STAGE) for _ in range(6 if chained else 3)]
    for where, number in changes.items():
        stage, field = where.split()
        stages[int(stage)][FIELD_AT[field]] = number
    head = 0, tile_columns, 1, window_columns, int(chained), int(chained)
    integers = (*head, *add, *(n for s in stages for n in s))
    parts = (*parts, *parts) if chained else parts
    arrays = (np.zeros(1, np.int8), np.concatenate(parts), np.zeros(1, np.int8))
    kernels.exchange(5, integers, arrays)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"0 in_rows": 0}, "x: an extent"),
        ({"0 in_channels": 2, "0 out_channels": 2}, "expansion: grouped"),
        ({"0 out_channels": 2}, "expansion: its result"),
        ({"0 pad_top": 1, "0 out_rows": 2}, "expansion: its result"),
        ({"0 y_zero_point": 3}, "expansion: its result"),
        ({"1 x_zero_point": 3}, "expansion: its result"),
        ({"0 y_zero_point": 200, "1 x_zero_point": 200}, "y: zero point"),
        ({"1 stride_rows": 0}, "stride"),
        ({"1 out_channels": 2}, "depthwise convolution: with a channel multiplier"),
        ({"2 in_channels": 2, "2 kernel_channels": 2}, "projection: does not read"),
        ({"2 in_channels": 2, "2 out_channels": 2}, "projection: grouped"),
        ({"2 kernel_rows": 2, "2 pad_top": 1}, "projection: not 1x1"),
        ({"2 stride_rows": 2}, "projection: not 1x1"),
        ({"2 pad_left": 1, "2 out_columns": 2}, "projection: not 1x1"),
        ({"2 x_zero_point": 3}, "projection: does not read"),
        ({"2 batches": 2}, "projection: does not read"),
    ],
)
def test_blocks_that_make_no_sense_are_refused(
    kernels: KernelProcess, changes: dict[str, int], message: str
) -> None:
    exchange_block(kernels, {})
    with pytest.raises(RefusedError, match=message):
        exchange_block(kernels, changes)


ADD = (1, 0, 0, 0, -128, 127, 1, 0, 1, 0, 1, 0, 0)


@pytest.mark.parametrize(
    ("place", "number", "message"),
    [
        (1, 128, "add: zero point"),
        (2, -129, "add: zero point"),
        (3, 128, "add: zero point"),
        (4, 128, "activation: no range"),
        (6, -1, "add: a multiplier is negative"),
        (9, 1, r"add: a shift outside -31\.\.0"),
        (11, -32, r"add: a shift outside -31\.\.0"),
    ],
)
def test_adds_that_make_no_sense_are_refused(
    kernels: KernelProcess, place: int, number: int, message: str
) -> None:
    exchange_block(kernels, {}, add=ADD)
    with pytest.raises(RefusedError, match=message):
        exchange_block(kernels, {}, add=(*ADD[:place], number, *ADD[place + 1 :]))


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_constants_of_every_stage_are_looked_at(kernels: KernelProcess, stage: int) -> None:
    parts = list(BLOCK_CONSTANTS)
    parts[stage] = constants_of(1 if stage == 1 else 0, -1, 0, 0)[1]
    with pytest.raises(RefusedError, match="multiplier is negative"):
        exchange_block(kernels, {}, parts=tuple(parts))
    with pytest.raises(RefusedError, match="constants: their size"):
        exchange_block(kernels, {}, parts=(*BLOCK_CONSTANTS[:stage], parts[1][:2]))


def test_tiles_of_negative_columns_are_refused(kernels: KernelProcess) -> None:
    exchange_block(kernels, {}, tile_columns=7)
    with pytest.raises(RefusedError, match="tile_columns"):
        exchange_block(kernels, {}, tile_columns=-1)


@pytest.mark.parametrize("op", [0, 1, 2])
@pytest.mark.parametrize("axis", ["rows", "columns"])
def test_the_dilation_of_a_single_tap_may_be_anything(
    kernels: KernelProcess, op: int, axis: str
) -> None:
    """Padding around 3x3 values, of which a kernel of 2 by 1 (or 1 by 2) sees some."""
    across = "columns" if axis == "rows" else "rows"
    window = {
        **SOUND, "in_rows": 3, "in_columns": 3, f"kernel_{across}": 2, f"dilation_{across}": 2,
        "pad_top": 1, "pad_bottom": 2, "pad_left": 2, "pad_right": 1,
    }  # fmt: skip
    window[f"out_{axis}"], window[f"out_{across}"] = 6, 4
    x = np.arange(9, dtype=np.int8)
    head = {0: [0, 0, 2**30, 0, 1, 0, 0, 0], 1: [0, 1, 2**30, 0], 2: [0, 0]}[op]
    # Two products of a pair's first channel; of taps two rows, or two columns of one row.
    weights = [3, -5, 0, 0] if op == 1 and axis == "rows" else [3, 0, 0, 0, -5, 0, 0, 0]
    arrays = [x, np.concatenate([np.array(head, "<i4").view(np.int8), np.array(weights, np.int8)])]
    finish = () if op == 2 else FINISH

    def result(dilation: int) -> bytes:
        changed = {**window, f"dilation_{axis}": dilation}
        return kernels.exchange(op, (*changed.values(), *finish), arrays).y

    assert any(result(1))
    for dilation in (2, 2**31 - 1):
        assert result(dilation) == result(1)


@pytest.mark.parametrize("taps", [65_000, 70_000, 140_000])
@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("layout", ["channels", "columns", "fully connected"])
def test_sums_of_extreme_values_wrap_as_those_of_tflm(
    kernels: KernelProcess, taps: int, channels: int, layout: str
) -> None:
    """(-128 - 127) * -128 leaves int32 after 65,793 taps; without zero point -128 * -128 later."""
    x, weights = np.full(taps, -128, np.int8), np.full((channels, taps), -128, np.int8)
    for zero_point in (127, 0):
        total = np.array(taps * (-128 - zero_point) * -128, np.int64).astype(np.int32)
        folded = np.full(channels, -zero_point * taps * -128, np.int64).astype(np.int32)
        arrays = x, pack_pairs(weights, folded, 1, None)
        if layout == "fully connected":
            answer = kernels.exchange(3, (1, taps, channels, zero_point), arrays)
        else:
            window = {**SOUND, "out_channels": channels, "x_zero_point": zero_point}
            if layout == "channels":
                window |= {"in_channels": taps, "kernel_channels": taps}
            else:
                window |= {"in_columns": taps, "kernel_columns": taps}
            answer = kernels.exchange(2, tuple(window.values()), arrays)
        np.testing.assert_array_equal(np.frombuffer(answer.y, np.int32), total)


@pytest.mark.parametrize("channels", [1, 6])
def test_depthwise_sums_of_extreme_values_wrap_as_those_of_tflm(
    kernels: KernelProcess, channels: int
) -> None:
    """70,000 taps of 32,640 are -2,010,167,296 modulo 2^32; a shift of -26 makes that -30."""
    window = {
        **SOUND, "in_columns": 70_000, "kernel_columns": 70_000, "x_zero_point": 127,
        "in_channels": channels, "out_channels": channels,
    }  # fmt: skip
    extreme = np.full(70_000 * channels, -128, np.int8)
    folded = np.full(channels, 127 * 70_000 * 128, np.int64).astype(np.int32)
    tables = [np.full(channels, number, np.int32) for number in (2**31 - 1, -26, 0)]
    constants = pack_taps(extreme.reshape(channels, 1, -1), folded, Short(Rounding.ANY, *tables))
    answer = kernels.exchange(1, (*window.values(), *FINISH), (extreme, constants))
    np.testing.assert_array_equal(np.frombuffer(answer.y, np.int8), np.int8(-30))


def test_the_sanitizers_are_awake(executable: Path) -> None:
    """x one byte shorter than its shape says: the driver must die, with a report."""
    process = KernelProcess(executable)
    shape = {**SOUND, "in_columns": 8, "out_columns": 8}
    with pytest.raises(AssertionError, match="heap-buffer-overflow"):
        process.exchange(2, tuple(shape.values()), [np.zeros(7, np.int8), constants_of(2)[1]])


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({}, {"window_columns": -1}, "window_columns: negative"),
        ({}, {"window_columns": 2, "tile_columns": 1}, "window_columns: not with tiles"),
        ({}, {"chained": True}, "chained: needs window_columns"),
        ({"3 in_rows": 0}, {}, "x: an extent"),
        ({"4 y_zero_point": 3}, {}, "projection: does not read"),
        ({"5 y_zero_point": 3}, {}, "chained: does not read"),
        ({"0 pad_top": 1, "0 out_rows": 2, "1 in_rows": 2}, {}, "y: rows do not follow"),
        ({"5 rounding": 3}, {}, "rounding"),
    ],
)
def test_windows_and_chains_that_make_no_sense_are_refused(
    kernels: KernelProcess, changes: dict[str, int], options: dict[str, Any], message: str
) -> None:
    whole: dict[str, Any] = {"window_columns": 1, "chained": True}
    exchange_block(kernels, {}, **whole)
    with pytest.raises(RefusedError, match=message):
        exchange_block(kernels, changes, **(options or whole))
