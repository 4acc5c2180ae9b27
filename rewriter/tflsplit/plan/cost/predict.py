# SPDX-License-Identifier: Apache-2.0
"""The time of a whole plan, predicted: a list simulation over the positions of the nodes.

    the input arrives, near devices first
    position p:   exchange what p needs  ->  compute the pieces of p  ->  (reduction: exchange the
                  sums, requantize)

Every rank has a clock.  In an exchange a rank waits until those that it gives to or takes from
have arrived at the same position, and leaves after the exchange's cost.  Kernels take longer by
the polls that interrupt them, and those at the beginning by the input that passes on to others.
Where a plan leaves convolutions to TFLM's kernels, all are taken to run there, also those pieces
that need padding of their own and so run on ours.
Two things are simpler than in the firmware, and ``tflsplit.sim`` does both right: a rank that gives
and takes nothing goes on and gives its bytes only in its next RECV, and a rank forwards maps only
while it stands in a RECV.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from tflsplit.cluster import Cluster, Edge
from tflsplit.errors import PlanError, counted
from tflsplit.ir import Graph, Node
from tflsplit.ops import Box, Piece
from tflsplit.plan.cost.arrival import Passing, arrivals_us, passing_input
from tflsplit.plan.cost.compute import pieces_us, requantize_us
from tflsplit.plan.cost.exchange import LinkCost, Message, exchange_cost, step_cost
from tflsplit.plan.cost.overlap import block_starts, shares_before
from tflsplit.plan.cost.polling import poll_costs
from tflsplit.plan.layout import Layouts, lay_out
from tflsplit.plan.spec import Plan
from tflsplit.plan.transfers import Schedule, Transfer, schedule


@dataclass(frozen=True)
class StepTime:
    """One node.

    exchange_us: of its exchanges; compute_us: of the rank that computes longest.
    end_us: when the last rank is done with it, from the beginning of the graph.
    """

    node: str
    exchange_us: float
    compute_us: float
    end_us: float


@dataclass(frozen=True)
class Prediction:
    """Time and traffic of one inference.

    latency_us = input_us + graph_us + output_us: from the host's first byte to the result.  The
        graph begins when the first device has its input.
    compute_us, send_us, wait_us: by rank, within the graph; they add up to the rank's end. send_us
        is the time in which the rank's exchanges run, wait_us that in which it waits for others
        and, at the beginning, for its input.
    bytes_per_link: on the wires, by (sender, receiver), within the graph.
    payload_bytes: bytes of tensors over all wires, within the graph.
    steps: by node, in order.
    """

    input_us: float
    graph_us: float
    output_us: float
    compute_us: tuple[float, ...]
    send_us: tuple[float, ...]
    wait_us: tuple[float, ...]
    bytes_per_link: Mapping[Edge, int]
    payload_bytes: int
    steps: tuple[StepTime, ...]

    @property
    def latency_us(self) -> float:
        """From the host's first byte to the host's last."""
        return self.input_us + self.graph_us + self.output_us


def predict(whole: Graph, plan: Plan, cluster: Cluster) -> Prediction:
    """The time of ``plan``; PlanError if it is for another number of devices."""
    if plan.world_size != cluster.world_size:
        raise PlanError(
            f"the plan is for {counted(plan.world_size, 'device')}, "
            f"the cluster has {cluster.world_size}"
        )
    layouts = lay_out(whole, plan)
    return predict_layouts(
        layouts, schedule(layouts), cluster, whole, stock=not plan.fuse, overlap=plan.overlap
    )


def predict_layouts(
    layouts: Layouts,
    movements: Schedule,
    cluster: Cluster,
    whole: Graph,
    stock: bool = False,
    overlap: bool = False,
) -> Prediction:
    """``predict`` for a caller that has layouts and schedule already.

    stock: convolutions run on TFLM's kernels, but for sums that are completed by others.
    overlap: blocks begin while rows of their input are under way.
    """
    starts = block_starts(whole) if overlap else {}
    inputs = _inputs(layouts, cluster, whole)
    arrivals = arrivals_us(cluster, inputs)
    run = _Run(cluster, arrivals, passing_input(cluster, inputs, arrivals))
    steps = []
    for position, shards in enumerate(layouts.nodes):
        exchange = compute = 0.0
        for number, tile in enumerate(shards.tiles):
            for stage, (node, pieces) in enumerate((*tile.inside, (shards.node, tile.pieces))):
                step = position, number, stage
                before = (
                    shares_before(node, starts[node], movements.assemblies.get(step, ()))
                    if node in starts
                    else {}
                )
                exchange += run.exchange(movements.sends.get(step, []), before)
                sums = shards.is_reduction and node is shards.node
                compute += run.compute(node, pieces, stock, sums)
            if shards.is_reduction:
                exchange += run.exchange(movements.partial_sends.get((position, number), []))
                compute += run.requantize(tile.shares)
        end = max(run.clock) - run.begin_us
        steps.append(StepTime(shards.node.name, exchange, compute, end))
    return Prediction(
        input_us=run.begin_us,
        graph_us=max(run.clock) - run.begin_us,
        output_us=exchange_cost(
            cluster, _outputs(layouts, cluster, whole), cluster.output_routes
        ).us,
        compute_us=tuple(run.compute_us),
        send_us=tuple(run.send_us),
        wait_us=tuple(run.wait_us),
        bytes_per_link=dict(run.bytes_per_link),
        payload_bytes=run.payload_bytes,
        steps=tuple(steps),
    )


_NOTHING: Mapping[int, float] = MappingProxyType({})


@dataclass
class _Run:
    """Clocks of all ranks, and what they spent their time on.

    late: of ranks that compute already, when their exchange is over, and the share of their node
        that does not need it.
    """

    cluster: Cluster
    arrivals_us: Sequence[float]
    passing: Sequence[Passing]
    bytes_per_link: dict[Edge, int] = field(default_factory=lambda: defaultdict(int))
    payload_bytes: int = 0
    late: dict[int, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        zeros = [0.0] * self.cluster.world_size
        self.begin_us = min((us for us in self.arrivals_us if us), default=0.0)
        self.clock = [max(us, self.begin_us) for us in self.arrivals_us]
        self.wait_us = [us - self.begin_us for us in self.clock]
        self.compute_us, self.send_us = list(zeros), list(zeros)
        self.polls = poll_costs(self.cluster)
        ranks = range(self.cluster.world_size)
        self.polls_in_kernels = [bool(self.cluster.poll_period_us(rank)) for rank in ranks]

    def exchange(
        self, transfers: Sequence[Transfer], before_shares: Mapping[int, float] = _NOTHING
    ) -> float:
        """All of them at once; returns their cost.

        before_shares: what ranks compute of their next node before it is over.
        """
        if not transfers:
            return 0.0
        cost = step_cost(self.cluster, transfers)
        self._count(cost)
        before = list(self.clock)
        for rank, partners in _partners(transfers).items():
            if rank == self.cluster.host_rank:  # it is always ready
                continue
            ready = max(before[partner] for partner in partners if partner < len(before))
            if rank in before_shares and self.polls_in_kernels[rank]:
                self.late[rank] = ready + cost.us, before_shares[rank]
                continue
            self.wait_us[rank] += ready - before[rank]
            self.send_us[rank] += cost.us
            self.clock[rank] = ready + cost.us
        return cost.us

    def compute(self, node: Node, pieces: Sequence[Piece], stock: bool, sums: bool) -> float:
        """Every rank's piece; returns the longest.

        stock: on TFLM's kernels (``Plan.fuse``).  sums: they are partial sums, made by our own.
        """
        longest = 0.0
        stock = stock and not sums
        for rank, us in enumerate(pieces_us(self.cluster, node, pieces, stock, sums)):
            if us:
                longest = max(longest, self._spend(rank, us))
        return longest

    def requantize(self, shares: Sequence[Piece]) -> float:
        """Every rank's share of a reduction's result; returns the longest."""
        sizes = (0 if share.is_empty else share.results[0].size for share in shares)
        return max(
            self._spend(rank, requantize_us(self.cluster, rank, size))
            for rank, size in enumerate(sizes)
        )

    def _spend(self, rank: int, us: float) -> float:
        us = self.passing[rank].elapsed_us(self.clock[rank], self.polls[rank].kernel_us(us))
        complete_us, share = self.late.pop(rank, (0.0, 0.0))
        wait_us = max(0.0, complete_us - self.clock[rank] - share * us)
        self.wait_us[rank] += wait_us
        self.clock[rank] += wait_us
        self.compute_us[rank] += us
        self.clock[rank] += us
        return us

    def _count(self, cost: LinkCost) -> None:
        for edge, count in cost.bytes_per_link.items():
            self.bytes_per_link[edge] += count
        self.payload_bytes += sum(cost.payload_per_link.values())


def _partners(transfers: Iterable[Transfer]) -> dict[int, set[int]]:
    """Whom each rank has to meet, itself included."""
    partners: dict[int, set[int]] = {}
    for transfer in transfers:
        partners.setdefault(transfer.source, {transfer.source}).update(transfer.to)
        for rank in transfer.to:
            partners.setdefault(rank, {rank}).add(transfer.source)
    return partners


def _inputs(layouts: Layouts, cluster: Cluster, whole: Graph) -> list[Message]:
    """The host's messages: to each rank its part of every input; equal parts are a multicast."""
    messages: dict[tuple[int, Box], int] = {}
    for index, value in enumerate(whole.inputs):
        for rank, box in enumerate(layouts.owned.get(value, ())):
            if not box.is_empty:
                key = index, box
                messages[key] = messages.get(key, 0) | 1 << rank
    sizes = {key: key[1].size * whole.inputs[key[0]].dtype.itemsize for key in messages}
    return [(cluster.host_rank, ranks, sizes[key]) for key, ranks in messages.items()]


def _outputs(layouts: Layouts, cluster: Cluster, whole: Graph) -> list[Message]:
    """Every rank's part of every output to the host; what others gave already is not sent again."""
    messages: list[Message] = []
    for value in dict.fromkeys(whole.outputs):
        given: list[Box] = []
        for rank, box in enumerate(layouts.owned.get(value, ())):
            if box.is_empty or any(earlier.contains(box) for earlier in given):
                continue
            given.append(box)
            messages.append((rank, 1 << cluster.host_rank, box.size * value.dtype.itemsize))
    return messages
