# SPDX-License-Identifier: Apache-2.0
"""One plan on one cluster, and all that ``benchmarks.planner_targets`` says of it.

Nothing is taken on trust: every plan is run against the unsplit model, bit for bit, and the arena
of every device graph is allocated by TFLM's own recording allocator.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from tflsplit.cli.console import shortened
from tflsplit.cluster import Cluster, default_cluster
from tflsplit.ir import Graph
from tflsplit.memory import HOST_64, ArenaEstimate, measure_arena, predict_arena
from tflsplit.memory.arena import KERNEL_FLAVOURS
from tflsplit.plan.policy import choose_plan
from tflsplit.plan.wishes import Wishes
from tflsplit.planner import Planned, finish
from tflsplit.runtime.engines import engine
from tflsplit.sim import SimResult
from tflsplit.split.devices import DeviceGraph
from tflsplit.verify import Verdict, make_cases, verify_devices
from tflsplit.verify.inputs import EDGES

UNLIMITED_BYTES = 1 << 40
BY_HAND: dict[str, Wishes] = {
    "rows only": Wishes(1, "rows", weights_limit=1.0),
    "channels only": Wishes(1, "channels"),
}


class NotConfirmedError(Exception):
    """A plan that gives other bits, or an arena that TFLM's recorder contradicts."""


@dataclass(frozen=True)
class Figures:
    """A plan that was run and measured.

    arenas: by rank, the whole arena on the 32-bit target, for the flavour of TFLM's kernels
        (reference, CMSIS-NN) that needs more.
    """

    planned: Planned
    arenas: tuple[ArenaEstimate, ...]
    verdict: Verdict

    @property
    def arena_bytes(self) -> int:
        """The smallest arena that the fullest device can be set up in."""
        return max(arena.required_bytes for arena in self.arenas)

    @property
    def weights_bytes(self) -> int:
        """Constants of the device that has most."""
        return max(self.planned.weights_bytes)


class Bench:
    """Runs plans of one model.

    inputs: how many seeded inputs each plan is verified with; edge cases are left to the tests.
    """

    def __init__(self, graph: Graph, inputs: int) -> None:
        self.graph = graph
        self.inputs = inputs
        self.plans = self.graphs = self.elements = 0

    def figures(self, planned: Planned) -> Figures:
        """Run, measure; NotConfirmedError if anything is not as it should be."""
        verdict = self._verdict(planned.devices)
        if not verdict.passed:
            raise NotConfirmedError(f"{'; '.join(verdict.problems) or verdict.mismatch}")
        graphs = [device.graph for device in planned.devices]
        for rank, graph in enumerate(graphs):
            if not is_recorded(graph):
                raise NotConfirmedError(f"TFLM's recorder contradicts the arena of rank {rank}")
        self.plans += 1
        self.graphs += len(graphs)
        self.elements += verdict.elements
        arenas = tuple(map(largest_arena, graphs))
        return Figures(planned, arenas, verdict)

    def _verdict(self, devices: Sequence[DeviceGraph]) -> Verdict:
        name, make = engine("tflm")
        cases = islice(make_cases(self.graph, self.inputs, 0), len(EDGES), None)
        return verify_devices(self.graph, devices, name, make, cases)

    def by_hand(self, way: str, cluster: Cluster) -> Figures:
        """The simple policy's plan, split in one way only; it need not fit."""
        wishes = replace(BY_HAND[way], world_size=cluster.world_size)
        return self.figures(finish(self.graph, choose_plan(self.graph, wishes), cluster))


def limited(world_size: int, weights_bytes: int | None, link: str = "uart") -> Cluster:
    """The default cluster, with so much room for weights on each device."""
    cluster = default_cluster(world_size, link)
    devices = (replace(each, weights_limit_bytes=weights_bytes) for each in cluster.devices)
    return replace(cluster, devices=tuple(devices))


def unlimited(link: str) -> Cluster:
    """One device of the default kind, but with as much RAM as anything takes."""
    cluster = default_cluster(1, link)
    device = replace(cluster.devices[0], ram_bytes=UNLIMITED_BYTES, ram_block_bytes=UNLIMITED_BYTES)
    return replace(cluster, devices=(device,))


def largest_arena(graph: Graph) -> ArenaEstimate:
    """The arena on Cortex-M for whichever kernels need more."""
    estimates = [predict_arena(graph, kernels=kernels) for kernels in KERNEL_FLAVOURS]
    return max(estimates, key=lambda estimate: estimate.required_bytes)


def is_recorded(graph: Graph) -> bool:
    """Whether TFLM's recording allocator finds the head and the tail that are predicted here.

    The head is the target's own; of the tail it confirms the formula, with this host's pointers
    (docs/arena.md).
    """
    measured = measure_arena(graph)
    if measured is None:
        return False
    here = predict_arena(graph, HOST_64, recording=True)
    target = predict_arena(graph)
    return (measured.head_bytes, measured.head_bytes, measured.tail_bytes) == (
        target.head_bytes,
        here.head_bytes,
        here.tail_bytes,
    )


def arena_limit(figures: Figures) -> str:
    """What fills the fullest device: the layer at the head's peak, the tail's largest parts."""
    rank = max(range(len(figures.arenas)), key=lambda r: figures.arenas[r].required_bytes)
    device, arena = figures.planned.devices[rank], figures.arenas[rank]
    node = device.graph.nodes[max(arena.plan.peak_step, 1) - 1] if device.graph.nodes else None
    layer = shortened(device.steps.get(node.name, node.name)) if node else "its input"
    parts = sorted(
        ((size, name) for name, size in arena.parts.items() if name != "head_scratch"),
        reverse=True,
    )[:2]
    tail = ", ".join(f"{name.replace('_', ' ')} {size:,}" for size, name in parts)
    return (
        f"rank {rank}: head {arena.head_bytes:,} at `{layer}`; tail {arena.tail_bytes:,} ({tail})"
    )


def wires_limit(planned: Planned) -> str:
    """The units of the plan that move most."""
    moving = sorted(
        (
            (step.cost.wire_bytes, step.unit.nodes[-1].name, step.option.name)
            for step in planned.steps
        ),
        reverse=True,
    )[:3]
    return ", ".join(
        f"`{shortened(name)}` ({option}) {size:,}" for size, name, option in moving if size
    )


def time_limit(result: SimResult) -> str:
    """Where the time in the graph goes, of the device that computes longest."""
    device = max(result.devices, key=lambda each: each.compute_us)
    mean = sum(each.compute_us for each in result.devices) / len(result.devices)
    return (
        f"of {result.graph_us[0] / 1000:.0f} ms in the graph rank {device.rank} computes "
        f"{device.compute_us / 1000:.0f} (the mean device {mean / 1000:.0f}), sends "
        f"{device.send_us / 1000:.0f} and waits {device.wait_us / 1000:.0f}; the image takes "
        f"{(result.latency_us - result.graph_us[0]) / 1000:.0f} ms before it"
    )


def slower_steps(latencies_us: Iterable[float]) -> list[int]:
    """Numbers of devices with which it takes longer, by over 0.1 %, than with one fewer."""
    times = list(latencies_us)
    return [n for n in range(2, len(times) + 1) if times[n - 1] > times[n - 2] * 1.001]
