# SPDX-License-Identifier: Apache-2.0
"""Output folders of small networks, written once, and changes to the files in them."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from tests.splits import tiny
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.ir import Graph, Node, Value
from tflsplit.memory import predict_arena
from tflsplit.plan.policy import choose_plan
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import rewrite, split_model
from tflsplit.tflite import read_model, write_model

_KEPT = tempfile.TemporaryDirectory(prefix="tflsplit-tests-")


@cache
def _written(name: str, world_size: int, split: str, stock: bool) -> Path:
    folder = Path(_KEPT.name, f"{name}-{world_size}-{split}-{stock}")
    model = folder.with_suffix(".tflite")
    model.write_bytes(write_model(tiny(name)))
    rewrite(model, folder, Wishes(world_size, split, stock_kernels=stock))
    return folder


def bundle_of(
    to: Path, name: str = "mobilenet", world_size: int = 4, split: str = "auto", stock: bool = False
) -> Path:
    """A copy, in the folder ``to``, of what ``rewrite`` makes of a network of models/tiny.py."""
    shutil.copytree(_written(name, world_size, split, stock), to)
    return to


def banked_bundle(folder: Path, name: str, world_size: int, banks: tuple[int, ...]) -> Bundle:
    """A network on devices whose main RAM has 300 bytes less than their arenas need, and banks."""
    wishes, graph = Wishes(world_size, fuse=True), tiny(name)
    needs = (
        predict_arena(each.graph).required_bytes for each in split_model(graph, wishes).devices
    )
    rooms = tuple((need - 300, *banks) for need in needs)
    (folder / "model.tflite").write_bytes(write_model(graph))
    rewrite(
        folder / "model.tflite",
        folder / "plan",
        lambda whole: replace(choose_plan(whole, wishes), arena_rooms=rooms),
    )
    return read_bundle(folder / "plan")


def device_graph(folder: Path, rank: int) -> Graph:
    return read_model((folder / f"node{rank}.tflite").read_bytes())


def rewrite_node(folder: Path, rank: int, change: Callable[[Graph], None]) -> None:
    """Change a device's graph in its file; the mark of its plan is kept."""
    graph = device_graph(folder, rank)
    change(graph)
    (folder / f"node{rank}.tflite").write_bytes(write_model(graph))


def rewrite_plan(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change plan.json."""
    path = folder / "plan.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def plan_of(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "plan.json").read_text())
    return document


def replace_value(graph: Graph, old: Value, new: Value) -> None:
    """``new`` wherever ``old`` was read."""
    for node in graph.nodes:
        node.inputs = tuple(new if value is old else value for value in node.inputs)


def node_named(graph: Graph, name: str) -> Node:
    return next(node for node in graph.nodes if node.name == name)
