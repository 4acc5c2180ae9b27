# SPDX-License-Identifier: Apache-2.0
"""Stock convolutions as our own: the same bits, and what is left as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.builder import NONE, RELU, RELU6
from models.layers import LayerBuilder
from models.tiny import NETWORKS
from tests.passes.one_device import compared_alone
from tests.splits import needs_tflm, tiny
from tests.support import constant, contents_of, node, run_whole, tensor
from tflsplit.ir import DType, Node, Padding, Quantization, Value, check_graph
from tflsplit.ops.own.custom_options import WindowOptions
from tflsplit.ops.own.semantics import run_node
from tflsplit.passes.own_kernels import own_form, own_kernels
from tflsplit.wire import custom_ops as wire

STOCK = {"CONV_2D": wire.CONV_2D, "DEPTHWISE_CONV_2D": wire.DEPTHWISE_CONV_2D}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_convolution_of_the_networks_becomes_ours(name: str):
    graph = tiny(name)
    own = own_kernels(graph)
    assert [n.op for n in own.nodes] == [STOCK.get(n.op, n.op) for n in graph.nodes]
    for before, after in zip(graph.nodes, own.nodes, strict=True):
        assert (after is before) == (before.op not in STOCK)
        assert after.outputs == before.outputs
        assert after.name == before.name
        assert after.is_custom == (before.op in STOCK)
    assert check_graph(own) == []
    assert not any(n.is_custom for n in graph.nodes), "the argument was changed"


@needs_tflm
@pytest.mark.parametrize("name", NETWORKS)
def test_every_tensor_of_the_networks_stays_the_same(name: str):
    graph = tiny(name)
    verdict = compared_alone(graph, own_kernels(graph))
    assert verdict.passed, verdict


@pytest.mark.parametrize("op", STOCK)
@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("activation", [NONE, RELU, RELU6])
@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
def test_our_form_gives_the_bits_of_tflm(
    op: str, same: bool, activation: int, stride: tuple[int, int]
):
    net = LayerBuilder("one", 5, images=2)
    x = net.input((9, 8, 4))
    if op == "CONV_2D":
        y = net.conv(x, 6, (3, 2), stride, activation, same=same)
    else:
        y = net.depthwise(x, (3, 2), stride, activation, multiplier=2, same=same)
    (stock,) = net.finish(y).nodes
    own = own_form(stock)
    assert own.op == STOCK[op]
    known = contents_of(stock, seed=3)
    (expected,) = run_whole(stock, known)
    np.testing.assert_array_equal(run_node(own, list(known.values())), expected, strict=True)


def convolution(
    padding: int = Padding.SAME,
    extent: int = 4,
    stride: int = 2,
    dtype: DType = DType.INT8,
    bias: Value | None = None,
    x: Value | None = None,
    weights: Value | None = None,
) -> Node:
    x = x or tensor("x", (1, 6, 7, 2), dtype, 0.5)
    weights = weights or constant("w", np.ones((3, 3, 3, 2), np.int8), [0.5, 0.25, 2.0])
    y = tensor("y", (1, 3, extent, 3), dtype, 0.75, -9)
    return node(
        "CONV_2D",
        [x, weights, bias],
        y,
        padding=padding,
        stride_h=2,
        stride_w=stride,
        dilation_h_factor=1,
        dilation_w_factor=1,
        fused_activation_function=RELU6,
    )


def test_the_numbers_of_a_convolution_worked_out_by_hand():
    """6x7 pixels, 3x3, stride 2, SAME: 3x4 results read 7x9, so 1 row and 2 columns are padding."""
    bias = constant("b", np.arange(3, dtype=np.int32))
    own = own_form(convolution(bias=bias))
    options = WindowOptions.of(own)
    assert options.stride == (2, 2)
    assert options.dilation == (1, 1)
    assert options.pads == (0, 1, 1, 1)
    assert own.attrs["activation"] == (-9, -1)  # 0 and 6 in steps of 0.75
    # 0.5 * (0.5, 0.25, 2) / 0.75 = 1/3, 1/6, 4/3 = 2/3 by powers of two
    assert np.array(own.input(3).data).tolist() == [round(2 / 3 * 2**31)] * 3
    assert np.array(own.input(4).data).tolist() == [-1, -2, 1]
    assert own.inputs[1:3] == (own.input(1), bias)


def test_a_convolution_without_bias_has_none():
    own = own_form(convolution())
    assert own.op == wire.CONV_2D
    assert own.inputs[2] is None


def computed(shape: tuple[int, ...]) -> Value:
    return tensor("computed", shape, DType.INT8, 0.5, 0)


@pytest.mark.parametrize(
    "stock",
    [
        pytest.param(convolution(dtype=DType.INT16), id="int16"),
        pytest.param(convolution(weights=computed((3, 3, 3, 2))), id="computed weights"),
        pytest.param(convolution(bias=tensor("b", (3,), DType.INT32, None)), id="computed bias"),
        pytest.param(
            convolution(bias=constant("b", np.ones(3, np.int64))), id="a bias that is not int32"
        ),
        pytest.param(
            convolution(x=replace(computed((1, 6, 7, 2)), quantization=None)), id="no scale"
        ),
        pytest.param(
            convolution(
                x=replace(computed((1, 6, 7, 2)), quantization=Quantization((0.5, 0.5), (0, 0), 3))
            ),
            id="several scales on an activation",
        ),
        pytest.param(convolution(extent=5), id="a shape that does not follow from the window"),
        pytest.param(node("ABS", [computed((4,))], tensor("y", (4,))), id="another operator"),
    ],
)
def test_what_our_kernels_do_not_take_stays_as_it_is(stock: Node):
    assert own_form(stock) is stock


@needs_tflm
def test_a_mixed_graph_runs():
    """Ours between stock operators, which are not touched."""
    net = LayerBuilder("mixed", 3, images=2)
    x = net.max_pool(net.input((8, 8, 3)), (2, 2), (2, 2))
    graph = net.finish(net.softmax(net.dense(net.mean(net.conv(x, 4)), 3)))
    own = own_kernels(graph)
    assert [n.is_custom for n in own.nodes] == [n.op == "CONV_2D" for n in graph.nodes]
    assert compared_alone(graph, own).passed
