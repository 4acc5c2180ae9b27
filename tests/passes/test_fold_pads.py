# SPDX-License-Identifier: Apache-2.0
"""PADs in front of convolutions: what is folded has the same bits, and what must stay stays."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.mobilenet_v2 import mobilenet_v2
from models.pytorch_style import pytorch_style
from models.tiny import NETWORKS
from tests.random_models import layers
from tests.random_models.net import Net
from tests.splits import compared, needs_tflm, plans, tiny
from tflsplit.cluster import default_cluster
from tflsplit.ir import DType, Graph, Node, Value
from tflsplit.memory.arena import ArenaEstimate
from tflsplit.ops.stock.conv import windows_of
from tflsplit.ops.window import EXPLICIT_PADS, explicit_pads
from tflsplit.passes import fold_pads as module
from tflsplit.passes.fold_pads import fold_pads
from tflsplit.plan.wishes import Wishes
from tflsplit.planner import Planner
from tflsplit.rewriting.rewrite import split_model
from tflsplit.wire import custom_ops as wire

Pads = tuple[tuple[int, int], tuple[int, int]]
ONE: Pads = ((1, 1), (1, 1))


def padded(
    net: Net, x: Value, pads: Pads = ONE, value: int | None = None, channels: int = 0
) -> Value:
    pairs = [(0, 0), *pads, (channels, 0)]
    shape = [n + a + b for n, (a, b) in zip(x.shape, pairs, strict=True)]
    operands = [x, net.integers(pairs)]
    if value is not None:
        data = np.array([value], np.int8)
        operands.append(Value(net.name("value"), (1,), DType.INT8, x.quantization, data))
    return net.result("PAD" if value is None else "PADV2", operands, shape, x.quantization)


def network(
    pads: Pads = ONE,
    kernel: tuple[int, int] = (3, 3),
    stride: tuple[int, int] = (2, 2),
    dilation: tuple[int, int] = (1, 1),
    same: bool = False,
    depthwise: bool = False,
    seed: int = 1,
) -> Graph | None:
    """x [1, 9, 7, 4] -- PAD -- convolution; None if nothing would be left of it."""
    net = Net(random.Random(seed))
    x = padded(net, net.input((1, 9, 7, 4)), pads)
    made = layers.window_layer(net, x, kernel, stride, dilation, same, depthwise)
    return None if made is None else replace(net.finish("padded"), outputs=(made,))


def chain(make: Callable[[Net, Value], Value | None]) -> Graph:
    """x -- what ``make`` adds -- a 3x3 convolution of stride 2."""
    net = Net(random.Random(2))
    x = make(net, net.input((1, 9, 7, 4)))
    assert x is not None
    made = layers.window_layer(net, x, (3, 3), (2, 2), (1, 1), False, False)
    assert made is not None
    return replace(net.finish("chain"), outputs=(made,))


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def test_pads_become_the_convolutions():
    graph = network()
    assert graph is not None
    (conv,) = fold_pads(graph).nodes
    assert conv.op == "CONV_2D"
    assert conv.inputs[0] is graph.inputs[0]
    assert conv.outputs == graph.nodes[1].outputs
    assert explicit_pads(conv) == (1, 1, 1, 1)
    assert windows_of(conv).pads(graph.inputs[0]) == ((1, 1), (1, 1))
    assert ops(graph) == ["PAD", "CONV_2D"], "the argument was changed"


def test_several_pads_in_a_row_are_added_up():
    graph = chain(lambda net, x: padded(net, padded(net, x, ((1, 0), (0, 0))), ((0, 1), (1, 1))))
    (conv,) = fold_pads(graph).nodes
    assert explicit_pads(conv) == (1, 1, 1, 1)
    assert compared(split_model(graph, Wishes(2))).passed


def test_several_convolutions_behind_one_pad():
    net = Net(random.Random(2))
    x = padded(net, net.input((1, 9, 7, 4)))
    for depthwise in (False, True):
        layers.window_layer(net, x, (3, 3), (1, 1), (1, 1), False, depthwise)
    graph = net.finish("two")
    graph = replace(graph, outputs=tuple(node.output for node in graph.nodes[1:]))
    assert ops(fold_pads(graph)) == ["CONV_2D", "DEPTHWISE_CONV_2D"]
    assert compared(split_model(graph, Wishes(3))).passed


def read_by_others(net: Net, x: Value) -> Value:
    wide = padded(net, x)
    net.result("RELU", (wide,), wide.shape)
    return wide


def with_scale(net: Net, x: Value) -> Value:
    wide = padded(net, x)
    other = net.scale()
    changed = replace(wide, quantization=other)
    net.nodes[-1] = replace(net.nodes[-1], outputs=(changed,))
    return changed


STAYS: dict[str, Callable[[Net, Value], Value]] = {
    "another reader": read_by_others,
    "channels": lambda net, x: padded(net, x, channels=2),
    "another value than the zero point": lambda net, x: padded(net, x, value=11),
    "more than the window": lambda net, x: padded(net, x, ((3, 0), (0, 0))),
    "another scale": with_scale,
}


@pytest.mark.parametrize("why", STAYS)
def test_what_stays(why: str):
    graph = chain(STAYS[why])
    assert "PAD" in ops(fold_pads(graph))[0]
    assert fold_pads(graph).nodes == graph.nodes


def test_a_zero_point_that_is_written_out_is_folded():
    graph = chain(
        lambda net, x: padded(net, x, value=x.quantization.zero_point if x.quantization else 0)
    )
    assert ops(graph)[0] == "PADV2"
    assert ops(fold_pads(graph)) == ["CONV_2D"]


def test_a_pad_that_is_returned_stays():
    graph = network()
    assert graph is not None
    returned = replace(graph, outputs=(*graph.outputs, graph.nodes[0].output))
    assert fold_pads(returned).nodes == graph.nodes


def test_computed_weights_keep_the_pad():
    graph = network()
    assert graph is not None
    pad, conv = graph.nodes
    weights = replace(conv.input(1), data=None)
    conv = replace(conv, inputs=(conv.inputs[0], weights, *conv.inputs[2:]))
    given = replace(graph, inputs=(*graph.inputs, weights), nodes=[pad, conv])
    assert fold_pads(given).nodes == [pad, conv]


CONVOLUTIONS = st.builds(
    network,
    st.tuples(*(st.tuples(st.integers(0, 3), st.integers(0, 3)),) * 2),
    st.sampled_from([(1, 1), (3, 3), (2, 3), (5, 1)]),
    st.sampled_from([(1, 1), (2, 2), (3, 1)]),
    st.sampled_from([(1, 1), (2, 1)]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 9),
).filter(lambda graph: graph is not None)


@needs_tflm
@settings(max_examples=60)
@given(CONVOLUTIONS, st.sampled_from([1, 2, 3]), st.booleans(), st.data())
def test_the_same_bits(graph: Graph, count: int, stock: bool, data: st.DataObject):
    """In any plan, on our own kernels or stock ones; the reference runs the PAD."""
    split = split_model(graph, lambda whole: data.draw(plans(whole, count, stock)))
    assert split.model is graph
    assert compared(split).passed
    for device in split.devices:
        for node in device.graph.nodes:
            assert EXPLICIT_PADS not in node.attrs
            assert node.op in (wire.SEND, wire.RECV) or not (stock and node.is_custom)


@needs_tflm
def test_wrong_pads_are_found(monkeypatch: pytest.MonkeyPatch):
    """Every tensor is compared with the model as it was read, so a wrong fold is a difference."""
    graph = network(stride=(1, 1))
    assert graph is not None

    def shifted(node: Node) -> tuple[int, int, int, int]:
        return 1, -1, 0, 0

    monkeypatch.setattr(module, "explicit_pads", shifted)
    verdict = compared(split_model(graph, Wishes(1)))
    assert verdict.mismatch is not None


@needs_tflm
@pytest.mark.parametrize("name", ["mobilenet", "grouped_dilated", "ds_cnn"])
@pytest.mark.parametrize("count", [1, 3])
def test_networks_in_the_style_of_pytorch(name: str, count: int):
    graph = pytorch_style(tiny(name))
    assert len(graph.nodes) > len(tiny(name).nodes)
    split = split_model(graph, Wishes(count, fuse=True))
    assert compared(split, runs=1).passed


def test_every_network_in_the_style_of_pytorch_loses_its_pads():
    for name in NETWORKS:
        before, after = tiny(name), fold_pads(pytorch_style(tiny(name)))
        made = [op for op in ops(after) if op != "TRANSPOSE"]
        assert made == [op for op in ops(fold_pads(before)) if op != "TRANSPOSE"]


@pytest.mark.parametrize(
    ("alpha", "size", "count", "more"),
    # a row of the larger maps, which a window of PyTorch's may need beside its own: 1 part in 24
    [(0.35, 96, 2, 1.1), pytest.param(1.0, 224, 2, 1.02, marks=pytest.mark.slow)],
)
def test_exports_from_pytorch_get_the_plans_of_tensorflows(
    alpha: float, size: int, count: int, more: float
):
    """The fullest arena under ``--objective ram`` is the same but for a row.

    And but for the image, which stands in memory twice while PyTorch's is transposed to NHWC.
    """
    graph = mobilenet_v2(alpha, size, classes=10, images=1)
    padded_one = pytorch_style(graph)
    assert Counter(ops(padded_one))["PAD"] == 18
    tensorflows, pytorchs = (
        max(arena.required_bytes for arena in least_ram(each, count))
        for each in (graph, padded_one)
    )
    image = size * size * 3 // count
    assert pytorchs <= more * (tensorflows + image)


def least_ram(graph: Graph, count: int) -> Sequence[ArenaEstimate]:
    return Planner(fold_pads(graph), default_cluster(count)).best("ram").arenas
