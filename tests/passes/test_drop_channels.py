# SPDX-License-Identifier: Apache-2.0
"""Constant and unread channels: what goes leaves the same bits, and what must stay stays."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.tiny import NETWORKS
from tests.random_models.net import Net
from tests.splits import compared, needs_litert, needs_tflm, plans, tiny
from tflsplit.ir import Activation, DType, Graph, Padding, Quantization, Value
from tflsplit.ops.facts import needed_channels as needed_module
from tflsplit.ops.facts.channels import channel_ranges
from tflsplit.passes import drop_channels as module
from tflsplit.passes.drop_channels import drop_channels, dropped_channels
from tflsplit.passes.prepare import dropped, prepare
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import split_model

ZERO = -7
"""Zero point of every tensor here but those that say otherwise."""
_SCALE = 0.05


class Small(Net):
    """Layers whose channels are made dead or constant on purpose."""

    def conv(
        self,
        x: Value,
        channels: int,
        kernel: int = 1,
        dead: Sequence[int] = (),
        held: int | None = None,
        unread: Sequence[int] = (),
        relu: bool = False,
        same: bool = True,
        bias: bool = True,
        weights: Value | None = None,
    ) -> Value:
        """dead: result channels without weights; held: the real value in steps of theirs.

        unread: channels of x without weights.
        """
        shape = (channels, kernel, kernel, x.shape[3])
        data = self.array(shape)
        data[list(dead)] = 0
        data[..., list(unread)] = 0
        operands = self._operands(x, weights, data, 0, dead, held, bias)
        lost = 0 if same else kernel - 1
        extents = (x.shape[0], x.shape[1] - lost, x.shape[2] - lost, channels)
        return self._layer("CONV_2D", operands, extents, relu, same)

    def depthwise(
        self,
        x: Value,
        multiplier: int = 1,
        dead: Sequence[int] = (),
        held: int | None = None,
        relu: bool = False,
        same: bool = True,
    ) -> Value:
        """As ``conv``, with a window of 3x3."""
        channels = x.shape[3] * multiplier
        data = self.array((1, 3, 3, channels))
        data[..., list(dead)] = 0
        operands = self._operands(x, None, data, 3, dead, held, True)
        lost = 0 if same else 2
        extents = (x.shape[0], x.shape[1] - lost, x.shape[2] - lost, channels)
        return self._layer(
            "DEPTHWISE_CONV_2D", operands, extents, relu, same, depth_multiplier=multiplier
        )

    def dense(
        self, x: Value, channels: int, dead: Sequence[int] = (), held: int | None = None
    ) -> Value:
        """FULLY_CONNECTED over everything but the batch."""
        data = self.array((channels, x.size // x.shape[0]))
        data[list(dead)] = 0
        operands = self._operands(x, None, data, 0, dead, held, True)
        return self.result(
            "FULLY_CONNECTED",
            operands,
            (x.shape[0], channels),
            self.plain(),
            4,
            fused_activation_function=Activation.NONE,
        )

    def plain(self) -> Quantization:
        """The scale of every tensor."""
        return Quantization((float(np.float32(_SCALE)),), (ZERO,))

    def _operands(
        self,
        x: Value,
        weights: Value | None,
        data: np.ndarray,
        axis: int,
        dead: Sequence[int],
        held: int | None,
        bias: bool,
    ) -> list[Value | None]:
        count = data.shape[axis]
        scales = [float(np.float32(self.rng.uniform(0.001, 0.004))) for _ in range(count)]
        quantization = Quantization(tuple(scales), (0,) * count, axis)
        weights = weights or Value(self.name("weights"), data.shape, DType.INT8, quantization, data)
        numbers = np.array([self.rng.randint(-900, 900) for _ in range(count)], np.int32)
        if held is not None:
            for channel in dead:
                numbers[channel] = round(held / scales[channel])
        steps = tuple(float(np.float32(_SCALE) * np.float32(s)) for s in scales)
        known = Value(
            self.name("bias"), (count,), DType.INT32, Quantization(steps, (0,) * count), numbers
        )
        return [x, weights, known if bias else None]

    def _layer(
        self,
        op: str,
        operands: Sequence[Value | None],
        shape: Sequence[int],
        relu: bool,
        same: bool,
        **more: Any,
    ) -> Value:
        return self.result(
            op,
            operands,
            shape,
            self.plain(),
            3,
            padding=Padding.SAME if same else Padding.VALID,
            stride_h=1,
            stride_w=1,
            dilation_h_factor=1,
            dilation_w_factor=1,
            fused_activation_function=Activation.RELU if relu else Activation.NONE,
            **more,
        )


def network(make: Callable[[Small, Value], Value], seed: int = 1, channels: int = 4) -> Graph:
    """What ``make`` makes of an input [1, 5, 4, channels]."""
    net = Small(random.Random(seed))
    x = Value("x", (1, 5, 4, channels), DType.INT8, net.plain())
    net.inputs.append(x)
    y = make(net, x)
    return replace(net.finish("small"), outputs=(y,))


def extents(graph: Graph) -> list[int]:
    """Channels of every result."""
    return [node.output.shape[-1] for node in graph.nodes]


def passes(graph: Graph, count: int = 2) -> bool:
    split = split_model(graph, Wishes(count))
    assert split.model is graph
    return compared(split).passed


def two(first: dict[str, object], second: dict[str, object]) -> Graph:
    """A convolution to 6 channels, and one that reads them."""
    return network(lambda net, x: net.conv(net.conv(x, 6, **first), 5, **second))  # type: ignore[arg-type]


def test_a_dead_channel_goes_into_the_bias():
    graph = two({"dead": [1, 4], "held": 20}, {})
    first, second = drop_channels(graph).nodes
    assert first.output.shape == (1, 5, 4, 4)
    assert first.input(1).shape == (4, 1, 1, 4)
    assert second.input(1).shape == (5, 1, 1, 4)
    weights, bias, before = (graph.nodes[1].input(1), second.input(2), graph.nodes[1].input(2))
    assert weights.data is not None
    assert bias.data is not None
    assert before.data is not None
    origin = first.output.origin
    assert origin is not None
    assert origin.value is graph.nodes[0].output
    assert origin.kept == (0, 2, 3, 5)
    assert set(origin.constants) == {1, 4}
    added = sum(
        weights.data[:, 0, 0, c].astype(int) * (q - ZERO) for c, q in origin.constants.items()
    )
    np.testing.assert_array_equal(bias.data, before.data + added)
    assert extents(graph) == [6, 5], "the argument was changed"
    assert dropped_channels(drop_channels(graph)) == 2
    assert passes(graph)


def test_scales_go_with_their_channels():
    graph = two({"dead": [0]}, {})
    before, after = (g.nodes[0].input(1).quantization for g in (graph, drop_channels(graph)))
    assert before is not None
    assert after is not None
    assert after.scales == before.scales[1:]


def test_a_bias_is_made_where_there_is_none():
    graph = two({"dead": [2], "held": 30}, {"bias": False})
    (_, second) = drop_channels(graph).nodes
    assert second.input(2).dtype is DType.INT32
    assert passes(graph)


def test_what_nobody_reads_goes_with_what_it_is_made_of():
    """A depthwise channel without weights: what the layer before makes for it is read by none."""
    graph = network(lambda net, x: net.conv(net.depthwise(net.conv(x, 6), dead=[2, 3], held=0), 5))
    assert extents(drop_channels(graph)) == [4, 4, 5]
    origins = [node.output.origin for node in drop_channels(graph).nodes]
    assert [sorted(o.constants) if o else None for o in origins] == [[], [2, 3], None]
    assert passes(graph, 3)


def test_channels_without_weights_in_their_only_reader_go():
    graph = two({}, {"unread": [0, 5], "kernel": 3})
    assert extents(drop_channels(graph)) == [4, 5]
    assert passes(graph)


def test_a_relu_that_lets_nothing_through():
    def make(net: Small, x: Value) -> Value:
        wide = net.conv(x, 6, relu=True)
        bias = net.nodes[-1].input(2).data
        assert bias is not None
        bias[[1, 3]] = -10_000_000
        return net.conv(wide, 5, kernel=3)

    graph = network(make)
    assert extents(drop_channels(graph)) == [4, 5]
    assert passes(graph)


@pytest.mark.parametrize(
    ("held", "same", "left"), [(20, True, 6), (20, False, 4), (0, True, 4), (0, False, 4)]
)
def test_padding_lets_only_the_zero_point_go(held: int, same: bool, left: int):
    graph = two({"dead": [1, 2], "held": held}, {"kernel": 3, "same": same})
    assert extents(drop_channels(graph)) == [left, 5]
    assert passes(graph)


@pytest.mark.parametrize(("held", "same", "left"), [(20, True, 6), (20, False, 4), (0, True, 4)])
def test_depthwise_of_a_constant_channel(held: int, same: bool, left: int):
    """Its border would hold something else, where it pads and what it reads is not 0."""
    graph = network(
        lambda net, x: net.conv(net.depthwise(net.conv(x, 6, dead=[1, 2], held=held), same=same), 5)
    )
    assert extents(drop_channels(graph)) == [left, left, 5]
    assert passes(graph)


def test_a_channel_multiplier_goes_in_whole_steps():
    def make(net: Small, x: Value) -> Value:
        return net.conv(net.depthwise(x, 2, dead=[2, 3, 5], held=9), 5)

    inside = network(lambda net, x: make(net, net.conv(x, 4)))
    assert extents(drop_channels(inside)) == [3, 6, 5]
    assert passes(inside)
    at_the_input = network(make)
    assert drop_channels(at_the_input) is at_the_input


def test_a_channel_multiplier_over_one_channel_may_become_any_other():
    graph = network(
        lambda net, x: net.conv(net.depthwise(x, 5, dead=[0, 3], held=9), 5), channels=1
    )
    (depthwise, _) = drop_channels(graph).nodes
    assert depthwise.attrs.integer("depth_multiplier") == 3
    assert passes(graph)


def test_pooling_reshape_and_dense_layers_follow():
    def make(net: Small, x: Value) -> Value:
        wide = net.conv(x, 6, dead=[0, 3], held=25)
        pooled = net.result(
            "AVERAGE_POOL_2D", (wide,), (1, 2, 2, 6), wide.quantization, 2,
            padding=Padding.SAME, stride_h=3, stride_w=2, filter_height=3, filter_width=2,
            fused_activation_function=0,
        )  # fmt: skip
        flat = net.result(
            "RESHAPE", (pooled, net.integers([1, 24])), (1, 24), wide.quantization,
            new_shape=(1, 24),
        )  # fmt: skip
        return net.dense(flat, 7)

    graph = network(make)
    assert extents(drop_channels(graph)) == [4, 4, 16, 7]
    assert drop_channels(graph).nodes[3].input(1).shape == (7, 16)
    assert passes(graph, 3)


def test_dense_layers_keep_two_channels_of_several_scales():
    """With one left TFLM would multiply scales in float32."""
    graph = network(lambda net, x: net.dense(net.dense(x, 6, dead=[0, 1, 2, 3, 4], held=3), 4))
    assert extents(drop_channels(graph)) == [2, 4]
    assert passes(graph)


def test_a_layer_of_dead_channels_keeps_one():
    graph = two({"dead": range(6), "held": 8}, {})
    assert extents(drop_channels(graph)) == [1, 5]
    assert passes(graph)


def added(net: Small, left: Value, right: Value) -> Value:
    return net.result("ADD", (left, right), left.shape, net.plain(), 2, fused_activation_function=0)


@pytest.mark.parametrize(("held", "left"), [(0, 4), (11, 6)])
def test_add_of_two_that_hold_zero(held: int, left: int):
    def make(net: Small, x: Value) -> Value:
        one, other = (net.conv(x, 6, dead=dead, held=held) for dead in ([1, 2, 3], [2, 3, 4]))
        return net.conv(added(net, one, other), 5, kernel=3)

    assert extents(drop_channels(network(make))) == [left, left, left, 5]
    assert passes(network(make))


def test_add_of_one_that_holds_zero_stays():
    def make(net: Small, x: Value) -> Value:
        return net.conv(added(net, net.conv(x, 6, dead=[1], held=0), net.conv(x, 6)), 5)

    assert drop_channels(network(make)).nodes[0].output.origin is None


@pytest.mark.parametrize(("axis", "expected"), [(3, [4, 2, 6, 5]), (1, [4, 4, 4, 5])])
def test_concatenation(axis: int, expected: list[int]):
    def make(net: Small, x: Value) -> Value:
        dead = [[1, 2], [0]] if axis == 3 else [[1, 2], [2, 1]]
        one, other = (
            net.conv(x, count, dead=each, held=14)
            for count, each in zip((6, 3 if axis == 3 else 6), dead, strict=True)
        )
        shape = list(one.shape)
        shape[axis] += other.shape[axis]
        return net.conv(net.result("CONCATENATION", (one, other), shape, net.plain(), axis=axis), 5)

    assert extents(drop_channels(network(make))) == expected
    assert passes(network(make))


def read_twice(net: Small, x: Value, other: Callable[[Small, Value], Value]) -> Value:
    wide = net.conv(x, 6, dead=[1], held=12)
    return added(net, net.conv(wide, 5), other(net, wide))


def test_several_readers_that_all_can_do_without():
    graph = network(lambda net, x: read_twice(net, x, lambda net, wide: net.conv(wide, 5)))
    assert extents(drop_channels(graph))[0] == 5
    assert passes(graph)


def grouped(net: Small, x: Value) -> Value:
    """A convolution of three groups."""
    net.conv(x, 6, kernel=3)
    node = net.nodes.pop()
    weights = node.input(1)
    assert weights.data is not None
    cut = replace(weights, shape=(6, 3, 3, 2), data=weights.data[..., :2].copy())
    net.nodes.append(replace(node, inputs=(x, cut, node.inputs[2])))
    return node.output


def softmax(net: Small, x: Value) -> Value:
    return net.result("SOFTMAX", (x,), x.shape, Quantization((1 / 256,), (-128,)), 1, beta=1.0)


def reads_padded(net: Small, wide: Value) -> Value:
    return net.conv(wide, 5, kernel=3)


STAYS: dict[str, Callable[[Small, Value], Value]] = {
    "a graph's result": lambda net, x: net.conv(x, 6, dead=[1], held=12),
    "grouped": lambda net, x: grouped(net, net.conv(x, 6, dead=[1], held=12)),
    "softmax": lambda net, x: softmax(net, net.conv(x, 6, dead=[1], held=12)),
    "another reader that pads": lambda net, x: read_twice(net, x, reads_padded),
}


@pytest.mark.parametrize("why", STAYS)
def test_what_stays(why: str):
    graph = network(STAYS[why])
    assert drop_channels(graph) is graph


def test_a_tensor_that_is_returned_too_stays():
    graph = two({"dead": [1]}, {})
    returned = replace(graph, outputs=(*graph.outputs, graph.nodes[0].output))
    assert drop_channels(returned) is returned


def test_shared_weights_stay():
    def make(net: Small, x: Value) -> Value:
        wide = net.conv(x, 4, dead=[1], held=12)
        return net.conv(wide, 4, weights=net.nodes[-1].input(1))

    assert drop_channels(network(make)).nodes[0].output.origin is None


@pytest.mark.parametrize("folds", [True, False])
def test_a_bias_that_would_leave_int32_stays(folds: bool):
    """Both layers' sums are near the end of int32; only one of them would go over it."""

    def make(net: Small, x: Value) -> Value:
        wide = net.conv(x, 6, dead=[1], held=120)
        y = net.conv(wide, 5)
        bias = net.nodes[-1].input(2).data
        assert bias is not None
        bias[0] = 2**31 - (2_000_000 if folds else 20_000)
        return y

    graph = network(make)
    assert extents(drop_channels(graph)) == [5 if folds else 6, 5]
    assert passes(graph)


