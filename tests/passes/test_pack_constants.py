# SPDX-License-Identifier: Apache-2.0
"""Every compute operator of a device graph is packed; what was shared stays shared."""

from __future__ import annotations

import numpy as np

from tests.ops.test_packed import layer
from tests.splits import compared, needs_tflm, tiny
from tflsplit.ir import Graph
from tflsplit.passes.pack_constants import pack_constants
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import split_model
from tflsplit.wire import custom_ops as wire

WEIGHTS = np.arange(1, 16).reshape(3, 1, 1, 5)


def of(*nodes: object) -> Graph:
    return Graph("g", (), (), list(nodes))  # type: ignore[arg-type]


def test_nodes_with_the_same_constants_share_the_packed_ones() -> None:
    one, two, other = (layer(WEIGHTS) for _ in range(3))
    two.inputs = (two.input(0), *one.inputs[1:])
    nodes = pack_constants(of(one, two, other)).nodes
    assert all(wire.is_packed(node) for node in nodes)
    assert nodes[0].input(1) is nodes[1].input(1)
    assert nodes[0].input(1) is not nodes[2].input(1)
    assert nodes[0].name == one.name


def test_another_zero_point_makes_other_constants() -> None:
    one, two = layer(WEIGHTS), layer(WEIGHTS, x_zero_point=3)
    two.inputs = (two.input(0), *one.inputs[1:])
    nodes = pack_constants(of(one, two)).nodes
    assert nodes[0].input(1) is not nodes[1].input(1)


def test_what_is_packed_stays() -> None:
    graph = pack_constants(of(layer(WEIGHTS)))
    assert pack_constants(graph).nodes == graph.nodes


@needs_tflm
def test_device_graphs_hold_packed_operators_and_give_the_same_bits() -> None:
    split = split_model(tiny("mobilenet"), Wishes(3, fuse=True))
    ours = [n for device in split.devices for n in device.graph.nodes if wire.is_ours(n)]
    compute = [node for node in ours if node.op in wire.PACKED_SCHEMAS]
    assert {wire.CONV_2D, wire.FUSED_BLOCK} <= {node.op for node in compute}
    assert all(wire.is_packed(node) for node in compute)
    assert compared(split).passed
