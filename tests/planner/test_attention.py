# SPDX-License-Identifier: Apache-2.0
"""Transformers: what splitting them gains, and that every plan of them is exact."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path

import pytest

from models.attention import vision_transformer
from tests.planner.small import verdict
from tests.splits import needs_tflm, tiny
from tflsplit.cluster.defaults import default_cluster
from tflsplit.ir import Graph
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.planner import OBJECTIVES, Planned, Planner, Searcher
from tflsplit.planner.searching.choices import Choices
from tflsplit.planner.ways.options import OPTIONS
from tflsplit.tflite import load

MOST_OF_ONE_ARENA = 0.42


@cache
def vit() -> Graph:
    """64 positions of 64 channels, 4 heads, 2 blocks."""
    return vision_transformer("vit", 3, size=32, channels=64, blocks=2, classes=10)


def best(graph: Graph, world_size: int, objective: str, kind: str = "spi") -> Planned:
    return Planner(graph, default_cluster(world_size, kind)).best(objective)


def test_four_devices_need_less_than_half_of_the_arena_each():
    one, four = (best(vit(), world_size, "ram").arena_bytes for world_size in (1, 4))
    assert four <= MOST_OF_ONE_ARENA * one


def test_four_devices_are_more_than_twice_as_fast():
    one, four = (best(vit(), world_size, "latency").latency_us for world_size in (1, 4))
    assert 2 * four < one


def test_no_attention_runs_whole():
    products = {node.name for node in vit().nodes if node.op == "BATCH_MATMUL"}
    for objective in ("latency", "ram"):
        splits = best(vit(), 4, objective).plan.by_node()
        assert all(splits[name].factor for name in products)


def products(planned: Planned) -> set[int]:
    """Among how many devices each product of attention is divided."""
    graph = few_heads()
    splits, ops = planned.plan.by_node(), {node.name: node.op for node in graph.nodes}
    return {
        sum(start < stop for start, stop in itertools.pairwise(split.bounds))
        for name, split in splits.items()
        if ops[name] == "BATCH_MATMUL"
    }


@cache
def few_heads() -> Graph:
    """64 positions, 3 heads: fewer than devices."""
    return vision_transformer("few_heads", 3, size=32, channels=48, heads=3, classes=10)


def test_with_fewer_heads_than_devices_positions_are_divided():
    """Of all options the search takes the quicker; without the other it is slower."""
    cluster = default_cluster(8, "spi")
    free = Searcher(few_heads(), cluster).find("latency")
    assert free is not None
    assert products(free) == {8}
    by_heads = tuple(option for option in OPTIONS if not option.spread)
    bound = Searcher(few_heads(), cluster, Choices(few_heads(), cluster, by_heads)).find("latency")
    assert bound is not None
    assert products(bound) == {3}
    assert free.latency_us < bound.latency_us


@needs_tflm
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("world_size", [2, 3, 4, 5, 8])
def test_every_plan_is_exact(world_size: int, objective: str):
    graph = tiny("transformer")
    assert verdict(graph, best(graph, world_size, objective)).passed


@needs_tflm
@pytest.mark.parametrize(
    ("name", "world_size", "objective"),
    [
        ("vit2", 3, "latency"),
        ("vit2", 4, "ram"),
        ("vit2", 8, "latency"),
        ("convnext", 4, "latency"),
        ("convnext", 5, "ram"),
        ("gru_unrolled", 4, "ram"),
    ],
)
def test_real_ones_are_exact(name: str, world_size: int, objective: str, shared_models: Path):
    path = shared_models / "odd" / f"{name}.tflite"
    if not path.is_file():
        pytest.skip(f"needs odd/{path.name} in the folder of public models (CONTRIBUTING.md)")
    graph = fold_constants(load(path))
    assert verdict(graph, best(graph, world_size, objective)).passed
