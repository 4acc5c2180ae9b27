# SPDX-License-Identifier: Apache-2.0
"""Small networks whose input is streamed: plans with tiles of rows behind the input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.splits import tiny
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.ir import Graph
from tflsplit.ops.own.fused import fused_inside
from tflsplit.plan.halos import recompute_halos
from tflsplit.plan.policy import choose_plan
from tflsplit.plan.spec import Plan
from tflsplit.plan.wishes import Wishes
from tflsplit.planner.ways.chains import chained_inside, narrowed
from tflsplit.planner.ways.hosted import in_tiles
from tflsplit.rewriting.rewrite import rewrite
from tflsplit.tflite import write_model


def streamed_plan(graph: Graph, world_size: int, tiles: int, split: str = "rows") -> Plan:
    """By the simple policy, blocks fused; the input in so many tiles (1: in one piece)."""
    plan = choose_plan(graph, Wishes(world_size, split, fuse=True))
    return in_tiles(graph, replace(plan, stream=True), tiles)


def streamed_bundle(
    folder: Path, name: str, world_size: int, tiles: int, split: str = "rows"
) -> Bundle:
    """What ``rewrite`` writes of it."""
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "model.tflite"
    model.write_bytes(write_model(tiny(name)))
    rewrite(model, folder / "plan", lambda graph: streamed_plan(graph, world_size, tiles, split))
    return read_bundle(folder / "plan")


def chained_plan(
    graph: Graph, world_size: int, split: str, sweeps: int, stream: bool = True
) -> Plan:
    """All blocks as one, in windows of 3 columns; a streamed input row by row."""
    plan = choose_plan(graph, Wishes(world_size, split, fuse=True, weights_limit=1.0))
    splits = narrowed(graph, plan.splits, 3, sweeps)
    plan = replace(plan, splits=splits, stream=stream)
    return recompute_halos(graph, plan, fused_inside(graph) | chained_inside(splits))


def chained_bundle(folder: Path, graph: Graph, world_size: int, split: str, sweeps: int) -> Bundle:
    """What ``rewrite`` writes of it."""
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "model.tflite"
    model.write_bytes(write_model(graph))
    rewrite(model, folder / "plan", lambda each: chained_plan(each, world_size, split, sweeps))
    return read_bundle(folder / "plan")
