# SPDX-License-Identifier: Apache-2.0
"""FULLY_CONNECTED's sums on LiteRT: which they are, and that LiteRT rounds them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from models.tiny import NETWORKS
from tests.plan.networks import in_channels, plan_of, replicated
from tests.splits import compared, needs_litert, needs_tflm, tiny, tiny_split
from tests.support import constant, tensor
from tests.support import node as stock_node
from tflsplit.ir import Attrs, DType, Graph, Node, Value
from tflsplit.ops import rule_of
from tflsplit.ops.own.semantics import run_node
from tflsplit.passes.pack_constants import pack_constants
from tflsplit.plan.spec import Way
from tflsplit.rewriting.rewrite import Split
from tflsplit.runtime import local
from tflsplit.runtime.engines import LitertProgram, TflmProgram
from tflsplit.runtime.rounding import DenseRequantize, DenseScales, dense_sums
from tflsplit.split.partition import partition


def dense(seed: int, per_channel: bool = False) -> tuple[Graph, Node]:
    """int8[4, 6] to int8[4, 40] with few right shifts, so that many results are halves."""
    rng = np.random.default_rng(seed)
    x = tensor("x", (4, 6), scale=float(np.float32(0.1)), zero_point=5)
    scales = np.float32(0.01) * rng.integers(1, 4, 40 if per_channel else 1).astype(np.float32)
    scales = scales if per_channel else np.array([0.01], np.float32)
    weights = constant("w", rng.integers(-2, 3, (40, 6)).astype(np.int8), scales)
    bias = constant("b", rng.integers(-30, 30, 40).astype(np.int32), np.float32(0.1) * scales)
    y = tensor(
        "y", (4, 40), scale=float(np.float32(0.001 * 2 ** rng.integers(1, 5))), zero_point=-7
    )
    node = stock_node("FULLY_CONNECTED", [x, weights, bias], y, fused_activation_function=0)
    return Graph("dense", (x,), (y,), [node]), node


def requantizing(node: Node) -> Node:
    """The REQUANTIZE of the node's complete sums."""
    sums = Value("sums", node.output.shape, DType.INT32)
    piece = rule_of(node).piece(node, {})
    (made,) = rule_of(node).requantize(node, piece, sums, replace(node.output))
    return made


def scales_of(node: Node) -> DenseScales:
    x, weights = node.input(0).quantization, node.input(1).quantization
    assert x is not None
    assert weights is not None
    return DenseScales(x, weights)


def sums_of(node: Node, x: np.ndarray[tuple[int, ...], np.dtype[np.int8]]) -> np.ndarray:
    weights = node.input(1).data
    assert weights is not None
    return np.asarray((x.astype(np.int64) - 5) @ weights.T.astype(np.int64), np.int32)


@needs_litert
@needs_tflm
def test_once_is_litert_and_twice_is_tflm():
    differing = 0
    for seed in range(12):
        graph, node = dense(seed)
        x = np.random.default_rng(seed).integers(-128, 128, (4, 6)).astype(np.int8)
        sums, requantize = sums_of(node, x), requantizing(node)
        ours = run_node(requantize, [sums])
        np.testing.assert_array_equal(ours, TflmProgram(graph).run([x])[0])
        theirs = LitertProgram(graph).run([x])[0]
        np.testing.assert_array_equal(
            DenseRequantize(requantize, scales_of(node), LitertProgram)(sums), theirs
        )
        np.testing.assert_array_equal(
            DenseRequantize(requantize, scales_of(node), TflmProgram)(sums), ours
        )
        differing += int((ours != theirs).sum())
    assert differing > 20, "no example tells the two roundings apart"


