# SPDX-License-Identifier: Apache-2.0
"""Whole networks are counted: operators of TFLM with its bits, blocks that add their x."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.contenders import Contender
from benchmarks.kernel_shapes import STAGE, activation, tables
from benchmarks.kernels import measure, network
from tests.kernels.cortex_m import EMULATOR, needs
from tflsplit.ir import Attrs, DType, Graph, Node, Padding, Quantization, Value
from tflsplit.ops.own.custom_options import WindowOptions
from tflsplit.ops.own.fused import fused_block
from tflsplit.ops.own.fused_options import FusedOptions, ResidualAdd
from tflsplit.ops.own.packed import packed
from tflsplit.ops.quantmath import add_multipliers
from tflsplit.wire import custom_ops as wire

NONE, RELU = 0, 1


def tensor(name: str, *shape: int, scale: float = 0.05, zero_point: int = -3, dtype=DType.INT8):
    return Value(name, shape, dtype, Quantization((scale,), (zero_point,)))


def stock(op: str, inputs: list[Value], output: Value, **attrs: float) -> Node:
    return Node(op, tuple(inputs), (output,), Attrs(attrs), op)


def constant(name: str, data: np.ndarray, quantization: Quantization | None = None) -> Value:
    return Value(name, data.shape, DType.of(data.dtype), quantization, data)


def pool(op: str, kernel: int, stride: int, out: int) -> Node:
    sizes = {"filter_height": kernel, "filter_width": kernel, "stride_h": stride}
    x, y = tensor("x", 1, 6, 6, 9), tensor("y", 1, out, out, 9)
    padding = Padding.VALID if out == 1 else Padding.SAME
    return stock(op, [x], y, **sizes, stride_w=stride, padding=padding, **activated(NONE))


def activated(kind: int) -> dict[str, int]:
    return {"fused_activation_function": kind}


AXES = constant("axes", np.array([1, 2], np.int32))
WEIGHTS = np.random.default_rng(1).integers(-127, 128, (7, 30), np.int8)
NODES = {
    "ADD": stock("ADD", [tensor("a", 1, 5, 5, 8), tensor("b", 1, 5, 5, 8, scale=0.11)],
                 tensor("y", 1, 5, 5, 8, scale=0.13), **activated(NONE)),
    "ADD, RELU": stock("ADD", [tensor("a", 1, 5, 5, 8), tensor("b", 1, 5, 5, 8, scale=0.11)],
                       tensor("y", 1, 5, 5, 8, scale=0.13, zero_point=-128), **activated(RELU)),
    "MEAN": stock("MEAN", [tensor("x", 1, 7, 7, 21), AXES],
                  tensor("y", 1, 21, scale=0.02, zero_point=5), keep_dims=0),
    "AVERAGE_POOL_2D, whole": pool("AVERAGE_POOL_2D", 6, 1, 1),
    "AVERAGE_POOL_2D, SAME": pool("AVERAGE_POOL_2D", 3, 2, 3),
    "MAX_POOL_2D": pool("MAX_POOL_2D", 2, 2, 3),
    "SOFTMAX": stock("SOFTMAX", [tensor("x", 2, 300, scale=0.08)],
                     tensor("y", 2, 300, scale=1 / 256, zero_point=-128), beta=1.0),
    "QUANTIZE, sign": stock("QUANTIZE", [tensor("x", 1, 33, zero_point=125, dtype=DType.UINT8)],
                            tensor("y", 1, 33)),
    "QUANTIZE": stock("QUANTIZE", [tensor("x", 1, 33)], tensor("y", 1, 33, scale=0.03)),
    "FULLY_CONNECTED": stock(
        "FULLY_CONNECTED",
        [tensor("x", 1, 30), constant("w", WEIGHTS, Quantization((0.01,), (0,))),
         constant("b", np.arange(7, dtype=np.int32))],
        tensor("y", 1, 7, scale=0.4), **activated(NONE)),
}  # fmt: skip


def block(middle: bool) -> Node:
    """A block that adds its x, or the middle of it."""
    window = WindowOptions((1, 1), (1, 1), (0, 1, 1, 1) if middle else (1, 1, 1, 1))
    x, y = activation("x", 1, 6, 6, 8), activation("y", 1, 5 if middle else 6, 6, 8, zero_point=3)
    add = ResidualAdd((-128, 127), 3, 0.25, NONE, add_multipliers(0.25, 0.5, 0.5), -128)
    parts = tables("e", 16, 16, 1, 1, 8), tables("d", 16, 1, 3, 3, 16), tables("p", 8, 8, 1, 1, 16)
    options = FusedOptions(STAGE, replace(STAGE, window=window), add=add)
    return fused_block(x, *parts, y, options, "block", x)


@pytest.fixture(scope="module")
def contender(tmp_path_factory: pytest.TempPathFactory) -> Contender:
    needs(EMULATOR)
    return Contender("cortex-m7", "ours", tmp_path_factory.mktemp("stock"))


@pytest.mark.parametrize("name", NODES)
def test_an_operator_of_tflm_is_counted_with_its_bits(contender: Contender, name: str) -> None:
    counted = contender.measure(NODES[name])
    assert counted is not None
    instructions, _, same_bits = counted
    assert same_bits
    assert instructions > 0


@pytest.mark.parametrize("middle", [False, True])
def test_a_block_that_adds_its_x_is_counted(contender: Contender, middle: bool) -> None:
    counted = contender.measure(packed(block(middle)))
    assert counted is not None
    assert counted[2]


def test_a_network_is_counted_whole_and_what_is_not_is_named(contender: Contender) -> None:
    """Divided by the multiply-accumulates of the unsplit model where there is one device."""
    node, left = packed(block(False)), stock("LOGISTIC", [tensor("a", 1, 9)], tensor("b", 1, 9))
    ask = Node(wire.ASK, (), (), Attrs(), "ask", is_custom=True)
    graph = Graph("device", node.operands[:1], left.outputs, [ask, node, NODES["ADD"], left])
    whole = Graph("whole", (), (), [])
    layers = list(measure([graph], "model", "cortex-m7", "ours", contender))
    assert [layer.operator for layer in layers] == [node.op, "ADD"]
    found = network(layers, [graph], whole)
    assert found.left_out == {wire.ASK: 1, "LOGISTIC": 1}
    assert found.instructions == sum(layer.instructions for layer in layers)
    assert found.macs == 36 * 16 * (8 + 9 + 8)
