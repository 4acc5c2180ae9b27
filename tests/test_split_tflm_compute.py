# SPDX-License-Identifier: Apache-2.0
"""The compute operators as registered with TFLM: the same bits, and refusals in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.kernels.kernel_driver import Answer, KernelProcess, RefusedError
from tests.kernels.tflm_build import build_tflm_driver
from tests.ops.chain_cases import chain_cases, run_chain_case
from tests.ops.custom_cases import (
    Case,
    conv_2d_cases,
    depthwise_cases,
    fused_block_cases,
    middle_cases,
    partial_conv_2d_cases,
    partial_fully_connected_cases,
    partial_sum_cases,
    requantize_cases,
    run_case,
    window_cases,
)
from tests.ops.unweighted_cases import add_cases, mean_cases, pool_cases
from tflsplit.ir import AttrValue, Graph, Node
from tflsplit.ops.own.packed import is_packable, packed
from tflsplit.ops.own.scratch import scratch_bytes
from tflsplit.tflite import write_model
from tflsplit.wire import custom_ops as wire

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("tflm") / "tflm_driver"
    build_tflm_driver(found)
    return found


@pytest.fixture(scope="module")
def tflm(program: Path) -> Iterator[KernelProcess]:
    process = KernelProcess(program)
    yield process
    process.close()


def run(tflm: KernelProcess, node: Node, x: NDArray[Any]) -> Answer:
    model = write_model(Graph("case", (node.input(0),), (node.output,), [node]))
    parts = (np.array([len(model)], "<i4"), model, np.array([x.nbytes], "<i4"), x)
    return tflm.ask(b"".join(bytes(part) for part in parts))


def assert_equal(tflm: KernelProcess, case: Case) -> None:
    node = packed(case.node) if is_packable(case.node) else case.node
    if len(case.arrays) > 1:  # the driver gives one input: what is added is a constant
        residual = replace(node.input(2), data=case.arrays[1])
        node = replace(node, inputs=(*node.inputs[:2], residual))
    answer = run(tflm, node, case.arrays[0])
    meaning = run_chain_case if node.op == wire.CHAIN else run_case
    np.testing.assert_array_equal(answer.array(case.node), meaning(case), strict=True)
    assert answer.scratch_bytes > scratch_bytes(case.node)


CASES = {
    wire.CONV_2D: conv_2d_cases(),
    wire.DEPTHWISE_CONV_2D: depthwise_cases(),
    wire.PARTIAL_CONV_2D: partial_conv_2d_cases(),
    wire.PARTIAL_FULLY_CONNECTED: partial_fully_connected_cases(),
    wire.PARTIAL_SUM: partial_sum_cases(),
    wire.REQUANTIZE: requantize_cases(max_channels=40),
    wire.FUSED_BLOCK: st.one_of(fused_block_cases(), window_cases(), middle_cases()),
    wire.CHAIN: chain_cases(whole=True),
    wire.ADD: add_cases(other_is_constant=True),
    wire.MEAN: mean_cases(),
    wire.POOL_2D: pool_cases(),
}


@pytest.mark.parametrize("op", CASES)
@settings(max_examples=60)
@given(data=st.data())
def test_the_same_bits_under_tflm(tflm: KernelProcess, op: str, data: st.DataObject) -> None:
    assert_equal(tflm, data.draw(CASES[op]))


def one_block() -> Case:
    """A block with expansion that requantizes."""
    found: list[Case] = []

    @settings(max_examples=50, derandomize=True, database=None)
    @given(fused_block_cases())
    def look(case: Case) -> None:
        is_plain = case.node.inputs[12] is not None and len(case.node.inputs) == 13
        if case.node.inputs[1] is not None and is_plain:
            found.append(case)

    look()
    return found[-1]


BLOCK = one_block()
PACKED = packed(BLOCK.node)
EXPAND = PACKED.attrs.integers("expand") or ()


def with_int(index: int, number: int) -> tuple[int, ...]:
    return (*EXPAND[:index], number, *EXPAND[index + 1 :])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"v": 1}, "option 'v' is of a version"),
        ({"sum": 2}, "option 'sum' is out of range"),
        ({"sum": 1}, "y must be int8, or int32 sums"),
        ({"tile_columns": -1}, "option 'tile_columns' is out of range"),
        ({"depthwise": EXPAND[:11]}, "option 'depthwise' has another number of elements"),
        ({"expand": EXPAND[:11]}, "option 'expand' has another number of elements"),
        ({"expand": ()}, "(weights: their channels are no|constants: their size)"),
        ({"expand": with_int(12, 0)}, "weights: an extent"),
        ({"expand": with_int(14, 0)}, "weights: an extent"),
        ({"expand": with_int(15, 3)}, "rounding: not 0, 1 or 2"),
        ({"rounding": 3}, "option 'rounding' is out of range"),
        ({"expand": with_int(0, 0)}, "stride: not positive"),
        ({"expand": with_int(3, -1)}, "dilation: not positive"),
        ({"expand": with_int(5, -1)}, "pads: negative"),
        ({"expand": with_int(9, 128)}, "activation: no range"),
        ({"expand": with_int(10, 128)}, "zero point outside"),
        ({"expand": with_int(4, 100)}, "y does not follow"),
        ({"activation": (5, 4)}, "activation: no range"),
        ({"window_columns": 2, "tile_columns": 1}, "window_columns: not with tiles"),
        ({"first_depthwise": (1,) * 16}, "options of a first unit are missing"),
        ({"first_depthwise": (1,) * 16, "first_project": (1,) * 15}, "option 'first_project' has"),
        ({"first_depthwise": (1,) * 16, "first_project": (1,) * 16}, "needs window_columns"),
    ],
)
def test_blocks_that_make_no_sense_are_refused(
    tflm: KernelProcess, changes: dict[str, AttrValue], message: str
) -> None:
    assert_equal(tflm, BLOCK)
    node = replace(PACKED, attrs=PACKED.attrs.replace(**changes))
    with pytest.raises(RefusedError, match=f"TFLSPLIT_FUSED_BLOCK: .*{message}"):
        run(tflm, node, BLOCK.arrays[0])


def test_compute_operators_need_no_exchange(program: Path) -> None:
    """docs/firmware.md, 'In an application of your own': a refusal is then without words."""
    alone = KernelProcess(program, "alone")
    assert_equal(alone, BLOCK)
    bad = replace(PACKED, attrs=PACKED.attrs.replace(rounding=3))
    with pytest.raises(RefusedError, match="TFLM takes the graph not"):
        run(alone, bad, BLOCK.arrays[0])
    alone.close()


@pytest.mark.parametrize("kept", [0, 1])
def test_a_block_without_an_operand_is_refused(tflm: KernelProcess, kept: int) -> None:
    inputs = tuple(value if at == kept else None for at, value in enumerate(PACKED.inputs))
    node = replace(PACKED, inputs=inputs)
    model = write_model(Graph("case", (PACKED.input(0),), (node.output,), [node]))
    x = BLOCK.arrays[0]
    parts = (np.array([len(model)], "<i4"), model, np.array([x.nbytes], "<i4"), x)
    with pytest.raises(RefusedError, match="TFLSPLIT_FUSED_BLOCK: takes x and a constant"):
        tflm.ask(b"".join(bytes(part) for part in parts))


def test_constants_that_are_too_short_are_refused(tflm: KernelProcess) -> None:
    """Nothing is read behind them: the size is checked before any record is."""
    constants = PACKED.input(1)
    assert constants.data is not None
    short = replace(constants, data=constants.data[:-4], shape=(constants.size - 4,))
    node = replace(PACKED, inputs=(PACKED.input(0), short))
    with pytest.raises(RefusedError, match="constants: their size does not follow"):
        run(tflm, node, BLOCK.arrays[0])
