# SPDX-License-Identifier: Apache-2.0
"""The best plan for up to so many devices: one more never makes it worse.

best(N) = the best of: all N devices in the wiring; one left out; two left out; ...; one device

Each is planned anew for the devices that are left (``cluster.fewer``: which ones that are), so what
is found for N devices is among what is compared for N + 1.  Left out is only what cannot be better:

    latency    what computing alone takes at least (``Choices.least_work_us``) is a bound; so is,
               within measured margins, a first prediction (``finals``), by which they are ordered
    ram        a unit's inputs share out over the devices, and have to be somewhere, as its outputs
               have; who found nothing near the best for two numbers in a row is not asked for fewer
    bytes      none are fewer than those of one device

Beyond ``FEW`` devices each plan takes many seconds to find: then ever more of them are tried, in
steps, until one brings nothing, which depends on fewer devices only, and so is never worse either.
For networks of hundreds of operators all are tried so, until two in a row bring nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tflsplit.cluster import Cluster
from tflsplit.cluster.fewer import fewer, order_of_leaving
from tflsplit.errors import ClusterError
from tflsplit.ir import Graph
from tflsplit.planner.branches import with_branches
from tflsplit.planner.collecting import collecting_rarely
from tflsplit.planner.cost.costs import Costs
from tflsplit.planner.cost.evaluate import tail_of
from tflsplit.planner.cost.memories import Memories
from tflsplit.planner.searching.choices import Choices
from tflsplit.planner.searching.searcher import OBJECTIVES, Searcher
from tflsplit.planner.searching.tried import knows, most_promising_first
from tflsplit.planner.strips import smallest_in_strips
from tflsplit.planner.whole.planned import Planned
from tflsplit.planner.whole.shortfall import smallest_cluster, why_not, with_room

CHAINED = 16
"""Up to so many devices chains of the first blocks are tried."""
FEW = 16
"""Up to here, every number of devices is tried."""
MANY = (24, 32, 48, 64)
LARGE_NODES = 200
"""Of networks with more operators every plan takes seconds to find."""
STEPS = (1, 2, 3, 4, 6, 8, 12, 16)
"""For these, the numbers up to ``FEW`` that are tried."""
_BEATEN = 2
"""So many times in a row; a head that is far too large on some devices is no smaller on fewer."""

_Kind = tuple[bool, bool]
"""Of a searcher: whether for the least RAM, and with a chain."""

Known = dict[tuple[int, bool, bool], Choices]
"""What units can do, by number of devices, whether that is for the least RAM, and in a chain."""


class Planner:
    """Plans for one model on a cluster, or on what is left when devices are left out of it.

    hosted: whether the host may keep the model's inputs (for the least RAM).
    choices: what units can do, by number of devices, found by a planner whose cluster differs in
        what devices have room for only.
    """

    def __init__(
        self,
        graph: Graph,
        cluster: Cluster,
        choices: Known | None = None,
        hosted: bool = False,
    ) -> None:
        self.graph = graph
        self.cluster = cluster
        self.choices: Known = {} if choices is None else choices
        self._hosted = hosted
        self._searchers: dict[tuple[int, bool, bool], Searcher] = {}
        self._ratios: list[float] = []
        self._costs = Costs()
        self._found: dict[str, Planned | None] = {}

    def searcher(
        self, world_size: int, objective: str = "latency", chain: bool = False
    ) -> Searcher:
        """Who searches plans for so many of the devices; for RAM, with options of its own.

        chain: with the first blocks as one, where the host keeps the input.
        """
        key = world_size, objective == "ram", chain
        if key not in self._searchers:
            cluster, _ = fewer(self.cluster, world_size)
            known = self.choices.get(key) or Choices(
                self.graph,
                cluster,
                narrow=key[1],
                hosted=key[1] and self._keeps_input(world_size),
                chain=chain,
                costs=self._costs,
            )
            known.ratios = self._ratios
            self.choices[key] = known
            self._searchers[key] = Searcher(self.graph, cluster, known)
        return self._searchers[key]

    def _keeps_input(self, world_size: int) -> bool:
        """Whether the host may keep the inputs: of one device only where that was asked for."""
        return self._hosted and (world_size > 1 or bool(self.cluster.stream))

    def searcher_of(self, planned: Planned, objective: str) -> Searcher:
        """The searcher that made a plan for an objective: that for RAM where nothing else fits.

        The one that knows the plan's units, which its splits alone do not tell: whoever looked for
        chains or narrow windows may have found that the plan is best without.
        """
        size = planned.plan.world_size
        is_narrow = any(split.window_columns for split in planned.plan.splits)
        first = self.searcher(size, "ram" if is_narrow else objective)
        if any(split.chained for split in planned.plan.splits) and planned.plan.stream:
            chain = self.searcher(size, "ram", chain=True)
            first = chain if knows(chain, planned) else first
        if knows(first, planned):
            return first
        plain = self.searcher(size)
        others = [plain, *(found for key, found in self._searchers.items() if key[0] == size)]
        return next((found for found in others if knows(found, planned)), plain)

    @property
    def memories(self) -> Memories:
        """What device graphs need that were looked at so far."""
        return self._costs.memories

    def left_out(self, planned: Planned) -> tuple[int, ...]:
        """The ranks that need not be wired for a plan of these."""
        return fewer(self.cluster, planned.plan.world_size)[1]

    def best(self, objective: str) -> Planned:
        """The best plan that fits; ClusterError, saying what is missing, if none does."""
        found = self.find(objective)
        if found is None:
            raise ClusterError(self._why_not())
        return found

    def find(self, objective: str) -> Planned | None:
        """``best``, or None where nothing fits: what is missing takes further searches to say."""
        if objective not in self._found:
            with collecting_rarely():
                self._found[objective] = self._search(objective) or self._any_other(objective)
        return self._found[objective]

    def alone(self, objective: str) -> tuple[Planned, Cluster] | None:
        """The plan of one device and what that device is, which may be too small for it.

        None where the host is wired to two devices.
        """
        if self.least > 1:
            return None
        searcher = self.searcher(1, objective)
        found = searcher.find(objective)
        if found is None:
            roomy = with_room(searcher.cluster, flash=True)
            found = Searcher(self.graph, roomy).find("ram")
        return (found, searcher.cluster) if found is not None else None

    @property
    def least(self) -> int:
        """As few devices as can be wired alone: 1, unless the host is wired to two."""
        return self.cluster.world_size - len(order_of_leaving(self.cluster))

    def _any_other(self, objective: str) -> Planned | None:
        """Where no search for an objective finds a plan, another one's may."""
        found = (self._search(other) for other in OBJECTIVES if other != objective)
        plans = (planned for planned in found if planned is not None)
        return min(plans, key=lambda planned: planned.value(objective), default=None)

    def _search(self, objective: str) -> Planned | None:
        best: Planned | None = None
        beaten = Counter[_Kind]()
        for world_size in self._few(objective):
            best = self._or_better(best, objective, world_size, beaten)
        idle = 0
        for world_size in self._many():
            before, best = best, self._or_better(best, objective, world_size)
            idle = idle + 1 if best is before else 0
            if best is not None and idle > self._is_large:
                break
        if best is None and self.cluster.world_size not in (*range(FEW + 1), *self._many()):
            return self.searcher(self.cluster.world_size, objective).find(objective)
        return best

    def _or_better(
        self,
        best: Planned | None,
        objective: str,
        world_size: int,
        beaten: Counter[_Kind] | None = None,
    ) -> Planned | None:
        """A plan, or that for so many devices if it has the smaller value.

        beaten: how many times in a row a kind of searcher found nothing near the least RAM.
        """
        value = best.value(objective) if best is not None else float("inf")
        if self.bound(objective, world_size) > value:
            return best
        tried = self._tried(objective, world_size)
        tried = tried if best else most_promising_first(tried)
        for at, searcher in enumerate(tried):
            kind = searcher.choices.narrow, searcher.choices.chain
            if beaten is not None and beaten[kind] == _BEATEN:
                continue
            tail_bytes = tail_of(best.steps) if best is not None and objective == "ram" else 0
            found = smallest_in_strips(searcher, objective, value, tail_bytes)
            is_last = searcher not in tried[at + 1 :]
            if beaten is not None and is_last and objective == "ram" and value < float("inf"):
                is_near = found is not None and found.value(objective) <= value
                beaten[kind] = 0 if is_near else beaten[kind] + 1
            if found is not None and self._is_better(found, best, objective):
                best, value = found, found.value(objective)
        if objective == "latency":
            best = with_branches(self.graph, fewer(self.cluster, world_size)[0], value) or best
        return best

    def _tried(self, objective: str, world_size: int) -> list[Searcher]:
        """Whoever searches for an objective, the most promising first."""
        searchers = [self.searcher(world_size, objective)]
        if objective == "ram":  # what units need is not all: a whole plan may be smaller without
            searchers.append(self.searcher(world_size))
            if world_size <= CHAINED and self._keeps_input(world_size):
                chain = self.searcher(world_size, objective, chain=True)
                # without a chain again, from what it found: that may lead to less, and is known
                searchers.insert(0, chain if chain.choices.begins_with_chain else searchers[0])
        return searchers

    @property
    def _is_large(self) -> bool:
        return len(self.graph.nodes) > LARGE_NODES

    def _few(self, objective: str) -> Sequence[int]:
        """Numbers of devices that are all tried, the most promising first."""
        if self._is_large:
            return ()
        sizes = range(self.least, min(FEW, self.cluster.world_size) + 1)
        if objective == "latency":  # the least first: it takes hardly any time to find
            return [*sizes[:1], *self._sketched(sizes[1:])]
        return sizes if objective == "bytes" else sizes[::-1]

    def _sketched(self, sizes: Sequence[int]) -> list[int]:
        """Numbers of devices, the quickest by a sketch first.

        Those whose computing alone takes longer than another's sketch come last, without one.
        """
        found: dict[int, float] = {}
        for size in reversed(sizes):
            if self.bound("latency", size) > min(found.values(), default=float("inf")):
                break  # and that of fewer is no lower
            found[size] = self.searcher(size).sketched_us()
        rest = [size for size in reversed(sizes) if size not in found]
        return [*sorted(found, key=lambda size: (found[size], -size)), *rest]

    def _many(self) -> Sequence[int]:
        """Numbers of devices that are tried until more of them bring nothing."""
        sizes = (*STEPS, *MANY) if self._is_large else MANY
        return [size for size in sizes if self.least <= size <= self.cluster.world_size]

    @staticmethod
    def _is_better(planned: Planned, best: Planned | None, objective: str) -> bool:
        """Whether a plan has the smaller value, or as small a one for fewer devices."""
        if best is None:
            return True
        mine, its = ((p.value(objective), p.plan.world_size) for p in (planned, best))
        return mine < its

    def bound(self, objective: str, world_size: int) -> float:
        """What no plan for so many devices is below."""
        if objective == "bytes":
            return 0.0 if world_size == 1 else 1.0
        if objective == "latency":
            least = self.searcher(world_size).choices.least_work_us()
            speeds = [1 / us for us in least if us]
            return 1 / sum(speeds) if speeds else 0.0
        return min(each.least_arena_bytes() for each in self._tried(objective, world_size))

    def _why_not(self) -> str:
        enough = smallest_cluster(self.cluster, self._would_do)
        advice = (
            f"{enough} such devices would do"
            if enough
            else "use more devices, or devices with more RAM or flash"
        )

        def find(cluster: Cluster) -> Planned | None:
            return Planner(self.graph, cluster).find("ram")

        choices = self.searcher(self.cluster.world_size).choices
        return f"{why_not(self.cluster, choices.units, choices.all_steps(), find)}; {advice}"

    def _would_do(self, cluster: Cluster) -> bool:
        searcher = Searcher(self.graph, cluster)
        return any(True for objective in OBJECTIVES for _ in searcher.candidates(objective))
