# SPDX-License-Identifier: Apache-2.0
"""Simulations of a plan that are patched: one thing costs less, all else stays (``what_if``)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tflsplit.check.schedule import multicast_hold_us
from tflsplit.cluster import Cluster
from tflsplit.ir import Graph, Value
from tflsplit.plan.cost.polling import PollCost
from tflsplit.plan.rows import rows_of
from tflsplit.plan.spec import Plan
from tflsplit.planner import Planned, Planner
from tflsplit.planner.searching.choices import Choices
from tflsplit.sim import simulate
from tflsplit.sim.network import NetworkOptions
from tflsplit.sim.processes import Simulation
from tflsplit.sim.program import Compute, Post, Program, Step, program_of
from tflsplit.split.devices import DeviceGraph
from tflsplit.split.lower import unpacked

Programs = Sequence[Program]


@dataclass(frozen=True)
class Base:
    """The fastest plan for a cluster; choices: of the search that found it."""

    planned: Planned
    choices: Choices

    @property
    def cluster(self) -> Cluster:
        """Of the devices that the plan uses."""
        return self.planned.cluster

    @property
    def programs(self) -> list[Program]:
        """What its devices do."""
        return _programs(self.planned.drafts, self.cluster)

    def simulated_ms(self, programs: Programs, cluster: Cluster | None = None) -> float:
        """Of these programs instead of its own."""
        result = simulation(Simulation, programs, cluster or self.cluster, self.planned.drafts)
        return result.run().latency_us / 1000

    def planned_ms(self, plan: Plan) -> float:
        """Of another plan for its devices."""
        return simulate(unpacked(self.planned.graph, plan), self.cluster).latency_us / 1000


def base_of(graph: Graph, cluster: Cluster) -> Base:
    """The fastest plan."""
    planner = Planner(graph, cluster)
    planned = planner.best("latency")
    return Base(planned, planner.searcher_of(planned, "latency").choices)


def _programs(devices: Sequence[DeviceGraph], cluster: Cluster) -> list[Program]:
    return [program_of(d, h) for d, h in zip(devices, cluster.devices, strict=True)]


def simulation(
    kind: type[Simulation],
    programs: Programs,
    cluster: Cluster,
    devices: Sequence[DeviceGraph],
    inputs: int = 1,
    in_flight: int = 1,
) -> Simulation:
    """Of programs, as ``simulate`` makes it of their device graphs."""
    network = NetworkOptions(hold_us=multicast_hold_us(devices, float("inf")))
    return kind(programs, cluster, inputs, in_flight, network)


def without_pauses(base: Base) -> float:
    """Frames follow each other at once, and an exchange costs nothing beside its frames."""
    link = replace(base.cluster.link, frame_overhead_us=0.0, step_overhead_us=0.0)
    return base.simulated_ms(base.programs, replace(base.cluster, link=link))


class _FreePolls(PollCost):
    def kernel_us(self, us: float) -> float:
        return us


def free_polls(base: Base) -> float:
    """Polls in kernels take no time."""
    run = simulation(Simulation, base.programs, base.cluster, base.planned.drafts)
    kind = base.cluster.link.kind
    run.poll_costs = [_FreePolls(device, 0.0, kind) for device in base.cluster.devices]
    for node in run.network.nodes:
        for link in node.links:
            link.sent_byte_us = link.received_byte_us = 0.0
    return run.run().latency_us / 1000


def _with_times(programs: Programs, us: Callable[[int, Compute], float]) -> list[Program]:
    return [
        replace(
            program,
            steps=tuple(
                _timed(step, us(program.rank, step)) if isinstance(step, Compute) else step
                for step in program.steps
            ),
        )
        for program in programs
    ]


def _timed(step: Compute, us: float) -> Compute:
    if step.block is None or not step.us:
        return replace(step, us=us)
    part = us / step.us
    rows = tuple(
        replace(row, us=row.us * part, parts=tuple(replace(p, us=p.us * part) for p in row.parts))
        for row in step.block.rows
    )
    return replace(step, us=us, block=replace(step.block, rows=rows))


def free_quantize(base: Base) -> float:
    """The QUANTIZE of an image takes no time."""
    names = {node.name for node in base.planned.graph.nodes if node.op == "QUANTIZE"}
    timed = _with_times(base.programs, lambda _, step: 0.0 if step.node in names else step.us)
    return base.simulated_ms(timed)


def even_rows(base: Base) -> float:
    """Maps of fewer than two rows for each device: every device computes as much of them."""
    count = base.cluster.world_size
    small = {n.name for n in base.planned.graph.nodes if map_rows(n.output) < 2 * count}
    programs, sums = base.programs, defaultdict[str, float](float)
    for program in programs:
        for step in program.steps:
            if isinstance(step, Compute):
                sums[step.node] += step.us
    return base.simulated_ms(
        _with_times(
            programs, lambda _, s: sums[s.node] / count if s.node in small and s.us else s.us
        )
    )


def map_rows(value: Value) -> int:
    """Rows of a map; many, of what is none."""
    return rows_of(value.shape) if len(value.shape) == 4 else 1 << 30


def sent_in_halves(base: Base) -> float:
    """A convolution before a SEND to both neighbours is made by halves, the next rank's first."""
    return base.simulated_ms([_in_halves(program) for program in base.programs])


def _in_halves(program: Program) -> Program:
    steps: list[Step] = []
    for step in program.steps:
        before = steps[-1] if steps else None
        halved = isinstance(step, Post) and isinstance(before, Compute) and before.block is None
        if not (halved and isinstance(step, Post) and len(step.messages) == 2):
            steps.append(step)
            continue
        made = steps.pop()
        assert isinstance(made, Compute)
        half = replace(made, us=made.us / 2)
        down = tuple(m for m in step.messages if m[0] == 1 << (program.rank + 1))
        up = tuple(m for m in step.messages if m not in down)
        steps += [half, replace(step, messages=down), half, replace(step, messages=up)]
    return replace(program, steps=tuple(steps))
