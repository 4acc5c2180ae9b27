# SPDX-License-Identifier: Apache-2.0
"""The budget of our own operators is what the firmware's kernels keep."""

import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.op_cases import filters, integers, tensor
from tests.ops.custom_cases import (
    conv_2d_cases,
    depthwise_cases,
    fused_block_cases,
    middle_cases,
    partial_conv_2d_cases,
    partial_fully_connected_cases,
    partial_sum_cases,
    requantize_cases,
    window_cases,
)
from tests.ops.unweighted_cases import add_cases, mean_cases, pool_cases
from tflsplit.ir import Attrs, Graph, Node
from tflsplit.memory import CORTEX_M, HOST_64, custom, predict_arena
from tflsplit.memory.abi import struct_layout
from tflsplit.memory.demand import node_demand
from tflsplit.ops.own.custom import conv_2d
from tflsplit.ops.own.packed import is_packable, packed
from tflsplit.ops.own.scratch import scratch_bytes
from tflsplit.wire import custom_ops as wire

BINDING = Path(__file__).resolve().parents[2] / "tflm_app" / "lib" / "split_tflm" / "src"


def test_every_operator_of_ours_has_a_budget():
    assert set(custom.OP_DATA) == {
        value for value in vars(wire).values()
        if isinstance(value, str) and value.startswith("TFLSPLIT_")
    }  # fmt: skip


def test_the_budget_is_what_the_binding_asserts_of_its_struct():
    """Measured on the target by tests/firmware; here without a compiler."""
    sources = "".join(path.read_text() for path in BINDING.glob("*.[ch]*"))
    asserted = {int(n) for n in re.findall(r"static_assert\(sizeof\(OpData\) == (\d+)", sources)}
    sizes = {struct_layout(fields, CORTEX_M).size_bytes for fields in custom.OP_DATA.values()}
    assert asserted == sizes - {0} == {12}
    transfers = (BINDING / "transfers.cc").read_text()
    assert "AllocatePersistentBuffer" not in transfers
    assert "RequestScratch" not in transfers
    assert not custom.OP_DATA[wire.SEND]
    assert not custom.OP_DATA[wire.RECV]


def test_the_budget_has_no_pointers_and_is_the_same_on_every_target():
    for fields in custom.OP_DATA.values():
        assert struct_layout(fields, CORTEX_M) == struct_layout(fields, HOST_64)


@settings(max_examples=40)
@given(
    st.one_of(
        conv_2d_cases(),
        depthwise_cases(),
        partial_conv_2d_cases(),
        partial_fully_connected_cases(),
        partial_sum_cases(),
        requantize_cases(max_channels=40),
        fused_block_cases(),
        middle_cases(),
        window_cases(),
        add_cases(),
        mean_cases(),
        pool_cases(),
    )
)
def test_scratch_is_that_of_the_kernels_in_either_form_and_flavour(case):
    """Which is compared with what the kernels ask for in tests/test_split_kernels.py."""
    size = scratch_bytes(case.node)
    is_packed = is_packable(case.node)
    forms = [packed(case.node), packed(case.node, sizes_only=True)] if is_packed else []
    for node in (case.node, *forms):
        for flavour in ("reference", "cmsis_nn"):
            scratch = node_demand(node, CORTEX_M, flavour).prepared.scratch
            assert scratch == ((size,) if size else ())


def test_our_convolution_keeps_no_tables_where_stock_keeps_eight_bytes_a_channel():
    channels = 512
    x, y = tensor((1, 1, 1, 8)), tensor((1, 1, 1, channels))
    weights = filters((channels, 1, 1, 8), channels, 0)
    table = integers(*[0] * channels)
    stock_attrs = Attrs(padding=1, stride_h=1, stride_w=1, dilation_h_factor=1, dilation_w_factor=1)
    stock = Node("CONV_2D", (x, weights, table), (y,), stock_attrs, name="n")
    ours = packed(conv_2d(x, weights, table, table, table, y, name="n"))
    tails = [predict_arena(Graph("g", (x,), (y,), [node])).tail_bytes for node in (stock, ours)]
    assert tails[0] - tails[1] > 8 * channels - 64
