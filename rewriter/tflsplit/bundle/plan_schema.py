# SPDX-License-Identifier: Apache-2.0
"""What every plan.json must be, whoever wrote it: docs/plan_json.md as a table.

Checked as a whole before anything is made of it, so that readers need not doubt a key, a type or a
range.  Whether it says the truth about the graphs beside it is ``verify.document``'s question.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import Any

from tflsplit.bundle.schema import (
    Anything,
    ListOf,
    MapOf,
    Nullable,
    Number,
    Record,
    Row,
    Shape,
    Text,
    Truth,
    Whole,
)
from tflsplit.bundle.text import Json
from tflsplit.cluster.banks import MOST as MOST_BANKS
from tflsplit.errors import PlanError
from tflsplit.plan.spec import Way
from tflsplit.wire.frames import MAX_MTU_BYTES, MIN_MTU_BYTES

MAX_WORLD_SIZE = 64
_SHOWN_PROBLEMS = 5
MOST_STEPS = (1 << 31) - 1
"""Steps, sizes of dimensions, bytes on a device: what the .tflite format can count."""
_MOST_WORK = (1 << 53) - 1
"""Sums over a model; every JSON reader keeps whole numbers up to here."""
_MOST_DIMS = 16

_NAME = Text()
_FILE = Text(
    r"(?!\.{1,2}$)[^/\\\x00-\x1f\x7f]{1,255}", "the name of a file in the same folder", most=255
)
_ONE_LINE = Text(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]*", "a name on one line")
_SIZE = Whole(0, MOST_STEPS)
_WORK = Whole(0, _MOST_WORK)
_DIMS = ListOf(_SIZE, most=_MOST_DIMS)
_BOX = ListOf(_SIZE, most=2 * _MOST_DIMS)
_BOUNDS = ListOf(_SIZE, 2, MAX_WORLD_SIZE + 1)

DECISION = Record(
    {
        "world_size": Whole(1, MAX_WORLD_SIZE),
        "shares": ListOf(Number(0, 1e9), 1, MAX_WORLD_SIZE),
        "layers": ListOf(Anything(), most=1 << 20),
    },
    {
        "stock_kernels": Truth(),
        "fuse": Truth(),
        "overlap": Truth(),
        "stream": Truth(),
        "mtu_bytes": Whole(MIN_MTU_BYTES, MAX_MTU_BYTES),
        "arena_rooms": ListOf(ListOf(_SIZE, 1, 1 + MOST_BANKS), 1, MAX_WORLD_SIZE),
    },
)
"""What a plan file must have at least; ``plan_file`` looks at its layers one by one."""

LAYER = Record(
    {
        "node": _NAME,
        "op": _NAME,
        "way": Text(
            "|".join(way.value for way in Way), f"one of {', '.join(w.value for w in Way)}"
        ),
        "macs": _WORK,
        "weights_bytes": _WORK,
        "output_shape": _DIMS,
        "reason": _NAME,
    },
    {
        "factor": _NAME,
        "bounds": _BOUNDS,
        "extents": ListOf(Row((_SIZE, _SIZE)), 1, MAX_WORLD_SIZE),
        "cross_factor": _NAME,
        "cross_bounds": _BOUNDS,
        "cross_extents": ListOf(Row((_SIZE, _SIZE)), 1, MAX_WORLD_SIZE),
        "scatter_factor": _NAME,
        "scatter_bounds": _BOUNDS,
        "sum_tiles": Whole(1, MOST_STEPS),
        "gather_tiles": Whole(1, MOST_STEPS),
        "tile_bounds": _BOUNDS,
        "streamed": Truth(),
        "scratch_limit_bytes": _SIZE,
        "window_columns": _SIZE,
        "chained": Truth(),
        "sweeps": _SIZE,
        "rank": Whole(0, MAX_WORLD_SIZE - 1),
    },
)
_TENSOR = Record({"tensor": _NAME, "shape": _DIMS, "dtype": _NAME})
_SHARD = Record({"name": _NAME, "tensor": _NAME, "box": _BOX})
DEVICE = Record(
    {
        "rank": Whole(0, MAX_WORLD_SIZE - 1),
        "file": _FILE,
        **{f"arena_{part}bytes": _SIZE for part in ("", "head_", "tail_", "required_")},
        "arena_exact": Truth(),
        **{f"host_arena_{part}bytes": Nullable(_SIZE) for part in ("", "head_", "tail_")},
        **dict.fromkeys(("peak_live_bytes", "weights_bytes", "file_bytes", "nodes"), _SIZE),
        **dict.fromkeys(("sent_bytes", "received_bytes", "macs"), _WORK),
        "inputs": ListOf(_SHARD),
        "outputs": ListOf(_SHARD),
    },
    {"arena_main_bytes": _SIZE, "arena_banks_bytes": ListOf(_SIZE, 1, MOST_BANKS)},
)
_TABLES = Record(
    {
        "tensors": MapOf(Row((_SIZE, _BOX, Truth()))),
        "steps": ListOf(Whole(-1, MOST_STEPS)),
    }
)  # fmt: skip
_TOP: dict[str, Shape] = {
    "tflsplit_version": _ONE_LINE,
    "model_name": _ONE_LINE,
    "model_file": _FILE,
    "model_sha256": Text("[0-9a-f]{64}", "64 hex digits"),
    "fingerprint": Text("[0-9a-f]{32}", "32 hex digits"),
    "world_size": Whole(1, MAX_WORLD_SIZE),
    "shares": ListOf(Number(0, 1), 1, MAX_WORLD_SIZE),
    "stock_kernels": Truth(),
    "fuse": Truth(),
    "inputs": ListOf(_TENSOR),
    "outputs": ListOf(_TENSOR),
    "layers": ListOf(LAYER, most=1 << 20),
    "devices": ListOf(DEVICE, 1, MAX_WORLD_SIZE),
}
_FILES: dict[str, Shape] = {
    "files": MapOf(Text("[0-9a-f]{64}", "64 hex digits"), Text(most=255)),
    "cluster": Nullable(Record({})),
    "objective": Nullable(Text("[a-z_]{1,32}", "the name of an objective", most=32)),
    "left_out": ListOf(Whole(0, MAX_WORLD_SIZE - 1), most=MAX_WORLD_SIZE),
}
_LATER: dict[str, Shape] = {"overlap": Truth()}
"""Keys that older files do not have."""
DOCUMENT = Record(_TOP, _FILES | _LATER)
"""A plan.json without the tables that only machines read: what a report keeps of it."""
_WITH_TABLES = Record({"tensors": ListOf(_NAME), "devices": ListOf(_TABLES)})


def check_decision(document: Json, source: str) -> None:
    """Raise PlanError, naming what is wrong, unless the document can hold a decision."""
    _refuse(list(islice(DECISION.problems(document, ""), _SHOWN_PROBLEMS + 1)), source)
    if len(document["shares"]) != document["world_size"]:
        count, world_size = len(document["shares"]), document["world_size"]
        _refuse([f"{count} shares for {world_size} devices"], source)


def check_document(document: Json, source: str, tables: bool = True) -> None:
    """Raise PlanError, naming what is wrong, unless the document is a whole plan.json.

    tables: with the tables that only machines read, ``tensors`` and ``steps``.
    """
    found = DOCUMENT.problems(document, "")
    problems = list(islice(found, _SHOWN_PROBLEMS + 1))
    if tables and not problems:
        problems = list(islice(_WITH_TABLES.problems(document, ""), _SHOWN_PROBLEMS + 1))
    if not problems:
        problems = list(islice(_contradictions(document, tables), _SHOWN_PROBLEMS + 1))
    _refuse(problems, source)


def _refuse(problems: Sequence[str], source: str) -> None:
    if not problems:
        return
    more = ["…"] if len(problems) > _SHOWN_PROBLEMS else []
    text = "; ".join([*problems[:_SHOWN_PROBLEMS], *more])
    raise PlanError(f"{source} is damaged: {text}; write it again with `rewrite`")


def _contradictions(document: Json, tables: bool) -> Iterator[str]:
    """What is wrong although every value is of its type and range."""
    world_size = document["world_size"]
    if len(document["shares"]) != world_size:
        yield f"{len(document['shares'])} shares for {world_size} devices"
    if [device["rank"] for device in document["devices"]] != list(range(world_size)):
        yield "devices are not those of ranks 0 to world_size - 1, in order"
    for index, layer in enumerate(document["layers"]):
        for problem in _layer_contradictions(layer, world_size):
            yield f"layers[{index}].{problem}"
    for rank, device in enumerate(document["devices"]):
        for problem in _device_contradictions(device, document, tables):
            yield f"devices[{rank}].{problem}"


def _layer_contradictions(layer: Json, world_size: int) -> Iterator[str]:
    is_grid = "cross_factor" in layer
    for key in ("bounds", "scatter_bounds", "cross_bounds"):
        bounds = layer.get(key, [0] * (world_size + 1))
        of_grid = is_grid and key != "scatter_bounds"
        if len(bounds) != world_size + 1 and not of_grid:
            yield f"{key} has {len(bounds)} entries, not {world_size + 1}"
        elif any(a > b for a, b in pairwise(bounds)):
            yield f"{key} do not ascend"
    bands, columns = (len(layer.get(key, [0])) - 1 for key in ("bounds", "cross_bounds"))
    if bands * columns > world_size or (is_grid and not columns):
        yield f"bounds and cross_bounds make {bands} x {columns} cells for {world_size} devices"
    for key in ("extents", "cross_extents"):
        extents = layer.get(key, [[0, 0]] * world_size)
        if len(extents) != world_size:
            yield f"{key} has {len(extents)} entries, not {world_size}"
        elif any(start > stop for start, stop in extents):
            yield f"{key} has one that stops before it starts"
    if layer.get("rank", 0) >= world_size:
        yield f"rank: there is no device {layer['rank']}"


def _device_contradictions(device: Json, document: Json, tables: bool) -> Iterator[str]:
    for key in ("inputs", "outputs"):
        for index, shard in enumerate(device[key]):
            if not _is_box(shard["box"]):
                yield f"{key}[{index}].box is no box"
    if not tables:
        return
    for name, (index, box, _) in device["tensors"].items():
        if index >= len(document["tensors"]):
            yield f"tensors: {name!a} is of tensor {index}, which there is not"
        if not _is_box(box):
            yield f"tensors: the box of {name!a} is none"
    if any(step >= len(document["layers"]) for step in device["steps"]):
        yield "steps: one is of a layer that there is not"
    if len(device["steps"]) != device["nodes"]:
        yield f"steps has {len(device['steps'])} entries, not {device['nodes']}"


def _is_box(flat: Sequence[Any]) -> bool:
    pairs = list(zip(flat[::2], flat[1::2], strict=False))
    return len(flat) % 2 == 0 and all(start <= stop for start, stop in pairs)