def test_int16_and_computed_weights_stay():
    graph = two({"dead": [1]}, {})
    first, second = graph.nodes
    weights = replace(second.input(1), data=None)
    second = replace(second, inputs=(second.inputs[0], weights, second.inputs[2]))
    given = replace(graph, inputs=(*graph.inputs, weights), nodes=[first, second])
    assert drop_channels(given) is given
    wide = replace(graph.nodes[0].output, dtype=DType.INT16)
    nodes = [
        replace(first, outputs=(wide,)),
        replace(graph.nodes[1], inputs=(wide, *graph.nodes[1].inputs[1:])),
    ]
    assert drop_channels(replace(graph, nodes=nodes)).nodes == nodes


@pytest.mark.parametrize("name", NETWORKS)
def test_again_changes_nothing(name: str):
    once = prepare(tiny(name))
    assert drop_channels(once) is once


@st.composite
def planted(draw: st.DrawFn) -> Graph:
    """A random chain with residuals, in which channels are dead or constant."""
    held = st.sampled_from([None, 0, 0, 3, 40, -40, 400])

    def some(count: int) -> list[int]:
        return draw(st.lists(st.integers(0, count - 1), max_size=count, unique=True))

    def make(net: Small, x: Value) -> Value:
        for _ in range(draw(st.integers(2, 5))):
            kind = draw(st.sampled_from(["conv", "conv", "depthwise", "residual", "reader"]))
            same, relu = draw(st.booleans()) or min(x.shape[1:3]) < 3, draw(st.booleans())
            if kind == "depthwise":
                times = draw(st.integers(1, 2))
                dead = some(x.shape[3] * times)
                x = net.depthwise(x, times, dead, draw(held), relu, same)
            elif kind == "residual":
                dead, value = some(x.shape[3]), draw(held)
                x = added(net, net.conv(x, x.shape[3], 1, dead, value, relu=relu), x)
            else:
                count, kernel = draw(st.integers(1, 7)), draw(st.sampled_from([1, 1, 3]))
                unread = some(x.shape[3]) if kind == "reader" else []
                x = net.conv(x, count, kernel, some(count), draw(held), unread, relu, same)
        return net.dense(x, 3)

    return network(make, draw(st.integers(0, 99)), draw(st.sampled_from([1, 4])))


