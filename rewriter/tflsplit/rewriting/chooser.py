# SPDX-License-Identifier: Apache-2.0
"""The plan of a request: searched, replayed, or by the simple policy; and what it was made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from tflsplit.bundle.plan_file import load_plan
from tflsplit.bundle.plan_json import Json
from tflsplit.bundle.remembered import remember
from tflsplit.cluster import Cluster
from tflsplit.cluster.fewer import fewer
from tflsplit.cluster.teams import team_of
from tflsplit.errors import PlanError, counted
from tflsplit.ir import Graph
from tflsplit.plan.check import plan_problems
from tflsplit.plan.policy import choose_plan
from tflsplit.plan.spec import Plan
from tflsplit.plan.wishes import Wishes
from tflsplit.planner import Planned, Planner, finish
from tflsplit.planner.best import best_plan
from tflsplit.planner.explain import reasoned
from tflsplit.planner.searching.searcher import Searcher
from tflsplit.planner.whole.links import with_frames
from tflsplit.planner.whole.streaming import streamed
from tflsplit.rewriting.rewrite import split_model
from tflsplit.split.devices import DeviceGraph


class Chooser:
    """Makes a plan for a graph, and keeps what there is to say of it.

    cluster: what was asked for.
    by: None: the best plan that is found for ``objective``; ``Wishes``: what is divided by hand; a
        path: the file of a saved plan, which is replayed.
    planner, planned: once the plan is made; left_out: ranks of the cluster that it does not use.
    With objective "throughput" the plan is of one team (``planned.cluster.teams``), and planner and
    left_out are of the first.
    """

    def __init__(
        self, cluster: Cluster, objective: str = "latency", by: Wishes | Path | None = None
    ) -> None:
        self.cluster = cluster
        self.objective = objective
        self._by = by
        self.left_out: tuple[int, ...] = ()
        self.planner: Planner
        self.planned: Planned

    def __call__(self, graph: Graph) -> Plan:
        """The plan, with its reasons; errors as ``Planner.best`` and ``replayed`` raise them."""
        self.planner, self.planned = self._planned(graph)
        self.left_out = self._left_out()
        if self.searched:
            plan = reasoned(self.planned, self.searcher)
            self.planned = replace(self.planned, plan=plan)
        return self.planned.plan

    def _left_out(self) -> tuple[int, ...]:
        teams = self.planned.cluster.teams
        if teams == self.cluster.teams:
            return self.planner.left_out(self.planned)
        team = team_of(self.cluster, teams)
        assert team is not None  # the plan is of one
        return team[1]

    @property
    def spare(self) -> int:
        """How many devices of the cluster that was asked for are used by no team."""
        used = self.planned.cluster
        return self.cluster.teams * self.cluster.world_size - used.teams * used.world_size

    def _planned(self, graph: Graph) -> tuple[Planner, Planned]:
        if self._by is None:
            return best_plan(graph, self.cluster, self.objective)
        planner = Planner(graph, self.cluster)
        if isinstance(self._by, Wishes):
            planned = finish(graph, choose_plan(graph, self._by), self.cluster)
            if self.cluster.stream:
                planned = streamed(graph, planned, self.cluster, self.objective)
            return planner, planned
        return planner, replayed(self._by, graph, self.cluster)

    def remembered(self) -> Mapping[str, Json]:
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
        return self._by is None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Where a device is too small for a plan that was replayed, once that is made."""
        return tuple(_shortages(self.planned)) if isinstance(self._by, Path) else ()


def replayed(path: Path, graph: Graph, cluster: Cluster) -> Planned:
    """A saved plan on a cluster; of more devices, those are left out that a search would leave out.

    Raises PlanError with everything that is wrong with it for this model, or if it is for more
    devices than there are.
    """
    saved = load_plan(path)
    if saved.world_size > cluster.world_size:
        raise PlanError(
            f"{path} is for {counted(saved.world_size, 'device')}, not {cluster.world_size}"
        )
    _check(saved, graph, path)
    used = with_frames(fewer(cluster, saved.world_size)[0], saved.mtu_bytes)
    return finish(graph, saved, used)


def _check(plan: Plan, graph: Graph, path: Path) -> None:
    problems = plan_problems(graph, plan)
    names = {node.name for node in graph.nodes}
    if plan.splits and names.isdisjoint(split.node for split in plan.splits):
        raise PlanError(
            f"{path} is of another model: it names {len(plan.splits)} layers, none of which is in "
            f"this one, which has {len(names)}"
        )
    if problems:
        raise PlanError(f"{path} does not fit the model:\n  " + "\n  ".join(problems))


def _shortages(planned: Planned) -> Iterator[str]:
    cluster = planned.cluster
    arena, flash = planned.arena_short_bytes(cluster), planned.flash_short_bytes(cluster)
    for rank in range(cluster.world_size):
        for what, short in (("RAM", arena[rank]), ("flash", flash[rank])):
            if short:
                yield f"rank {rank} lacks {short:,} bytes of {what}"


def split_anew(model: Graph, cluster: Cluster) -> tuple[tuple[DeviceGraph, ...], Cluster]:
    """As ``tflsplit rewrite`` without further options on a cluster; and what it uses of that."""
    chooser = Chooser(cluster)
    return split_model(model, chooser).devices, chooser.planned.cluster
