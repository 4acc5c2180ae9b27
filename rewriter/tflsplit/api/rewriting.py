# SPDX-License-Identifier: Apache-2.0
"""From a model to a split one: searched for a cluster, or read from a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path

from tflsplit.api.clusters import DEFAULT_BOARD, board_cluster, limited
from tflsplit.api.project import Project
from tflsplit.api.split_model import SplitModel
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.bundle.plan_file import load_plan
from tflsplit.bundle.plan_json import Json
from tflsplit.cluster import Cluster, Topology, read_cluster
from tflsplit.cluster.rewired import rewired
from tflsplit.errors import ClusterError
from tflsplit.planner import AIMS
from tflsplit.rewriting.chooser import Chooser
from tflsplit.rewriting.rewrite import Split, make
from tflsplit.split.devices import DeviceGraph
from tflsplit.untrusted import MAX_GRAPH_FILE_BYTES, read_file

Model = str | PathLike[str] | bytes


def rewrite(
    model: Model,
    devices: int | None = None,
    *,
    board: str | Sequence[str] | None = None,
    link: str | None = None,
    topology: str | None = None,
    cluster: Cluster | str | PathLike[str] | None = None,
    objective: str = "latency",
    max_arena: str | int | None = None,
    max_weights: str | int | None = None,
    max_ram: str | int | None = None,
    plan: str | PathLike[str] | None = None,
) -> SplitModel:
    """Split an int8 .tflite model inside its layers, with the best plan that is found.

    model: a file's path, or its bytes.
    devices: at most so many boards; ``board``: their name, or one for each ("teensy41"); ``link``:
        "uart" or "spi"; ``topology``: "ring", "line" or "star".  Or ``cluster``, which says all of
        that: a cluster.toml's path, or a ``tflsplit.cluster.Cluster``.
    objective: "latency", "ram" or "bytes"; or "throughput": equal teams of devices, each on a port
        of the host's own, as many as do most inferences a second; the split model is one team's.
    max_arena, max_weights, max_ram: most on a device, as 65536 or "64KiB"; of RAM: arena, links,
        stack and runtime.
    plan: the file of a saved plan (or a plan.json), which is replayed instead of searched.
    Nothing is written; see ``SplitModel.save``.
    Raises ModelError for a model that cannot be taken, ClusterError for boards that are unknown or
    too small, PlanError for no size, or a saved plan that does not fit the model.
    """
    if objective not in AIMS:
        raise ClusterError(f"unknown objective {objective!r}; known are: {', '.join(AIMS)}")
    if plan is not None and objective != "latency":
        raise ClusterError("plan replays a saved plan, objective searches one: give one of them")
    saved = None if plan is None else Path(plan)
    if saved is not None and devices is None and cluster is None:
        devices = load_plan(saved).world_size
    described = _described(devices, board, link, topology, cluster)
    boards = (board,) if isinstance(board, str) else tuple(board or ())
    chooser = Chooser(limited(described, max_arena, max_weights, max_ram), objective, saved)
    return divided(model, chooser, Project(boards, wanted=bool(boards)))


def divided(
    model: Model,
    chooser: Chooser,
    project: Project,
    progress: Callable[[str], None] = lambda stage: None,
) -> SplitModel:
    """A model, split as a chooser says; what ``rewrite`` and ``tflsplit rewrite`` both do.

    project: makes the firmware.  progress: is told what is being done.
    Raises as ``rewrite`` does.
    """
    project.refuse_boards_without_firmware(chooser.cluster)
    content = model if isinstance(model, bytes) else read_file(Path(model), MAX_GRAPH_FILE_BYTES)
    name = "model.tflite" if isinstance(model, bytes) else Path(model).name
    splits: list[Split] = []

    def firmware(document: Json, graphs: Sequence[DeviceGraph]) -> Mapping[str, bytes]:
        return project.files(document, graphs, chooser.planned.cluster, chooser.left_out)

    contents = make(content, name, chooser, progress, firmware, splits.append, chooser.remembered)
    (split,) = splits
    assert split.model is not None
    bundle = Bundle(Path(), contents.document, split.model, split.devices)
    return SplitModel(bundle, contents, split.whole)


def load(folder: str | PathLike[str], check: bool = True) -> SplitModel:
    """What ``tflsplit rewrite`` or ``SplitModel.save`` wrote.

    check: that its files belong together; without, ``verify`` says what is wrong with them.
    Raises PlanError or ModelError if it is damaged.
    """
    return SplitModel(read_bundle(Path(folder), check))


def _described(
    devices: int | None,
    board: str | Sequence[str] | None,
    link: str | None,
    topology: str | None,
    cluster: Cluster | str | PathLike[str] | None,
) -> Cluster:
    """The cluster that is meant; ClusterError if it is said twice or not at all."""
    if cluster is None:
        if devices is None:
            raise ClusterError("say how many devices there are: devices=4, or cluster=…")
        made = board_cluster(devices, board or DEFAULT_BOARD, link or "uart")
        return made if topology is None else _wired(made, topology)
    given = {"board": board, "link": link, "topology": topology}
    if said := [name for name, value in given.items() if value is not None]:
        raise ClusterError(f"cluster says that already: leave out {', '.join(said)}")
    described = cluster if isinstance(cluster, Cluster) else read_cluster(Path(cluster))
    if devices not in (None, described.world_size):
        raise ClusterError(f"devices={devices}, but the cluster has {described.world_size}")
    return described


def _wired(cluster: Cluster, topology: str) -> Cluster:
    names = [member.value for member in Topology if member is not Topology.BUS]
    if topology not in names:
        raise ClusterError(f"unknown topology {topology!r}; known are: {', '.join(names)}")
    return rewired(cluster, topology=Topology(topology))