@needs_tflm
@settings(max_examples=40)
@given(planted(), st.sampled_from([1, 1, 3]), st.booleans(), st.data())
def test_the_same_bits(graph: Graph, count: int, stock: bool, data: st.DataObject):
    """In any plan; the reference computes every channel."""
    split = split_model(graph, lambda whole: data.draw(plans(whole, count, stock)))
    verdict = compared(split)
    assert verdict.passed, verdict.mismatch or verdict.problems


@needs_litert
@settings(max_examples=10)
@given(planted())
def test_the_same_bits_on_litert(graph: Graph):
    verdict = compared(split_model(graph, Wishes(1)), engine_name="litert")
    assert verdict.passed, verdict.mismatch or verdict.problems


@needs_tflm
def test_a_wrong_fold_is_found(monkeypatch: pytest.MonkeyPatch):
    graph = two({"dead": [1], "held": 20}, {})
    real = needed_module.contribution
    monkeypatch.setattr(module, "contribution", lambda sums, x: real(sums, x) + 30)
    verdict = compared(split_model(graph, Wishes(1)))
    assert verdict.mismatch is not None
    assert verdict.mismatch.layer == graph.nodes[1].name


@needs_tflm
def test_the_wrong_channels_are_found(monkeypatch: pytest.MonkeyPatch):
    """Those that are left are compared with the model's of the same number."""
    graph = two({"dead": [1], "held": 20}, {})
    real = module._cut_constants

    def rotated(layer: needed_module.Layer, *rest: object) -> list[Value | None]:
        inputs = real(layer, *rest)  # type: ignore[arg-type]
        weights = inputs[1]
        assert weights is not None
        assert weights.data is not None
        if layer.node is graph.nodes[0]:
            inputs[1] = replace(weights, data=np.roll(weights.data, 1, axis=0))
        return inputs

    monkeypatch.setattr(module, "_cut_constants", rotated)
    verdict = compared(split_model(graph, Wishes(1)))
    assert verdict.mismatch is not None
    assert verdict.mismatch.layer == graph.nodes[0].name


@needs_tflm
def test_a_channel_that_is_not_constant_is_found(monkeypatch: pytest.MonkeyPatch):
    graph = two({}, {})

    def claimed(whole: Graph) -> object:
        ranges = channel_ranges(whole)
        low, high = ranges[graph.nodes[0].output]
        high[2] = low[2] = 5
        return ranges

    monkeypatch.setattr(module, "channel_ranges", claimed)
    verdict = compared(split_model(graph, Wishes(1)))
    assert not verdict.passed
    assert "channel 2 of tensor" in verdict.problems[0]
    assert "always holds 5" in verdict.problems[0]


def test_what_is_saved_is_counted():
    graph = two({"dead": [1, 4], "held": 20}, {})
    without = dropped(graph, prepare(graph))
    assert (without.channels, without.macs) == (2, 20 * 2 * 4 + 20 * 2 * 5)
    assert without.of_macs == 20 * 6 * 4 + 20 * 6 * 5
