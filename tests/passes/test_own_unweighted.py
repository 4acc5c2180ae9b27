# SPDX-License-Identifier: Apache-2.0
"""ADD, MEAN and pools as operators of our own: the same bits, less arena, and what stays TFLM's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.memory.test_overlays import at
from tests.support import contents_of, integers, node, run_whole, tensor
from tflsplit.ir import DType, Graph, Node, Padding, Quantization
from tflsplit.memory import plan_violations, predict_arena
from tflsplit.memory.overlays import find_overlays
from tflsplit.ops.own.semantics import run_node
from tflsplit.passes.own_unweighted import own_form, own_unweighted
from tflsplit.verify.replay import Replay
from tflsplit.wire import custom_ops as wire

SHAPE = (1, 9, 9, 16)


def addition(function: int = 0) -> Node:
    a, b = tensor("a", SHAPE, scale=0.3, zero_point=-7), tensor("b", SHAPE, scale=0.7)
    y = tensor("y", SHAPE, scale=1.1, zero_point=5)
    return node("ADD", [a, b], y, fused_activation_function=function)


def average(axes: tuple[int, ...] = (1, 2), keep: bool = False) -> Node:
    x = tensor("x", SHAPE, scale=0.3, zero_point=-7)
    kept = tuple(1 if at in axes else n for at, n in enumerate(SHAPE) if keep or at not in axes)
    y = tensor("y", kept, scale=0.2, zero_point=3)
    return node("MEAN", [x, integers("axes", axes)], y, keep_dims=keep)


def pool(op: str, kernel: int = 3, stride: int = 2, padding: int = Padding.SAME) -> Node:
    x = tensor("x", SHAPE, scale=0.3, zero_point=-7)
    extent = -(-9 // stride) if padding == Padding.SAME else (9 - kernel) // stride + 1
    y = tensor("y", (1, extent, extent, 16), scale=0.3, zero_point=-7)
    return node(op, [x], y, padding=padding, stride_h=stride, stride_w=stride,
                filter_height=kernel, filter_width=kernel, fused_activation_function=0)  # fmt: skip


TAKEN = [
    addition(), addition(1), addition(3), average(), average((1,), True), average((1, 2, 3), True),
    average((3,)), pool("AVERAGE_POOL_2D"), pool("MAX_POOL_2D"), pool("AVERAGE_POOL_2D", 9, 9),
    pool("MAX_POOL_2D", 2, 2, Padding.VALID), pool("AVERAGE_POOL_2D", 1, 3),
]  # fmt: skip


def graph_of(each: Node) -> Graph:
    return Graph("test", tuple(v for v in each.operands if v.is_computed), each.outputs, [each])


@pytest.mark.parametrize("stock", TAKEN)
def test_the_bits_stay(stock: Node):
    known = contents_of(stock, 2)
    (whole,) = run_whole(stock, known)
    ours = own_form(stock)
    assert ours.op in (wire.ADD, wire.MEAN, wire.POOL_2D)
    assert (ours.name, ours.outputs) == (stock.name, stock.outputs)
    arrays = [known[value] for value in ours.operands]
    np.testing.assert_array_equal(run_node(ours, arrays), whole, strict=True)


@pytest.mark.parametrize("stock", TAKEN)
def test_the_arena_is_smaller(stock: Node):
    graph = graph_of(stock)
    before, after = (predict_arena(each).total_bytes for each in (graph, own_unweighted(graph)))
    assert after < before


def with_type(each: Node, dtype: DType) -> Node:
    x, y = (replace(v, dtype=dtype) for v in (each.input(0), each.output))
    return replace(each, inputs=(x, *each.inputs[1:]), outputs=(y,))


def broadcast() -> Node:
    each = addition()
    return replace(each, inputs=(each.input(0), tensor("b", (1, 1, 1, 16), scale=0.7)))


def of_two_scales() -> Node:
    each = addition()
    scales = Quantization((0.1, 0.2), (0, 0), 3)
    return replace(each, inputs=(each.input(0), replace(each.input(1), quantization=scales)))


def of_unknown_axes() -> Node:
    each = average()
    return replace(each, inputs=(each.input(0), tensor("axes", (2,), DType.INT32)))


@pytest.mark.parametrize(
    "stock",
    [
        with_type(addition(), DType.INT16), with_type(average(), DType.INT16),
        with_type(pool("MAX_POOL_2D"), DType.FLOAT32), broadcast(), of_two_scales(),
        of_unknown_axes(), average((0, 2)), node("SUB", addition().operands, addition().output),
    ],
)  # fmt: skip
def test_what_our_kernels_do_not_take_stays(stock: Node):
    assert own_form(stock) is stock


def test_a_sum_may_lie_over_either_operand():
    graph = own_unweighted(graph_of(addition()))
    (ours,) = graph.nodes
    overlays = find_overlays(graph)
    assert [overlay.operand for overlay in overlays] == list(ours.operands)
    rng = np.random.default_rng(1)
    values = {v: rng.integers(-128, 128, v.shape, np.int8) for v in graph.inputs}
    values[ours.output] = run_node(ours, list(values.values()))
    for overlay in overlays:
        for distance in (overlay.high_bytes, -16):
            plan = at(graph, overlay.operand, distance)
            assert plan_violations(graph, plan) == []
            assert Replay(graph, plan).problems(values) == []
        one_too_high = at(graph, overlay.operand, overlay.high_bytes + 16)
        assert plan_violations(graph, one_too_high)
