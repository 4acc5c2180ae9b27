# SPDX-License-Identifier: Apache-2.0
"""A plan as a file: saved, edited by hand, replayed.

A plan file is a ``plan.json``, or the part of one that says what was decided: ``format``,
``version``, ``world_size``, ``shares``, ``fuse``, ``overlap``, ``stream``, ``mtu_bytes``,
``stock_kernels`` and ``layers`` (docs/plan_json.md).  Everything else in it is ignored and made
anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tflsplit.bundle.plan_schema import MOST_STEPS, check_decision
from tflsplit.bundle.text import FORMAT, VERSION, Json, parse
from tflsplit.errors import PlanError
from tflsplit.ir import Graph, Node
from tflsplit.ops import rule_of
from tflsplit.plan.spec import NodeSplit, Plan, Way
from tflsplit.untrusted import MAX_TEXT_FILE_BYTES, read_file


def plan_part(graph: Graph, plan: Plan) -> Json:
    """What was decided, as it is stored."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "world_size": plan.world_size,
        "shares": list(plan.shares),
        "stock_kernels": plan.stock_kernels,
        "fuse": plan.fuse,
        "overlap": plan.overlap,
        "stream": plan.stream,
        **cluster_entries(plan),
        "layers": [
            layer_entry(node, split, plan.reasons.get(node.name, ""))
            for node, split in zip(graph.nodes, plan.splits, strict=True)
        ],
    }


def cluster_entries(plan: Plan) -> Json:
    """Of the links' frames, and of arenas in several memories, where the plan says."""
    entry: Json = {} if plan.mtu_bytes is None else {"mtu_bytes": plan.mtu_bytes}
    if plan.arena_rooms:
        entry["arena_rooms"] = [list(rooms) for rooms in plan.arena_rooms]
    return entry


def layer_entry(node: Node, split: NodeSplit, reason: str) -> Json:
    """One node and how it is divided."""
    layer: Json = {
        "node": node.name,
        "op": node.op,
        "way": split.way.value,
        "macs": rule_of(node).piece(node, {}).macs,
        "weights_bytes": sum(v.size_bytes for v in node.operands if v.is_constant),
        "output_shape": list(node.outputs[0].shape) if node.outputs else [],
        "reason": reason,
    }
    layer.update(_cut_entry(split))
    if split.scatter_factor:
        layer["scatter_factor"] = split.scatter_factor
        layer["scatter_bounds"] = list(split.scatter_bounds)
    if split.sum_tiles > 1:
        layer["sum_tiles"] = split.sum_tiles
    if split.gather_tiles > 1:
        layer["gather_tiles"] = split.gather_tiles
    if split.tile_bounds:
        layer["tile_bounds"] = list(split.tile_bounds)
    if split.streamed:
        layer["streamed"] = True
    layer.update(_block_entry(split))
    if split.way is Way.WHOLE:
        layer["rank"] = split.rank
    return layer


def _cut_entry(split: NodeSplit) -> Json:
    """Along what, where, and what is computed beyond that."""
    entry: Json = {}
    for key, factor, bounds, extents in (
        ("", split.factor, split.bounds, split.extents),
        ("cross_", split.cross_factor, split.cross_bounds, split.cross_extents),
    ):
        if factor:
            entry[f"{key}factor"], entry[f"{key}bounds"] = factor, list(bounds)
        if extents:
            entry[f"{key}extents"] = [list(extent) for extent in extents]
    return entry


def _block_entry(split: NodeSplit) -> Json:
    """What is said of a fused block by its projection."""
    entry: Json = {}
    if split.scratch_limit_bytes is not None:
        entry["scratch_limit_bytes"] = split.scratch_limit_bytes
    if split.window_columns:
        entry["window_columns"] = split.window_columns
    if split.chained:
        entry["chained"] = True
    if split.sweeps > 1:
        entry["sweeps"] = split.sweeps
    return entry


def load_plan(path: Path) -> Plan:
    """A saved plan; PlanError, naming the layer, if it is damaged.

    Whether it fits a model is checked when it is used.
    """
    text = read_file(path, MAX_TEXT_FILE_BYTES)
    return read_plan(parse(text, str(path)), str(path))


