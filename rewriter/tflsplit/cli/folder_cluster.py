# SPDX-License-Identifier: Apache-2.0
"""The cluster that a command takes an output folder for: the one it was made for, unless told."""

from __future__ import annotations

from pathlib import Path

from tflsplit.api.clusters import relinked
from tflsplit.bundle import Bundle
from tflsplit.bundle.remembered import remembered_cluster
from tflsplit.cli.console import note, ranks_text
from tflsplit.cluster import Cluster, default_cluster, read_cluster
from tflsplit.cluster.fewer import fewer
from tflsplit.cluster.links import LinkKind
from tflsplit.cluster.teams import team_of
from tflsplit.cluster.words import LINK_WORDS
from tflsplit.errors import ClusterError, counted


def cluster_of_folder(bundle: Bundle, given: Path | None, link: str | None = None) -> Cluster:
    """The cluster of ``--cluster``, else the one that the folder remembers, else the default one.

    link: the kind of links instead of its own, from ``--link``.
    Says on standard error where an option takes the place of what the folder remembers, and where
    it remembers nothing.  Raises ClusterError for both options, and as ``read_cluster`` does.
    """
    if given is not None and link is not None:
        raise ClusterError("--link describes the default cluster; --cluster names its own")
    size = len(bundle.devices)
    remembered = remembered_cluster(bundle.document, bundle.folder)
    if given is not None:
        if remembered is not None:
            note(f"{given} instead of the cluster that {bundle.folder} was made for")
        teams = 1 if remembered is None else remembered.teams
        return _as_wired(read_cluster(given), size, given, teams)
    cluster = remembered or default_cluster(size)
    if remembered is None:
        note(
            f"{bundle.folder} does not say what cluster it was made for; taken for {size} "
            "Teensy 4.1 in a ring of UARTs (--cluster FILE names another)"
        )
    if link is None or LinkKind(link) is cluster.link.kind:
        return cluster
    if remembered is not None:
        now, then = LINK_WORDS[LinkKind(link)], LINK_WORDS[cluster.link.kind]
        note(f"{now} instead of the {then} that it was made for")
    return relinked(cluster, link)


def _as_wired(cluster: Cluster, world_size: int, name: object, teams: int) -> Cluster:
    """What a plan for so many devices uses of a described cluster; says so if that is not all.

    teams: that the plan was made for.
    """
    if world_size >= cluster.world_size:
        return cluster
    team = team_of(cluster, teams)
    if teams > 1 and team is not None and team[0].world_size == world_size:
        note(f"{teams} teams of {counted(world_size, 'device')} of those in {name}")
        return team[0]
    used, left_out = fewer(cluster, world_size)
    note(
        f"the plan uses {world_size} of the {cluster.world_size} devices in {name}; "
        f"{ranks_text(left_out)} left out"
    )
    return used
