# SPDX-License-Identifier: Apache-2.0
"""For latency: what only one of several outputs needs is shared out, all else stays on one device.

    x -- [...] -- p -- [...] ----------------------> y1, y2       rank 0, where the input is
                  '--SEND--> [branch, by rows] ----> y3           the others, meanwhile

A network with skips and several heads (a detector's) is one unit, whose layers are divided alike,
and on slow wires not at all.  But a *branch*, layers that lead to one output only and read one
tensor that others read too, gives nothing back to the rest: others may compute it while the rest
goes on.  No prediction knows that (in it a rank waits for what it gives): each plan is simulated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

from tflsplit.cluster import Cluster
from tflsplit.errors import PlanError
from tflsplit.ir import Graph, Node, Value
from tflsplit.ops import rule_of
from tflsplit.ops.own.fused import fused_inside
from tflsplit.plan.check import plan_problems
from tflsplit.plan.cost import default_shares
from tflsplit.plan.cost.compute import total_us
from tflsplit.plan.cost.work import least_work
from tflsplit.plan.halos import recompute_halos
from tflsplit.plan.policy import choose_plan
from tflsplit.plan.spec import Plan, Way
from tflsplit.plan.wishes import Wishes
from tflsplit.planner.ways.shares import Shares, normalized
from tflsplit.planner.whole.planned import Planned, finish

_WORTH = 0.1
"""A branch has at least this part of all multiply-accumulates."""
_OWN = (0.0, 0.15, 0.4, 0.8)
"""What the device with the rest may have of a branch, where all others have 1 together."""
_FAR = 0.5
"""What devices that are not beside it may have, where those beside it have 1 each (with nothing
they are left out of the wiring, and that is tried for fewer devices)."""
_MOST_DEVICES = 8
"""Of more, most are far from the first one, and would have their part late."""

_WITH_INPUT = "where the input is; only a branch is shared out"
_APART = "a branch: others compute it while the rest goes on"


def branches(graph: Graph) -> list[tuple[Node, ...]]:
    """All branches that are worth it, the largest first; each in order."""
    leads_to: dict[Node, set[Value]] = {}
    readers = graph.consumers()
    for node in reversed(graph.nodes):
        mine = {value for value in node.outputs if value in graph.outputs}
        followers = chain.from_iterable(readers.get(value, ()) for value in node.outputs)
        leads_to[node] = mine.union(*(leads_to[reader] for reader in followers))
    if len(graph.outputs) < 2:
        return []
    least = _WORTH * sum(map(_macs, graph.nodes))
    found = []
    for output in graph.outputs:
        nodes = tuple(node for node in graph.nodes if leads_to[node] == {output})
        made = {value for node in nodes for value in node.outputs}
        read = {v for node in nodes for v in node.operands if v.is_computed and v not in made}
        if len(read) == 1 and not read <= set(graph.inputs) and sum(map(_macs, nodes)) >= least:
            found.append(nodes)
    return sorted(found, key=lambda nodes: -sum(map(_macs, nodes)))


def _macs(node: Node) -> int:
    return rule_of(node).macs(node)


def with_branches(graph: Graph, cluster: Cluster, beat_us: float) -> Planned | None:
    """The quickest plan with branches shared out that fits and takes less than ``beat_us``.

    The largest branch; then the next as well, as long as that is quicker.  None if there is none.
    """
    best: Planned | None = None
    if not 2 <= cluster.world_size <= _MOST_DEVICES:
        return None
    apart: tuple[Node, ...] = ()
    for branch in branches(graph):
        before, together = best, (*apart, *branch)
        rest = [node for node in graph.nodes if node not in together]
        rest_us, apart_us = (_least_us(cluster, nodes) for nodes in (rest, together))
        for shares in _shares(cluster):
            if rest_us + shares[cluster.gateways[0]] * apart_us >= beat_us:
                continue
            plan = _plan(graph, cluster, together, shares)
            if plan is None:
                continue
            found = finish(graph, plan, cluster)
            if found.latency_us < beat_us and found.fits(cluster):
                best, beat_us = found, found.latency_us
        if best is before:
            break
        apart = together
    return best


def _least_us(cluster: Cluster, nodes: Sequence[Node]) -> float:
    """What these layers take at least on the device where the input is."""
    work = [
        each
        for node in nodes
        for each in least_work(node, _macs(node), sum(value.size_bytes for value in node.outputs))
    ]
    return total_us(cluster.devices[cluster.gateways[0]], work)


def _shares(cluster: Cluster) -> Iterator[Shares]:
    """Of a branch: little or nothing for the device with the rest, less for those far from it."""
    home, speeds = cluster.gateways[0], default_shares(cluster)
    hops = [
        cluster.routes.tree(home, 1 << rank).depth if rank != home else 0
        for rank in range(cluster.world_size)
    ]
    for far in (1.0, _FAR) if max(hops) > 1 else (1.0,):
        shares = [speed * _nearby(hop, far) for speed, hop in zip(speeds, hops, strict=True)]
        for own in _OWN:
            mine = own * sum(shares)
            yield normalized(
                [share if hop else mine for share, hop in zip(shares, hops, strict=True)]
            )


def _nearby(hops: int, far: float) -> float:
    return min(1.0, hops) if hops <= 1 else far


def _plan(graph: Graph, cluster: Cluster, branch: Sequence[Node], shares: Shares) -> Plan | None:
    """All layers whole where the input is, but a branch by rows; None where that cannot be."""
    ways = {node.name: Way.WHOLE for node in graph.nodes}
    ways.update({node.name: Way.ROWS for node in branch if rule_of(node).factors(node)})
    wishes = Wishes(cluster.world_size, "channels", layers=ways, shares=shares, fuse=True)
    try:
        plan = choose_plan(graph, wishes)
    except PlanError:
        return None
    home = cluster.gateways[0]
    splits = [replace(s, rank=home) if s.way is Way.WHOLE else s for s in plan.splits]
    reasons = {node.name: _WITH_INPUT for node in graph.nodes}
    reasons.update({node.name: _APART for node in branch})
    plan = replace(plan, splits=tuple(splits), reasons=reasons, overlap=True)
    plan = recompute_halos(graph, plan, fused_inside(graph))
    return None if plan_problems(graph, plan) else plan