def read_plan(document: Json, source: str) -> Plan:
    """The plan of a document; see ``load_plan``."""
    check_decision(document, source)
    world_size: int = document["world_size"]
    layers: Sequence[Json] = document["layers"]
    splits, problems = [], []
    for index, layer in enumerate(layers):
        try:
            splits.append(_split(layer))
        except _DamagedError as error:
            problems.append(f"layer {index} {_name(layer)!r}: {error}")
    if problems:
        raise PlanError(f"{source}: " + "\n  ".join(problems))
    reasons = {layer["node"]: str(layer.get("reason", "")) for layer in layers}
    return Plan(
        world_size,
        tuple(splits),
        tuple(map(float, document["shares"])),
        document.get("stock_kernels", False),
        reasons,
        document.get("fuse", False),
        document.get("overlap", False),
        document.get("stream", False),
        document.get("mtu_bytes"),
        tuple(tuple(rooms) for rooms in document.get("arena_rooms", ())),
    )


class _DamagedError(Exception):
    """What is wrong with an entry."""


def _name(layer: object) -> str:
    return str(layer.get("node", "")).split(";")[0] if isinstance(layer, dict) else ""


def _split(layer: object) -> NodeSplit:
    if not isinstance(layer, dict):
        raise _DamagedError(f"{layer!r} is no record of a layer")
    return NodeSplit(
        node=_text(layer, "node"),
        way=_way(_text(layer, "way")),
        factor=_text(layer, "factor", ""),
        bounds=_integers("bounds", layer.get("bounds", ())),
        extents=_extents("extents", layer),
        cross_factor=_text(layer, "cross_factor", ""),
        cross_bounds=_integers("cross_bounds", layer.get("cross_bounds", ())),
        cross_extents=_extents("cross_extents", layer),
        scatter_factor=_text(layer, "scatter_factor", ""),
        scatter_bounds=_integers("scatter_bounds", layer.get("scatter_bounds", ())),
        sum_tiles=_integer("sum_tiles", layer.get("sum_tiles", 1)),
        gather_tiles=_integer("gather_tiles", layer.get("gather_tiles", 1)),
        tile_bounds=_integers("tile_bounds", layer.get("tile_bounds", ())),
        streamed=_truth("streamed", layer.get("streamed", False)),
        scratch_limit_bytes=(
            _integer("scratch_limit_bytes", layer["scratch_limit_bytes"])
            if layer.get("scratch_limit_bytes") is not None
            else None
        ),
        window_columns=_integer("window_columns", layer.get("window_columns", 0)),
        chained=_truth("chained", layer.get("chained", False)),
        sweeps=_integer("sweeps", layer.get("sweeps", 1)),
        rank=_integer("rank", layer.get("rank", 0)),
    )


def _text(layer: Json, key: str, default: str | None = None) -> str:
    found = layer.get(key, default)
    if found is None:
        raise _DamagedError(f"{key} is missing")
    if not isinstance(found, str):
        raise _DamagedError(f"{key} {found!r} is no text")
    return found


def _way(text: str) -> Way:
    try:
        return Way(text)
    except ValueError:
        known = ", ".join(way.value for way in Way)
        raise _DamagedError(f"way {text!r} is not known; known are: {known}") from None


def _integer(key: str, found: object) -> int:
    if isinstance(found, bool) or not isinstance(found, int):
        raise _DamagedError(f"{key} {found!r} is no whole number")
    if not 0 <= found <= MOST_STEPS:
        raise _DamagedError(f"{key} {str(found)[:40]} is not from 0 to {MOST_STEPS}")
    return found


def _truth(key: str, found: object) -> bool:
    if not isinstance(found, bool):
        raise _DamagedError(f"{key} {found!r} is neither true nor false")
    return found


def _integers(key: str, found: object) -> tuple[int, ...]:
    if not isinstance(found, (list, tuple)):
        raise _DamagedError(f"{key} {found!r} is no list of whole numbers")
    return tuple(_integer(key, number) for number in found)


def _extents(key: str, layer: Json) -> tuple[tuple[int, int], ...]:
    found = layer.get(key, ())
    if not isinstance(found, (list, tuple)):
        raise _DamagedError(f"{key} {found!r} is no list of [start, stop]")
    pairs = tuple(_integers(key, each) for each in found)
    if any(len(pair) != 2 for pair in pairs):
        raise _DamagedError(f"{key} {list(found)!r} is no list of [start, stop]")
    return tuple((start, stop) for start, stop in pairs)
