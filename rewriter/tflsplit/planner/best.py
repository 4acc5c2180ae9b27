# SPDX-License-Identifier: Apache-2.0
"""The plan that a user gets: searched, its links' frames chosen, its input streamed or resident."""

from __future__ import annotations

from dataclasses import replace

from tflsplit.cluster import Cluster, Device
from tflsplit.cluster.rings import LEAN_MTU_BYTES
from tflsplit.ir import Graph
from tflsplit.planner.planner import Planner
from tflsplit.planner.strips import in_strips, may_have_regions
from tflsplit.planner.teams import THROUGHPUT, best_teams
from tflsplit.planner.whole.links import with_frames, with_lean_links
from tflsplit.planner.whole.planned import Planned, finish, rooms_of, smallest_of
from tflsplit.planner.whole.shortfall import with_room
from tflsplit.planner.whole.streaming import streamed


def best_plan(graph: Graph, cluster: Cluster, objective: str) -> tuple[Planner, Planned]:
    """The best plan, and the planner that found it; ClusterError as ``Planner.best``.

    Where nothing fits, with smaller frames; then, if it may, with the input streamed.
    objective: for "throughput", the plan is that of one of the teams that its cluster tells of.
    """
    find = _with_banks if any(device.banks for device in cluster.devices) else _found
    planner, found = find(graph, cluster, objective)
    if found is None:
        return planner, planner.best("latency" if objective == THROUGHPUT else objective)
    return planner, found


Found = tuple[Planner, Planned | None]
"""Who searched, and the plan; None where nothing fits."""


def _with_banks(graph: Graph, cluster: Cluster, objective: str) -> Found:
    """The best plan that needs no bank, only the first ones, or all: that which is quickest.

    A search counts banks as room, not what they cost; that is in the simulated latency.  Where
    latency is not the objective, that with the fewest banks.
    """
    best: tuple[Planner, Planned] | None = None
    for count in range(1 + max(len(device.banks) for device in cluster.devices)):
        first = replace(cluster, devices=tuple(_first_banks(d, count) for d in cluster.devices))
        planner, found = _found(graph, first, objective)
        if found is None:
            continue
        if best is None or found.value(objective) < best[1].value(objective):
            best = planner, _with_all(planner, found, cluster)
        if objective not in (THROUGHPUT, "latency"):
            break
    return best or (planner, None)


def _first_banks(device: Device, count: int) -> Device:
    return replace(device, banks=device.banks[:count])


def _with_all(planner: Planner, found: Planned, cluster: Cluster) -> Planned:
    """A plan that does not need all banks, on devices that have them; a team's as it is."""
    kept = [d for rank, d in enumerate(cluster.devices) if rank not in planner.left_out(found)]
    if len(kept) != found.cluster.world_size or tuple(kept) == found.cluster.devices:
        return found
    banked = replace(found.cluster, devices=tuple(kept))
    return replace(found, cluster=banked, plan=replace(found.plan, arena_rooms=rooms_of(banked)))


def _found(graph: Graph, cluster: Cluster, objective: str) -> Found:
    if objective == THROUGHPUT:
        return _best_teams(graph, cluster)
    hosted = objective == "ram" and may_stream(cluster, cluster.world_size, objective)
    planner = Planner(graph, cluster, hosted=hosted)
    found = planner.find(objective)
    if found is None and not cluster.links_given:
        cluster = with_frames(cluster, LEAN_MTU_BYTES)
        planner = Planner(graph, cluster, hosted=hosted)
        found = planner.find(objective)
    if found is None:
        return planner, _streamed_to_fit(graph, cluster, objective)
    plans = [each for each in (found, found.plain) if each is not None]
    if not found.cluster.links_given and LEAN_MTU_BYTES in (cluster.mtu_bytes, *_wanted(objective)):
        plans = list(map(with_lean_links, plans))
    if may_stream(cluster, found.plan.world_size, objective):
        plans = [_with_input_in_strips(graph, each, objective) for each in plans]
    return planner, smallest_of(graph, plans) if len(plans) > 1 else plans[0]


def _with_input_in_strips(graph: Graph, planned: Planned, objective: str) -> Planned:
    """The plan with its input streamed; for the least RAM perhaps with more layers in tiles."""
    found = streamed(graph, planned, planned.cluster, objective)
    if objective != "ram" or not may_have_regions(graph):
        return found
    plan = replace(found.plan, stream=True)
    other = in_strips(graph, finish(graph, plan, found.cluster, found.steps))
    return smallest_of(graph, [found, other]) or found


def _best_teams(graph: Graph, cluster: Cluster) -> Found:
    """Where no team has room, all devices as one, by all means."""
    found = best_teams(graph, cluster)
    if found is None:
        return _found(graph, cluster, "latency")
    planner, planned = found
    if may_stream(planner.cluster, planned.plan.world_size, "latency"):
        planned = streamed(graph, planned, planned.cluster, "latency")
    return planner, planned


def _wanted(objective: str) -> tuple[int, ...]:
    return (LEAN_MTU_BYTES,) if objective == "ram" else ()


def _streamed_to_fit(graph: Graph, cluster: Cluster, objective: str) -> Planned | None:
    """A plan that fits only because its input is not in memory; None if there is none."""
    if not may_stream(cluster, cluster.world_size, objective):
        return None
    roomy = Planner(graph, with_room(cluster)).find("ram")
    if roomy is None or roomy.plan.world_size != cluster.world_size:
        return None
    resident = finish(graph, roomy.plan, cluster, roomy.steps)
    if not cluster.links_given:
        resident = with_lean_links(resident)
    found = streamed(graph, resident, cluster, "ram")
    return found if found.fits(cluster) else None


def may_stream(cluster: Cluster, world_size: int, objective: str) -> bool:
    """Whether the input may stay with the host: as the cluster says, else for the least RAM.

    Not where the next one's is to come ahead.

    Not on one device, unless it was asked for: its graph runs in any application of TFLM, which
    knows no RECV.
    """
    if cluster.stream is not None or cluster.ahead:
        return bool(cluster.stream)
    return objective == "ram" and world_size > 1
