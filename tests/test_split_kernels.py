# SPDX-License-Identifier: Apache-2.0
"""The C++ kernels give the bits of the NumPy semantics, under AddressSanitizer and UBSan."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from tests.kernels.kernel_driver import (
    WINDOW_FIELDS,
    CmsisNn,
    KernelProcess,
    RefusedError,
    build,
)
from tests.ops.custom_cases import (
    Case,
    conv_2d_cases,
    depthwise_cases,
    every_pad_cases,
    fused_block_cases,
    partial_conv_2d_cases,
    partial_fully_connected_cases,
    requantize_cases,
    run_case,
)
from tflsplit.ops.fused import scratch_of
from tflsplit.wire import custom_ops as wire

# With CMSIS-NN everything runs twice; without, one test says what it needs.
KERNELS = ["portable", *(["cmsis_nn"] if "TFLSPLIT_CMSIS_NN_DIR" in os.environ else [])]


@pytest.fixture(scope="module", params=KERNELS)
def executable(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    cmsis_nn = CmsisNn.find("host") if request.param == "cmsis_nn" else None
    return build(tmp_path_factory.mktemp("kernels"), cmsis_nn)


@pytest.fixture(scope="module")
def kernels(executable: Path) -> Iterator[KernelProcess]:
    process = KernelProcess(executable)
    yield process
    process.close()


def assert_equal(kernels: KernelProcess, case: Case) -> None:
    expected = run_case(case)
    np.testing.assert_array_equal(kernels.run(case.node, case.arrays), expected, strict=True)


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


@settings(max_examples=100)
@given(case=requantize_cases())
def test_requantize(kernels: KernelProcess, case: Case) -> None:
    assert_equal(kernels, case)


@settings(max_examples=300)
@given(case=fused_block_cases())
def test_fused_block(kernels: KernelProcess, case: Case) -> None:
    answer = kernels.answer(case.node, case.arrays)
    np.testing.assert_array_equal(answer.array(case.node), run_case(case), strict=True)
    assert answer.scratch_bytes == scratch_of(case.node).total_bytes


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 5)])
@pytest.mark.parametrize("op", [wire.CONV_2D, wire.DEPTHWISE_CONV_2D])
def test_every_combination_of_pads(
    kernels: KernelProcess, op: str, kernel: tuple[int, int], stride: int
) -> None:
    for case in every_pad_cases(op, kernel, stride):
        assert_equal(kernels, case)


def test_cmsis_nn_is_tested_too() -> None:
    CmsisNn.find("host")
    assert "cmsis_nn" in KERNELS


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
    int8, int32 = np.zeros(1, np.int8), np.zeros(1, np.int32)
    arrays = (int8, int8) if op == 2 else (int8, int8, int32, int32, int32)
    finish = () if op == 2 else (0, -128, 127)
    kernels.exchange(op, (*SOUND.values(), *finish), arrays)
    with pytest.raises(RefusedError, match=message):
        kernels.exchange(op, (*{**SOUND, **change}.values(), *finish), arrays)


@pytest.mark.parametrize(
    ("multiplier", "shift", "finish", "message"),
    [
        (-1, 0, (0, -128, 127), "multiplier: negative"),
        (1, 31, (0, -128, 127), "shift: outside"),
        (1, -32, (0, -128, 127), "shift: outside"),
        (1, 0, (128, -128, 127), "y: zero point"),
        (1, 0, (0, 5, 4), "activation"),
        (1, 0, (0, -129, 4), "activation"),
    ],
)
def test_requantizations_that_make_no_sense_are_refused(
    kernels: KernelProcess, multiplier: int, shift: int, finish: tuple[int, ...], message: str
) -> None:
    tables = [np.array([number], np.int32) for number in (0, 0, multiplier, shift)]
    with pytest.raises(RefusedError, match=message):
        kernels.exchange(4, (1, 1, *finish), tables)


@pytest.mark.parametrize("integers", [(0, 1, 1, 0), (1, 0, 1, 0), (1, 1, 0, 0), (1, 1, 1, 200)])
def test_fully_connected_that_makes_no_sense_is_refused(
    kernels: KernelProcess, integers: tuple[int, ...]
) -> None:
    with pytest.raises(RefusedError):
        kernels.exchange(3, integers, [np.zeros(1, np.int8)] * 2)


STAGE = (*{**SOUND, "x_zero_point": 0}.values(), 0, -128, 127)
WINDOW_AT = {field: index for index, field in enumerate(WINDOW_FIELDS)}


def exchange_block(
    kernels: KernelProcess,
    changes: dict[str, int],
    missing: tuple[int, ...] = (),
    tile_columns: int = 0,
) -> None:
    """A block of 1x1x1 everywhere, changed. ``"2 in_rows"``: that field of stage 2."""
    stages = [list(STAGE) for _ in range(3)]
    for where, number in changes.items():
        stage, field = where.split()
        stages[int(stage)][WINDOW_AT.get(field, len(WINDOW_FIELDS))] = number
    tables: list[np.ndarray | None] = [np.zeros(1, np.int8)]
    for _ in range(3):
        tables += [np.zeros(1, np.int8), *(np.zeros(1, np.int32) for _ in range(3))]
    arrays = [None if index in missing else array for index, array in enumerate(tables)]
    kernels.exchange(5, (0, tile_columns, *(n for s in stages for n in s)), arrays)


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


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ((5,), "weights"),
        ((9,), "weights"),
        ((3,), "multiplier"),
        ((8,), "multiplier"),
        ((11,), "multiplier"),
    ],
)
def test_blocks_without_an_operand_are_refused(
    kernels: KernelProcess, missing: tuple[int, ...], message: str
) -> None:
    exchange_block(kernels, {}, missing=(2, 6, 10))  # without any bias
    exchange_block(kernels, {}, missing=(1, 2, 3, 4))  # without expansion
    with pytest.raises(RefusedError, match=message):
        exchange_block(kernels, {}, missing)


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
    x, weights = np.arange(9, dtype=np.int8), np.array([3, -5], np.int8)
    tables = () if op == 2 else (np.array([number], np.int32) for number in (0, 2**30, 1))
    arrays = [x, weights, *tables]
    finish = () if op == 2 else (0, -128, 127)

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
    x, weights = np.full(taps, -128, np.int8), np.full(channels * taps, -128, np.int8)
    for zero_point in (127, 0):
        total = np.array(taps * (-128 - zero_point) * -128, np.int64).astype(np.int32)
        if layout == "fully connected":
            answer = kernels.exchange(3, (1, taps, channels, zero_point), (x, weights))
        else:
            window = {**SOUND, "out_channels": channels, "x_zero_point": zero_point}
            if layout == "channels":
                window |= {"in_channels": taps, "kernel_channels": taps}
            else:
                window |= {"in_columns": taps, "kernel_columns": taps}
            answer = kernels.exchange(2, tuple(window.values()), (x, weights))
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
    tables = [np.full(channels, number, np.int32) for number in (0, 2**31 - 1, -26)]
    answer = kernels.exchange(1, (*window.values(), 0, -128, 127), (extreme, extreme, *tables))
    np.testing.assert_array_equal(np.frombuffer(answer.y, np.int8), np.int8(-30))


def test_the_sanitizers_are_awake(executable: Path) -> None:
    """x one byte shorter than its shape says: the driver must die, with a report."""
    process = KernelProcess(executable)
    shape = {**SOUND, "in_columns": 8, "out_columns": 8}
    with pytest.raises(AssertionError, match="heap-buffer-overflow"):
        process.exchange(2, tuple(shape.values()), [np.zeros(7, np.int8), np.zeros(1, np.int8)])
