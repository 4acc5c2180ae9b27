# SPDX-License-Identifier: Apache-2.0
"""The budget of our own operators is what the firmware's kernels keep."""

import re
from pathlib import Path

import pytest

from tests.memory.op_cases import filters, integers, tensor
from tflsplit.ir import Attrs, Graph, Node
from tflsplit.memory import CORTEX_M, HOST_64, custom, predict_arena
from tflsplit.memory.abi import struct_layout
from tflsplit.memory.demand import node_demand
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


def window(op, shape, weights, pads=(0, 0, 0, 0), stride=(1, 1), dilation=(1, 1), bias=True):
    attrs = Attrs(pads=pads, stride=stride, dilation=dilation)
    tables = [] if op == wire.PARTIAL_CONV_2D else [integers(0) if bias else None] * 3
    node_inputs = (tensor(shape), filters(weights, 1, 0, True), *tables)
    return Node(op, node_inputs, (tensor((1, 4, 4, 8)),), attrs, name="n", is_custom=True)


IMAGE = (1, 6, 6, 8)


@pytest.mark.parametrize(
    ("node", "scratch"),
    [
        (window(wire.CONV_2D, IMAGE, (8, 3, 3, 8)), (2 * 72 * 2,)),
        (window(wire.CONV_2D, (1, 6, 6, 3), (8, 3, 3, 3)), (2 * 28 * 2,)),
        (window(wire.CONV_2D, IMAGE, (8, 1, 1, 8)), ()),
        (window(wire.CONV_2D, IMAGE, (8, 1, 1, 8), stride=(2, 2)), ()),
        (window(wire.CONV_2D, IMAGE, (8, 1, 1, 8), pads=(1, 0, 0, 0)), (2 * 8 * 2,)),
        (window(wire.CONV_2D, IMAGE, (8, 3, 3, 4), bias=False), ()),
        (window(wire.DEPTHWISE_CONV_2D, IMAGE, (1, 3, 3, 8), pads=(1, 1, 1, 1)), ()),
        (window(wire.DEPTHWISE_CONV_2D, IMAGE, (1, 3, 3, 8), pads=(2, 0, 0, 0)), (144,)),
        (window(wire.DEPTHWISE_CONV_2D, IMAGE, (1, 3, 3, 8), pads=(0, 0, 0, 2)), ()),
        (window(wire.DEPTHWISE_CONV_2D, IMAGE, (1, 5, 5, 8), pads=(2, 2, 2, 2)), (400,)),
        (window(wire.DEPTHWISE_CONV_2D, IMAGE, (1, 5, 5, 8), pads=(5, 0, 0, 0)), ()),
        (window(wire.DEPTHWISE_CONV_2D, IMAGE, (1, 5, 5, 16)), ()),
        (window(wire.DEPTHWISE_CONV_2D, IMAGE, (1, 5, 5, 8), dilation=(2, 2)), ()),
        (window(wire.PARTIAL_CONV_2D, IMAGE, (8, 1, 1, 8)), ()),
        (window(wire.PARTIAL_CONV_2D, IMAGE, (8, 1, 1, 8), stride=(2, 2)), (16,)),
        (window(wire.PARTIAL_CONV_2D, IMAGE, (8, 3, 3, 8)), (144,)),
    ],
)
def test_scratch_of_the_kernels_that_call_cmsis_nn(node, scratch):
    assert node_demand(node, CORTEX_M, "cmsis_nn").prepared.scratch == scratch
    assert node_demand(node, CORTEX_M, "reference").prepared.scratch == ()


def test_our_convolution_keeps_no_tables_where_stock_keeps_eight_bytes_a_channel():
    channels = 512
    x, y = tensor((1, 1, 1, 8)), tensor((1, 1, 1, channels))
    weights = filters((channels, 1, 1, 8), channels, 0)
    table = integers(*[0] * channels)
    stock_attrs = Attrs(padding=1, stride_h=1, stride_w=1, dilation_h_factor=1, dilation_w_factor=1)
    stock = Node("CONV_2D", (x, weights, table), (y,), stock_attrs, name="n")
    ours = Node(wire.CONV_2D, (x, weights, table, table, table), (y,), name="n", is_custom=True)
    tails = [predict_arena(Graph("g", (x,), (y,), [node])).tail_bytes for node in (stock, ours)]
    assert tails[0] - tails[1] > 8 * channels - 64
