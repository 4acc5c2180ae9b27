# SPDX-License-Identifier: Apache-2.0
"""Windows as wide as cost no RAM: which, the same arena, the same bits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.builder import Tensor
from models.layers import LayerBuilder
from models.mobilenet_v2 import inverted_residual
from tests.passes.one_device import compared_alone
from tests.passes.test_chain_blocks import chain, shapes, two
from tests.passes.test_fuse_blocks import network
from tests.splits import needs_tflm
from tflsplit.ir import Graph
from tflsplit.memory.arena import predict_arena
from tflsplit.memory.better import plan_offline
from tflsplit.passes import wider_windows as module
from tflsplit.passes.pack_constants import pack_constants
from tflsplit.passes.wider_windows import wider_windows


def three(net: LayerBuilder, x: Tensor) -> Tensor:
    """The first block needs most, the others ever less."""
    x = inverted_residual(net, x, 6, 8, 2)
    x = inverted_residual(net, x, 3, 8, 1)
    return inverted_residual(net, x, 2, 4, 2)


def narrow(columns: int = 1) -> Graph:
    return pack_constants(chain(network(three), columns, chains=False))


def head_bytes(graph: Graph) -> int:
    return predict_arena(graph).head_bytes


def columns(graph: Graph) -> list[int]:
    return [node.attrs.integer("window_columns", 0) for node in graph.nodes if node.is_custom]


def test_what_costs_nothing_is_wider():
    before = plan_offline(narrow())
    after = wider_windows(narrow())
    assert head_bytes(after) <= head_bytes(before)
    assert columns(before) == [1, 1, 1]
    fullest, *others = columns(after)
    assert fullest == 1
    assert all(each != 1 for each in others)
    assert 0 in others  # it keeps all rows


def test_what_makes_the_arena_larger_is_taken_back(monkeypatch: pytest.MonkeyPatch):
    """Were memory thought to be free, each block would be a quick one; the arena says which may."""
    monkeypatch.setattr(module, "live_bytes", lambda graph: [-(10**6)] * (len(graph.nodes) + 1))
    after = wider_windows(narrow())
    assert head_bytes(after) <= head_bytes(plan_offline(narrow()))
    assert columns(after)[0] == 1
    assert columns(after) != [1, 1, 1]


def test_a_pair_is_never_without_windows():
    graph = chain(network(two), 1)
    assert shapes(graph) == [(True, 1)]
    (found,) = columns(wider_windows(pack_constants(graph)))
    assert found >= 1


def test_without_windows_offsets_are_planned_as_ever():
    graph = pack_constants(chain(network(three), 0, chains=False))
    assert wider_windows(graph).metadata == plan_offline(graph).metadata


@needs_tflm
def test_the_same_bits():
    explicit = chain(network(three), 1, chains=False)
    wide = columns(wider_windows(pack_constants(explicit)))
    nodes = iter(wide)
    made = [
        replace(node, attrs=node.attrs.replace(window_columns=next(nodes)))
        if node.is_custom
        else node
        for node in explicit.nodes
    ]
    assert compared_alone(network(three), replace(explicit, nodes=made)).passed
