# SPDX-License-Identifier: Apache-2.0
"""The result of a pass over a whole model, compared with the model tensor by tensor."""

from __future__ import annotations

from tests.splits import compared
from tflsplit.ir import Graph
from tflsplit.ops import Box
from tflsplit.plan.spec import Plan, even_shares
from tflsplit.rewriting.rewrite import Split
from tflsplit.split.devices import DeviceGraph, Shard
from tflsplit.verify import Verdict


def compared_alone(whole: Graph, graph: Graph, runs: int = 1) -> Verdict:
    """``graph``, made of ``whole`` without new names for tensors, as the only device's."""
    tensors = [*whole.inputs, *(v for node in whole.nodes for v in node.outputs)]
    shards = {v.name: Shard(v.name, Box.whole(v.shape), owned=True) for v in tensors}
    steps = {node.name: node.name for node in graph.nodes}
    device = DeviceGraph(0, graph, shards, steps, 0)
    return compared(Split(whole, Plan(1, (), even_shares(1)), (device,)), runs)
