# SPDX-License-Identifier: Apache-2.0
"""The best plan for boards that were found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tflsplit.api.found import cluster_of_found, ranks_of_found
from tflsplit.api.project import Project
from tflsplit.api.rewriting import divided
from tflsplit.api.split_model import SplitModel
from tflsplit.cluster import Cluster
from tflsplit.cluster.rewired import rewired
from tflsplit.deploy.deploying import prepare_images
from tflsplit.deploy.slices import StoreError
from tflsplit.deploy.wiring import Wiring
from tflsplit.errors import ClusterError
from tflsplit.firmware import FirmwareOptions, options_of_cluster
from tflsplit.rewriting.chooser import Chooser
from tflsplit.wire.topology import Topology

Stage = Callable[[str], None]
_MOST_PLANS = 4


@dataclass(frozen=True)
class PlannedForFound:
    """A model, split for the boards that are there; options: what its firmware is made of."""

    split: SplitModel
    options: FirmwareOptions


def planned_for(
    model: Path | bytes,
    wiring: Wiring,
    objective: str = "latency",
    stage: Stage = lambda text: None,
) -> PlannedForFound:
    """Search a plan.

    A search counts weights; what an image has beside them, its graph above all, is known when there
    is one.  Where a store is too small for that, another plan is searched, with fewer weights.

    stage: is told what is being done.
    Raises ClusterError, saying what is missing, if nothing fits; and as ``cluster_of_found``.
    """
    cluster = cluster_of_found(wiring)
    for _ in range(_MOST_PLANS):
        planned = _planned_on(cluster, model, wiring, objective, stage)
        try:
            prepare_images(planned.split.bundle, planned.options, wiring)
        except StoreError as error:
            said, cluster = error, _with_fewer_weights(cluster, planned.split, error)
        except ClusterError:
            return planned  # whoever deploys it says what else is wrong
        else:
            return planned
    raise said


def _with_fewer_weights(cluster: Cluster, split: SplitModel, error: StoreError) -> Cluster:
    """On every device whose image was too large; StoreError if one is left without any."""
    devices = list(cluster.devices)
    used = [rank for rank in range(len(devices)) if rank not in split.left_out]
    for rank, missing in error.missing.items():
        room = int(split.plan["devices"][rank]["weights_bytes"]) - missing
        if room <= 0:
            raise error
        devices[used[rank]] = replace(devices[used[rank]], weights_limit_bytes=room)
    return replace(cluster, devices=tuple(devices))


def _planned_on(
    cluster: Cluster, model: Path | bytes, wiring: Wiring, objective: str, stage: Stage
) -> PlannedForFound:
    split = _split(model, cluster, wiring, objective, stage)
    if split.left_out and cluster.topology is Topology.RING:
        # A ring of fewer would want other cables; a line of fewer is in it.
        line = rewired(cluster, topology=Topology.LINE)
        split = _split(model, line, wiring, objective, stage)
    kinds = _kinds(wiring)
    used = tuple(kind for rank, kind in enumerate(kinds) if rank not in split.left_out)
    return PlannedForFound(split, options_of_cluster(split.cluster, used))


def _split(
    model: Path | bytes, cluster: Cluster, wiring: Wiring, objective: str, stage: Stage
) -> SplitModel:
    project = Project(_kinds(wiring), wanted=True)
    return divided(model, Chooser(cluster, objective), project, stage)


def _kinds(wiring: Wiring) -> list[str]:
    """Of board, by rank."""
    return [wiring.boards[board].kind for board in ranks_of_found(wiring)]
