# SPDX-License-Identifier: Apache-2.0
"""Work by family, and its time, against arithmetic by hand."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.kernel_shapes import all_cases
from tests.plan.networks import expansion, in_channels, out_channels, plan_of, rows, whole
from tests.support import constant, node, tensor
from tflsplit.cluster import (
    Cluster,
    Cycles,
    Device,
    Family,
    Topology,
    default_cluster,
    known_board,
)
from tflsplit.cluster.cycles import TFLM_CONVOLUTIONS
from tflsplit.cluster.links import LinkSpec
from tflsplit.ir import DType, Node, Quantization, Value
from tflsplit.ops import Box, Piece, known_ops, rule_of
from tflsplit.ops.rule import OpRule
from tflsplit.plan.cost import compute_us, default_shares, family_of, local_node_us, work_of
from tflsplit.plan.cost.compute import pieces_us, requantize_us
from tflsplit.plan.cost.work import Work, piece_work
from tflsplit.split.lower import lower
from tflsplit.wire import custom_ops as wire

# 100 MHz: 0.01 us a cycle.
DEVICE = Device("test", "", 65536, 65536, 65536, 100_000_000, Cycles(4, 3, 10, 5, 50, 2))
CLUSTER = Cluster((DEVICE,), Topology.LINE, LinkSpec(), LinkSpec())


def weights(*shape: int) -> Value:
    return constant("w", np.zeros(shape, np.int8), 0.1)


def conv(kernel: int, stride: int = 1) -> Node:
    x, y = tensor("x", (1, 8, 8, 16)), tensor("y", (1, 8 // stride, 8 // stride, 32))
    return node("CONV_2D", (x, weights(32, kernel, kernel, 16), None), y, padding="SAME",
                stride_h=stride, stride_w=stride)  # fmt: skip


def test_families():
    assert family_of(conv(3)) is Family.CONV
    assert family_of(conv(1)) is Family.POINTWISE
    depthwise = node("DEPTHWISE_CONV_2D", (tensor("x", (1, 8, 8, 16)), weights(1, 1, 1, 16)),
                     tensor("y", (1, 8, 8, 16)))  # fmt: skip
    assert family_of(depthwise) is Family.DEPTHWISE
    add = node("ADD", (tensor("a", (4,)), tensor("b", (4,))), tensor("y", (4,)))
    assert family_of(add) is Family.ADD


def test_every_operator_with_multiply_accumulates_has_a_family_of_them():
    # Whatever rule counts MACs must not be costed by bytes.
    per_mac = (
        *(Family.CONV, Family.POINTWISE, Family.DEPTHWISE),
        *(Family.FULLY_CONNECTED, Family.TFLM),
    )
    found = []
    for op in known_ops():
        probe = Node(
            op, (tensor("x", (1, 4, 4, 4)), weights(4, 3, 3, 4)), (tensor("y", (1, 4, 4, 4)),)
        )
        if type(rule_of(probe)).macs is not OpRule.macs:
            found.append(op)
            assert family_of(probe) in per_mac, op
    assert {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"} <= set(found)


def test_a_piece_of_a_convolution():
    # Half of the output channels of 3x3, 16 -> 32 on 8x8: 8 * 8 * 16 * 9 * 16 = 147,456 MACs,
    # times 4 cycles, at 100 MHz.
    assert compute_us(CLUSTER, 0, conv(3), 147_456, 1024) == pytest.approx(147_456 * 4 * 0.01)
    assert compute_us(CLUSTER, 0, conv(1), 16_384, 1024) == pytest.approx(16_384 * 3 * 0.01)


def test_what_a_piece_of_a_convolution_costs_beside_its_multiply_accumulates():
    """Half of the 32 output channels on 8x8: 1,024 values, of windows of 9 * 16 at 64 positions."""
    assert piece_work(conv(3), 147_456, 1024, 16) == (
        Work(Family.CONV, 147_456), Work(Family.MADE, 1024), Work(Family.READ, 64 * 9 * 16),
        Work(Family.GATHER, 64 * 3),
    )  # fmt: skip
    assert piece_work(conv(1), 16_384, 1024, 16) == (
        Work(Family.POINTWISE, 16_384), Work(Family.MADE, 1024), Work(Family.READ, 64 * 16),
    )  # fmt: skip
    depthwise = node("DEPTHWISE_CONV_2D", (tensor("x", (1, 8, 8, 16)), weights(1, 3, 3, 16)),
                     tensor("y", (1, 4, 4, 16)), stride_h=2, stride_w=2)  # fmt: skip
    # Two of the four rows: 2 * 16 rows of channels, 4 values of x for each result.
    assert piece_work(depthwise, 1152, 128) == (
        Work(Family.DEPTHWISE, 1152), Work(Family.PLANE_ROW, 32), Work(Family.PLANE_INPUT, 512),
    )  # fmt: skip
    device = replace(DEVICE, cycles=Cycles(4, 3, 10, 5, 50, 2, made_per_value=20, read_per_value=1))
    cluster = replace(CLUSTER, devices=(device,))
    expected = 16_384 * 3 + 1024 * 20 + 64 * 16
    assert compute_us(cluster, 0, conv(1), 16_384, 1024, 16) == pytest.approx(expected * 0.01)


@pytest.mark.parametrize(("kept_bytes", "copies"), [(4096, 1), (2019, 3)])
def test_a_block_without_expansion_copies_rows_under_its_window(
    kept_bytes: int, copies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """40 rows of 40 values of 16 channels; or, if 2,020 bytes are too many to keep, each 3 times.

    A row of the result has two chunks.
    """
    monkeypatch.setattr("tflsplit.ops.own.scratch._KEPT_BYTES", kept_bytes)
    (block,) = (n for name, n in all_cases() if name == "block (1, 40, 40, 16, 0, 8)")
    assert work_of(block)[:3] == (
        Work(Family.DEPTHWISE, 40 * 40 * 16 * 9), Work(Family.PLANE_ROW, 40 * 16 * 2),
        Work(Family.PLANE_INPUT, 40 * 40 * 16 * copies),
    )  # fmt: skip


def test_a_stock_convolution_runs_on_tflms_kernel():
    """3x3, 16 to 32 channels at 64 positions, and half of the channels."""
    assert work_of(conv(3)) == (
        Work(Family.TFLM_CONV, 294_912), Work(Family.TFLM_MADE, 2048),
        Work(Family.TFLM_READ, 64 * 144), Work(Family.TFLM_GATHER, 64 * 9),
        Work(Family.TFLM_WEIGHT, 32 * 144),
    )  # fmt: skip
    assert piece_work(conv(3), 147_456, 1024, 16, stock=True) == (
        Work(Family.TFLM_CONV, 147_456), Work(Family.TFLM_MADE, 1024),
        Work(Family.TFLM_READ, 64 * 144), Work(Family.TFLM_GATHER, 64 * 9),
        Work(Family.TFLM_WEIGHT, 16 * 144),
    )  # fmt: skip
    pointwise = [work.family for work in work_of(conv(1))]
    assert pointwise == [Family.TFLM_CONV, Family.TFLM_MADE, Family.TFLM_WEIGHT]


def test_cycles_of_tflms_own_convolutions():
    """Its one number, where a table has no parts of them."""
    known = known_board("mps2_an500").cycles
    assert known.of(Family.TFLM_CONV) < known.of(Family.TFLM) < known.of(Family.TFLM_DEPTHWISE)
    one = Cycles(4, 3, 10, 5, 50, 2, tflm_per_mac=7)
    assert one.of(Family.TFLM_CONV) == one.of(Family.TFLM_DEPTHWISE) == 7
    assert Cycles(4, 3, 10, 5, 50, 2).of(Family.TFLM_CONV) == 4
    assert one.of(Family.TFLM_MADE) == 0


def test_one_position_and_other_types():
    x, y = tensor("x", (1, 1, 1, 16)), tensor("y", (1, 1, 1, 32))
    one = node("CONV_2D", (x, weights(32, 1, 1, 16), None), y, padding="SAME",
               stride_h=1, stride_w=1)  # fmt: skip
    assert family_of(one) is Family.FULLY_CONNECTED
    wide = replace(one, inputs=(replace(x, dtype=DType.INT16), *one.inputs[1:]))
    assert work_of(wide) == (Work(Family.TFLM, 512),)


def test_operators_without_multiply_accumulates_cost_bytes():
    add = node(
        "ADD", (tensor("a", (1, 4, 4, 8)), tensor("b", (1, 4, 4, 8))), tensor("y", (1, 4, 4, 8))
    )
    assert compute_us(CLUSTER, 0, add, 0, 64, stock=True) == pytest.approx(64 * 50 * 0.01)
    assert piece_work(add, 0, 64) == (Work(Family.MADE, 80),)  # ours
    pad = node("PAD", (tensor("a", (1, 4, 4, 8)),), tensor("y", (1, 6, 6, 8)))
    assert compute_us(CLUSTER, 0, pad, 0, 64) == pytest.approx(64 * 2 * 0.01)
    # MEAN of 7x7: 49 values are read for each that is made.
    mean = node("MEAN", (tensor("a", (1, 7, 7, 8)),), tensor("y", (1, 8)))
    assert compute_us(CLUSTER, 0, mean, 0, 4, stock=True) == pytest.approx(4 * 49 * 50 * 0.01)
    assert piece_work(mean, 0, 4) == (Work(Family.SUM, 4 * 59), Work(Family.MADE, 4))
    assert requantize_us(CLUSTER, 0, 10) == pytest.approx(10 * 50 * 0.01)


def test_the_work_of_our_own_operators():
    graph = expansion()
    first, expand, depthwise, project = graph.nodes
    plan = plan_of(
        2,
        rows(first, 0, 4, 8),
        out_channels(expand, 0, 12, 24),
        whole(depthwise, 0),
        in_channels(project, (0, 12, 24), (0, 2, 4)),
    )
    for device in lower(graph, plan):
        work = [(n.op, each) for n in device.graph.nodes for each in work_of(n)]
        of_macs = (Family.CONV, Family.POINTWISE, Family.DEPTHWISE, Family.TFLM, *TFLM_CONVOLUTIONS)
        per_mac = [w for _, w in work if w.family in of_macs]
        assert sum(w.amount for w in per_mac) == device.macs
        requantized = [w for op, w in work if op == wire.REQUANTIZE]
        # 8 rows x 4 columns x 2 of the 4 channels.
        assert requantized == [Work(Family.REQUANTIZE, 8 * 4 * 2)]
        assert all(work_of(n) == () for n in device.graph.nodes if n.op == wire.SEND)
        received = [n for n in device.graph.nodes if n.op == wire.RECV and n.outputs]
        assert received
        for n in received:
            assert work_of(n) == (Work(Family.COPY, n.output.size_bytes),)
            assert local_node_us(DEVICE, n) == pytest.approx(n.output.size_bytes * 2 * 0.01)


def test_a_fused_block_is_its_three_convolutions():
    graph = expansion()
    plan = plan_of(2, *(rows(n, 0, 4, 8) for n in graph.nodes))
    fused = lower(graph, replace(plan, fuse=True))
    plain = lower(graph, plan)
    for a, b in zip(fused, plain, strict=True):
        blocks = [n for n in a.graph.nodes if n.op == wire.FUSED_BLOCK]
        assert blocks
        of_macs = (Family.CONV, Family.POINTWISE, Family.DEPTHWISE, Family.TFLM, *TFLM_CONVOLUTIONS)
        fused_macs, plain_macs = (
            sum(w.amount for n in d.graph.nodes for w in work_of(n) if w.family in of_macs)
            for d in (a, b)
        )
        # A block makes the rows under its depthwise window again, as its neighbour does.
        assert fused_macs >= plain_macs > 0


def test_shares_by_speed():
    assert default_shares(default_cluster(4)) == (0.25,) * 4
    twice = Device("fast", "", 65536, 65536, 65536, 200_000_000, DEVICE.cycles)
    cluster = Cluster((twice, DEVICE, DEVICE), Topology.LINE, LinkSpec(), LinkSpec())
    assert default_shares(cluster) == pytest.approx((0.5, 0.25, 0.25))


def test_int32_results_do_not_count_four_times():
    x = tensor("x", (1, 4))
    sums = Value("s", (1, 8), DType.INT32)
    partial = Node(wire.PARTIAL_FULLY_CONNECTED, (x, weights(8, 4)), (sums,), is_custom=True)
    assert work_of(partial) == (Work(Family.FULLY_CONNECTED, 32), Work(Family.MADE, 8))


def test_an_operator_without_operands():
    """Of others, in a file that is listed although TFLM will not run it."""
    y = tensor("y", (1, 4))
    made = Piece((Box.whole(y.shape),), (), (), 0)
    assert pieces_us(CLUSTER, node("SignalSomething", (), y), (made,)) == [
        2.0
    ]  # 4 bytes, 50 cycles


@pytest.mark.parametrize(
    ("scale", "zero_point", "flips"), [(0.5, -1, True), (0.5, 0, False), (0.25, -1, False)]
)
def test_a_quantize_that_flips_signs_is_no_scaling(scale: float, zero_point: int, flips: bool):
    # TFLM has a loop of its own for it: 0.76 M instructions for 150,528 bytes, counted.
    image = Value("x", (1, 8, 8, 3), DType.UINT8, Quantization((0.5,), (127,)))
    made = Value("y", (1, 8, 8, 3), DType.INT8, Quantization((scale,), (zero_point,)))
    work = Work(Family.COPY, 3.6 * 192) if flips else Work(Family.OTHER, 192)
    assert work_of(node("QUANTIZE", (image,), made)) == (work,)
    floats = Value("x", (1, 8, 8, 3), DType.FLOAT32, Quantization())  # a record without a scale
    assert work_of(node("QUANTIZE", (floats,), made)) == (Work(Family.OTHER, 192),)
