# SPDX-License-Identifier: Apache-2.0
"""The budget of our own operators is that of the kernels' structs."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.memory.op_cases import filters, integers, tensor
from tflsplit.ir import Attrs, Graph, Node
from tflsplit.memory import CORTEX_M, HOST_64, custom, predict_arena
from tflsplit.memory.abi import Abi, struct_layout
from tflsplit.memory.demand import node_demand
from tflsplit.wire import custom_ops as wire

LIBRARY = Path(__file__).resolve().parents[2] / "tflm_app" / "lib" / "split_kernels" / "include"
PROGRAM = """
#include <cstdio>
#include "split_kernels/params.h"
using namespace split_kernels;
int main() {
  printf("%zu %zu %zu", sizeof(WindowParams), sizeof(FullyConnectedParams), sizeof(Requantization));
}
"""


def test_every_operator_of_ours_has_a_budget():
    assert set(custom.OP_DATA) == {
        value for value in vars(wire).values()
        if isinstance(value, str) and value.startswith("TFLSPLIT_")
    }  # fmt: skip


def test_the_budget_holds_the_kernels_structs(tmp_path):
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("needs a C++ compiler: apt install g++")
    (tmp_path / "sizes.cc").write_text(PROGRAM)
    program = tmp_path / "sizes"
    command = [compiler, "-std=c++17", f"-I{LIBRARY}", "sizes.cc", "-o", str(program)]
    subprocess.run(command, cwd=tmp_path, check=True)
    printed = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    host = Abi("host", HOST_64.pointer_bytes, HOST_64.enum_bytes)
    layouts = (custom.WINDOW_PARAMS, custom.FULLY_CONNECTED_PARAMS, custom.REQUANTIZATION)
    sizes = [struct_layout(fields, host).size_bytes for fields in layouts]
    assert [int(size) for size in printed.split()] == sizes


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
