# SPDX-License-Identifier: Apache-2.0
"""How each layer was divided, and where its result lies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tflsplit.bundle import Bundle
from tflsplit.bundle.plan_json import Json
from tflsplit.ir import Graph
from tflsplit.ops import Box
from tflsplit.plan.spec import cell_of
from tflsplit.report.gantt import Bar
from tflsplit.split.devices import DeviceGraph, tensor_labels

WAYS = {
    "rows": "rows of the map, halos from neighbours; all weights everywhere",
    "columns": "columns of the map, halos from neighbours; all weights everywhere",
    "grid": "rows and columns of the map, halos from eight neighbours; all weights everywhere",
    "out_channels": "output channels: a share of the weights, the whole input",
    "channels": "channels: a share of weights, input and output",
    "in_channels": "input channels: a share of the weights; int32 sums added up exactly",
    "batch": "samples of the batch",
    "other": "another dimension",
    "replicated": "every device computes all of it",
    "whole": "one device computes it",
}
"""What each way of plan.json means, in few words."""


@dataclass(frozen=True)
class Part:
    """A rank's part of a layer; ``percent`` of the factor's steps, ``text`` what it is in words."""

    rank: int
    percent: float
    text: str


@dataclass(frozen=True)
class LayerView:
    """One layer of the model as the page shows it.

    entry: of plan.json.
    parts: of the ranks that do something.
    shards: by rank, the box of the layer's first result that it holds, as ``[:, 0:14, :, :]``; none
        if no device ever holds it (inside of a fused block).
    compute_us: of the rank that computes longest; exchange_us: of the one that moves data longest.
    """

    index: int
    entry: Json
    parts: tuple[Part, ...]
    shards: dict[int, str]
    compute_us: float = 0.0
    exchange_us: float = 0.0

    @property
    def total_us(self) -> float:
        """By which the page sorts."""
        return self.compute_us + self.exchange_us

    def lines(self) -> list[str]:
        """What each rank does of the layer and holds of its result, in words."""
        words: dict[int, list[str]] = {}
        for part in self.parts:
            words.setdefault(part.rank, []).append(part.text)
        for rank, box in self.shards.items():
            words.setdefault(rank, [f"rank {rank}"]).append(f"holds {box}")
        return [", ".join(words[rank]) for rank in sorted(words)]


Spent = dict[int, dict[str, float]]
"""By layer and "compute" or "exchange": the time of the rank that spends most on it."""


def spent(bars: Sequence[Sequence[Bar]], places: Sequence[dict[str, int]]) -> Spent:
    """What each layer takes in a simulation.

    places: for each rank, the layer that each of its nodes works for.
    """
    most: Spent = {}
    for row, layers in zip(bars, places, strict=True):
        mine: Spent = {}
        for bar in row:
            of = mine.setdefault(layers.get(bar.node, -1), {})
            of[bar.kind] = of.get(bar.kind, 0.0) + bar.end_us - bar.start_us
        for layer, of in mine.items():
            best = most.setdefault(layer, {})
            best |= {kind: max(us, best.get(kind, 0.0)) for kind, us in of.items()}
    return most


def layer_views(bundle: Bundle, whole: Graph, times: Spent) -> list[LayerView]:
    """Every layer; ``whole`` is the model after its passes, which plan.json's layers follow."""
    labels = tensor_labels(whole)
    views = []
    for index, (entry, node) in enumerate(zip(bundle.document["layers"], whole.nodes, strict=True)):
        shards: dict[int, str] = {}
        if node.outputs and not node.outputs[0].is_constant:
            output = node.outputs[0]
            shards = _shards(bundle.devices, labels[output], output.shape)
        parts, took = _parts(entry, bundle.document["world_size"]), times.get(index, {})
        us = took.get("compute", 0.0), took.get("exchange", 0.0)
        views.append(LayerView(index, entry, parts, shards, *us))
    return views


def _parts(entry: Json, world_size: int) -> tuple[Part, ...]:
    if "bounds" not in entry:
        ranks = [entry.get("rank", 0)] if entry["way"] == "whole" else range(world_size)
        return tuple(Part(rank, 100.0 / len(ranks), f"rank {rank}: all of it") for rank in ranks)
    if "cross_bounds" in entry:
        return _cells(entry, world_size)
    bounds, size = entry["bounds"], entry["bounds"][-1] or 1
    parts = []
    for rank in range(world_size):
        start, stop = bounds[rank], bounds[rank + 1]
        if start == stop:
            continue
        text = f"rank {rank}: {entry['factor']} [{start}, {stop})"
        if "extents" in entry and list(entry["extents"][rank]) != [start, stop]:
            first, last = entry["extents"][rank]
            text += f", computes [{first}, {last})"
        parts.append(Part(rank, 100.0 * (stop - start) / size, text))
    return tuple(parts)


def _cells(entry: Json, world_size: int) -> tuple[Part, ...]:
    """The same of a grid: a part for each cell that is not empty."""
    names, parts = (entry["factor"], entry["cross_factor"]), []
    whole = (entry["bounds"][-1] or 1) * (entry["cross_bounds"][-1] or 1)
    for rank in range(world_size):
        cell = cell_of(entry["bounds"], entry["cross_bounds"], rank)
        area = math.prod(stop - start for start, stop in cell)
        if not area:
            continue
        cuts = (f"{name} [{a}, {b})" for name, (a, b) in zip(names, cell, strict=True))
        text = f"rank {rank}: " + ", ".join(cuts)
        if "extents" in entry:
            made = entry["extents"][rank], entry["cross_extents"][rank]
            if tuple(map(tuple, made)) != cell:
                text += ", computes " + " x ".join(f"[{a}, {b})" for a, b in made)
        parts.append(Part(rank, 100.0 * area / whole, text))
    return tuple(parts)


def _shards(devices: Sequence[DeviceGraph], tensor: str, shape: tuple[int, ...]) -> dict[int, str]:
    found: dict[int, Box] = {}
    for device in devices:
        for shard in device.shards.values():
            if shard.tensor == tensor and shard.owned:
                found.setdefault(device.rank, shard.box)
    return {rank: slices(box, shape) for rank, box in found.items()}


def slices(box: Box, shape: tuple[int, ...]) -> str:
    """A box as slices; ``:`` for a dimension that is not cut."""
    flat = box.flat()
    parts = [
        ":" if (start, stop) == (0, size) else f"{start}:{stop}"
        for start, stop, size in zip(flat[::2], flat[1::2], shape, strict=True)
    ]
    return f"[{', '.join(parts)}]"