@needs_litert
@pytest.mark.parametrize("packs", [False, True])
def test_scales_per_channel_are_those_of_the_channels_that_a_rank_keeps(packs: bool):
    graph, node = dense(3, per_channel=True)
    x = np.random.default_rng(3).integers(-128, 128, (4, 6)).astype(np.int8)
    expected = LitertProgram(graph).run([x])[0]
    plan = plan_of(2, in_channels(node, (0, 2, 6), (0, 13, 40)))
    devices = partition(graph, plan)
    if packs:  # then they follow from the multipliers
        devices = tuple(replace(d, graph=pack_constants(d.graph)) for d in devices)
    first, second = dense_sums([device.graph for device in devices])
    weights = node.input(1).quantization
    assert weights is not None
    assert first["y"].weights.scales == weights.scales[:13]
    assert second["y"].weights.scales == weights.scales[13:]
    made = DenseRequantize(requantizing(node), scales_of(node), LitertProgram)
    np.testing.assert_array_equal(made(sums_of(node, x)), expected)
    assert compared(Split(graph, plan, devices), runs=4, engine_name="litert").passed


def test_only_sums_of_fully_connected_are_found():
    split = tiny_split("mobilenet", 3, "in_channels")
    found = dense_sums([device.graph for device in split.devices])
    dense_layer = next(n.name for n in split.whole.nodes if n.op == "FULLY_CONNECTED")
    assert any(s.way is Way.IN_CHANNELS and s.node != dense_layer for s in split.plan.splits)
    keepers = [d for d in split.devices if dense_layer in d.shards]
    assert keepers
    assert [dense_layer in d.shards for d in split.devices] == [bool(names) for names in found]
    assert set().union(*found) == {dense_layer}


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_is_found_where_no_inputs_are_split(name: str):
    split = tiny_split(name, 3, "out_channels")
    assert dense_sums([d.graph for d in split.devices]) == [{}, {}, {}]


@needs_litert
@pytest.mark.parametrize(
    ("bounds", "kept"),
    [
        ((0, 40, 160, 160), (0, 0, 20, 64)),
        ((0, 160, 160, 160), (0, 0, 0, 64)),
        ((0, 160, 160, 160), (0, 64, 64, 64)),
        ((0, 160, 160, 160), (0, 30, 64, 64)),
    ],
    ids=["a rank keeps what it does not add", "one adds, another keeps", "alone", "sliced"],
)
def test_sums_are_found_wherever_they_are_requantized(
    bounds: tuple[int, ...], kept: tuple[int, ...]
):
    graph = tiny("autoencoder")
    first, *others = graph.nodes
    plan = plan_of(3, in_channels(first, bounds, kept), *map(replicated, others))
    devices = partition(graph, plan)
    found = dense_sums([device.graph for device in devices])
    assert [bool(names) for names in found] == [b > a for a, b in pairwise(kept)]
    assert compared(Split(graph, plan, devices), runs=3, engine_name="litert").passed


@needs_litert
def test_without_it_litert_would_differ(monkeypatch: pytest.MonkeyPatch):
    split = tiny_split("autoencoder", 4, "in_channels")
    assert compared(split, runs=4, engine_name="litert").passed
    monkeypatch.setattr(local, "dense_sums", lambda graphs: [{}, {}, {}, {}])
    mismatch = compared(split, runs=4, engine_name="litert").mismatch
    assert mismatch is not None
    assert mismatch.op == "FULLY_CONNECTED"
    assert abs(mismatch.expected - mismatch.got) == 1


@needs_litert
def test_bias_and_activation_belong_to_it():
    _, node = dense(0)
    node.attrs = Attrs(fused_activation_function=1)
    made = DenseRequantize(requantizing(node), scales_of(node), LitertProgram)
    assert set(made(np.full((4, 40), -100000, np.int32)).reshape(-1).tolist()) == {-7}
    node.attrs = Attrs(fused_activation_function=0)
    made = DenseRequantize(requantizing(node), scales_of(node), LitertProgram)
    assert set(made(np.full((4, 40), -100000, np.int32)).reshape(-1).tolist()) == {-128}
    assert len(set(made(np.zeros((4, 40), np.int32)).reshape(-1).tolist())) > 5
