# SPDX-License-Identifier: Apache-2.0
"""From a model to a split one: searched for a cluster, or read from a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

from tflsplit.api.clusters import DEFAULT_BOARD, board_cluster, limited
from tflsplit.api.split_model import SplitModel
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.bundle.plan_json import Json
from tflsplit.bundle.remembered import remember
from tflsplit.cluster import Cluster, Topology, read_cluster
from tflsplit.errors import ClusterError, UserError
from tflsplit.firmware import FirmwareOptions, all_files, options_of_cluster
from tflsplit.ir import Graph
from tflsplit.plan.spec import Plan
from tflsplit.planner import OBJECTIVES, Planned, Planner
from tflsplit.planner.explain import reasoned
from tflsplit.planner.streaming import streamed
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
) -> SplitModel:
    """Split an int8 .tflite model inside its layers, with the best plan that is found.

    model: a file's path, or its bytes.
    devices: at most so many boards; ``board``: their name, or one for each ("teensy41"); ``link``:
        "uart" or "spi"; ``topology``: "ring", "line" or "star".  Or ``cluster``, which says all of
        that: a cluster.toml's path, or a ``tflsplit.cluster.Cluster``.
    objective: "latency", "ram" or "bytes".
    max_arena, max_weights: most on a device, as 65536 or "64KiB".
    Nothing is written; see ``SplitModel.save``.
    Raises ModelError for a model that cannot be taken, ClusterError for boards that are unknown or
    too small, PlanError for no size.
    """
    if objective not in OBJECTIVES:
        raise ClusterError(f"unknown objective {objective!r}; known are: {', '.join(OBJECTIVES)}")
    described = _described(devices, board, link, topology, cluster)
    choose = _Chooser(limited(described, max_arena, max_weights), objective)
    boards = (board,) if isinstance(board, str) else tuple(board or ())
    content = model if isinstance(model, bytes) else read_file(Path(model), MAX_GRAPH_FILE_BYTES)
    name = "model.tflite" if isinstance(model, bytes) else Path(model).name
    splits: list[Split] = []

    def firmware(document: Json, graphs: Sequence[DeviceGraph]) -> Mapping[str, bytes]:
        kept = [each for rank, each in enumerate(boards) if rank not in choose.left_out]
        return _firmware(
            document, graphs, choose.planned.cluster, kept if len(boards) > 1 else boards
        )

    contents = make(
        content, name, choose, extra=firmware, seen=splits.append, remembered=choose.remembered
    )
    (split,) = splits
    assert split.model is not None
    return SplitModel(Bundle(Path(), contents.document, split.model, split.devices), contents)


def load(folder: str | PathLike[str], check: bool = True) -> SplitModel:
    """What ``tflsplit rewrite`` or ``SplitModel.save`` wrote.

    check: that its files belong together; without, ``verify`` says what is wrong with them.
    Raises PlanError or ModelError if it is damaged.
    """
    return SplitModel(read_bundle(Path(folder), check))


class _Chooser:
    """Makes the plan, and keeps what there is to say of it."""

    def __init__(self, cluster: Cluster, objective: str) -> None:
        self._cluster, self._objective = cluster, objective
        self.left_out: tuple[int, ...] = ()
        self.planned: Planned

    def __call__(self, graph: Graph) -> Plan:
        planner = Planner(graph, self._cluster)
        self.planned = planner.best(self._objective)
        if self._cluster.stream:
            used = self.planned.cluster
            self.planned = streamed(graph, self.planned, used, self._objective)
        self.left_out = planner.left_out(self.planned)
        return reasoned(self.planned, planner.searcher_of(self.planned, self._objective))

    def remembered(self) -> Mapping[str, Json]:
        return remember(self.planned.cluster, self._objective, self.left_out)


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
    return replace(cluster, topology=Topology(topology))


def _firmware(
    document: Json, graphs: Sequence[DeviceGraph], cluster: Cluster, boards: Sequence[str]
) -> Mapping[str, bytes]:
    """The files of a PlatformIO project; none where no firmware is for such a cluster."""
    try:
        named = tuple(boards) * (len(graphs) if len(boards) == 1 else 1)
        options: FirmwareOptions = options_of_cluster(cluster, named)
        return all_files(document, graphs, options)
    except UserError:
        if boards:
            raise
        return {}
