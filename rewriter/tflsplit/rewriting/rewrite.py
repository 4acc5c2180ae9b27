# SPDX-License-Identifier: Apache-2.0
"""From a model's bytes to an output folder: what ``tflsplit rewrite`` does, as functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tflsplit.bundle.folder import (
    Contents,
    ExtraFiles,
    contents_of,
    refuse_folder,
    write_bundle,
)
from tflsplit.bundle.plan_json import Json
from tflsplit.bundle.plan_schema import MAX_WORLD_SIZE
from tflsplit.check.device_graphs import check_devices
from tflsplit.errors import InternalError, PlanError
from tflsplit.interpreters import naming
from tflsplit.ir import Graph
from tflsplit.memory.arena import ArenaEstimate, predict_arena
from tflsplit.memory.twin import ArenaMeasurement, measure_arena
from tflsplit.ops.declared import check_declared
from tflsplit.passes.prepare import prepare, without_resources
from tflsplit.passes.settle import settle
from tflsplit.passes.stream_states import stream_states
from tflsplit.plan.policy import choose_plan
from tflsplit.plan.spec import Plan
from tflsplit.plan.wishes import Wishes
from tflsplit.split.devices import DeviceGraph
from tflsplit.split.lower import lower
from tflsplit.tflite import read_model
from tflsplit.tflite.support import check_quantized
from tflsplit.untrusted import MAX_GRAPH_FILE_BYTES, one_line, read_file

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Split:
    """A model divided over devices.

    whole: the graph that was split: the model after its passes.
    model: as it was read; None if it is not at hand.
    """

    whole: Graph
    plan: Plan
    devices: tuple[DeviceGraph, ...]
    model: Graph | None = None


Choose = Callable[[Graph], Plan]
"""Makes a plan for a model whose shapes are folded."""


def split_model(model: Graph, wishes: Wishes | Choose) -> Split:
    """Divide a model as wished: by the simple policy, or by whatever else makes plans.

    Raises ModelError if the model is of a kind that cannot be split, PlanError if a wish cannot be
    met, InternalError if the checker refuses the result (a bug).
    """
    if isinstance(wishes, Wishes) and not 1 <= wishes.world_size <= MAX_WORLD_SIZE:
        raise PlanError(f"the number of devices must be 1 to {MAX_WORLD_SIZE}")
    model = settle(model)
    whole = _prepared(model)
    plan = choose_plan(whole, wishes) if isinstance(wishes, Wishes) else wishes(whole)
    devices = lower(whole, plan)
    problems = check_devices(whole, devices)
    if problems:
        raise InternalError("the checker refuses the result: " + "; ".join(problems[:5]))
    return Split(whole, plan, devices, model)


def splittable(model: Graph) -> Graph:
    """The graph that is split, if the model can be; else ModelError."""
    return _prepared(settle(model))


def _prepared(model: Graph) -> Graph:
    check_quantized(stream_states(model))
    check_declared(model)
    check_declared(without_resources(model))  # shapes that were computed are known now
    return prepare(model)


def rewrite(
    model_path: Path,
    folder: Path,
    wishes: Wishes | Choose,
    force: bool = False,
    progress: Progress = lambda stage: None,
    extra: ExtraFiles | None = None,
    seen: Callable[[Split], None] = lambda split: None,
    remembered: Callable[[], Mapping[str, Json]] = dict,
) -> Json:
    """Rewrite the model at ``model_path`` into ``folder``; returns the document of plan.json.

    Otherwise as ``make``.  Raises as that and ``write_bundle`` do; nothing is written unless all
    went well.
    """
    refuse_folder(folder, force)
    model = read_file(model_path, MAX_GRAPH_FILE_BYTES)
    contents = make(model, model_path.name, wishes, progress, extra, seen, remembered)
    write_bundle(folder, contents, force)  # looks at the folder again: planning takes a while
    return contents.document


def make(
    model: bytes,
    name: str,
    wishes: Wishes | Choose,
    progress: Progress = lambda stage: None,
    extra: ExtraFiles | None = None,
    seen: Callable[[Split], None] = lambda split: None,
    remembered: Callable[[], Mapping[str, Json]] = dict,
) -> Contents:
    """What ``tflsplit rewrite`` writes, in memory.

    model: the file's bytes; name: the file's.
    extra: makes further files of the folder (``contents_of``).
    seen: is shown the split, before its arenas are measured.
    remembered: what plan.json keeps of the request, asked once there is a plan (``remember``).
    Raises as ``split_model`` does.
    """
    progress("reading")
    graph = read_model(model, name=name)
    progress("splitting")
    split = split_model(graph, wishes)
    seen(split)
    progress("measuring the arenas")
    with naming(name):
        arenas = [measured_arena(device.graph) for device in split.devices]
    progress("writing")
    title = one_line(Path(name).stem)
    parts = (split.whole, split.plan, split.devices, arenas)
    return contents_of(model, title, *parts, extra, remembered())


def measured_arena(graph: Graph) -> tuple[ArenaEstimate, ArenaMeasurement | None]:
    """The arena on the 32-bit target, and this host's as TFLM measures it (if it is here)."""
    return predict_arena(graph), measure_arena(graph)
