# SPDX-License-Identifier: Apache-2.0
"""The plan of a command: searched, replayed, or by the simple policy; and what it was made from."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tflsplit.bundle.remembered import remember
from tflsplit.cli.console import STDERR
from tflsplit.cli.planning import checked, saved_plan
from tflsplit.cluster import Cluster
from tflsplit.cluster.fewer import fewer
from tflsplit.ir import Graph
from tflsplit.plan.policy import choose_plan
from tflsplit.plan.spec import Plan
from tflsplit.plan.wishes import Wishes
from tflsplit.planner import Planned, Planner, finish
from tflsplit.planner.explain import reasoned
from tflsplit.planner.searcher import Searcher
from tflsplit.planner.streaming import streamed
from tflsplit.rewriting.rewrite import split_model
from tflsplit.split.devices import DeviceGraph

Then = Callable[[Cluster, tuple[int, ...]], None]
"""Is told the devices that a plan uses, and which ranks are left out."""


class Choosing:
    """Makes a plan, and keeps what there is to say of it.

    cluster: what was asked for; wishes: what is divided by hand, None: nothing.
    then: is told what the plan uses, as soon as that is known.
    planner, planned: once the plan is made; left_out: ranks of the cluster that it does not use.
    """

    def __init__(
        self,
        arguments: argparse.Namespace,
        cluster: Cluster,
        wishes: Wishes | None = None,
        then: Then | None = None,
    ) -> None:
        self.objective: str = arguments.objective or "latency"
        self.cluster = cluster
        self._saved = arguments.plan
        self._wishes = wishes
        self._then = then
        self.left_out: tuple[int, ...] = ()

    def __call__(self, graph: Graph) -> Plan:
        """The plan, with its reasons; errors as ``Planner.best`` and ``checked`` raise them."""
        self.planner = Planner(graph, self.cluster)
        self.planned = self._planned(graph)
        if self._saved is None and self.cluster.stream:
            used = self.planned.cluster
            self.planned = streamed(graph, self.planned, used, self.objective)
        self.left_out = self.planner.left_out(self.planned)
        if self._then is not None:
            self._then(self.planned.cluster, self.left_out)
        if self._wishes is None and self._saved is None:
            plan = reasoned(self.planned, self.searcher)
            self.planned = replace(self.planned, plan=plan)
        return self.planned.plan

    def _planned(self, graph: Graph) -> Planned:
        if self._wishes is not None:
            return finish(graph, choose_plan(graph, self._wishes), self.cluster)
        if self._saved is None:
            return self.planner.best(self.objective)
        saved, cluster = saved_plan(self._saved, self.cluster)
        planned = finish(graph, checked(saved, graph, self._saved), cluster)
        _warn(planned)
        return planned

    def remembered(self) -> dict[str, Any]:
        """What plan.json keeps of the request, once the plan is made."""
        objective = self.objective if self.searched else None
        return remember(self.planned.cluster, objective, self.left_out)

    @property
    def searcher(self) -> Searcher:
        """Who made the plan, or would have."""
        return self.planner.searcher_of(self.planned, self.objective)

    @property
    def searched(self) -> bool:
        """Whether the plan is the best that was found, not one that somebody wanted."""
        return self._wishes is None and self._saved is None


def _warn(planned: Planned) -> None:
    """Say on standard error where a device is too small for a plan."""
    cluster = planned.cluster
    shorts = zip(
        planned.arena_short_bytes(cluster), planned.flash_short_bytes(cluster), strict=True
    )
    for rank, (arena, flash) in enumerate(shorts):
        for what, short in (("RAM", arena), ("flash", flash)):
            if short:
                STDERR.print(
                    f"warning: rank {rank} lacks {short:,} bytes of {what}", soft_wrap=True
                )


def split_anew(model: Graph, cluster: Cluster) -> tuple[tuple[DeviceGraph, ...], Cluster]:
    """As ``tflsplit rewrite`` without further options on a cluster; and what it uses of that."""
    choosing = Choosing(argparse.Namespace(plan=None, objective=None), cluster)
    return split_model(model, choosing).devices, choosing.planned.cluster


def as_wired(cluster: Cluster, world_size: int, name: object) -> Cluster:
    """What a plan for so many devices uses of a described cluster; says so if that is not all."""
    if world_size >= cluster.world_size:
        return cluster
    used, left_out = fewer(cluster, world_size)
    STDERR.print(
        f"note: the plan uses {world_size} of the {cluster.world_size} devices in {name}; "
        f"{ranks_text(left_out)} left out",
        soft_wrap=True,
    )
    return used


def ranks_text(ranks: tuple[int, ...]) -> str:
    """``rank 3 is``, ``ranks 5, 6, 7 are``, ``ranks 5 to 15 are``."""
    if len(ranks) == 1:
        return f"rank {ranks[0]} is"
    if len(ranks) > 3 and ranks[-1] - ranks[0] == len(ranks) - 1:
        return f"ranks {ranks[0]} to {ranks[-1]} are"
    return f"ranks {', '.join(map(str, ranks))} are"
