# SPDX-License-Identifier: Apache-2.0
"""What an option costs a cluster: time, bytes, memory of every kind.

Nothing is estimated that can be had by doing it: the unit is laid out, scheduled and lowered as it
would be in the end, and its arena is predicted from the device graphs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tflsplit.cluster import Cluster, Device
from tflsplit.devices import constant_bytes
from tflsplit.ir import Value
from tflsplit.lower import lower
from tflsplit.memory.arena import predict_arena
from tflsplit.memory.demand import Kernels
from tflsplit.plan.cost.predict import predict_layouts
from tflsplit.plan.layout import lay_out
from tflsplit.plan.spec import Plan
from tflsplit.plan.transfers import schedule
from tflsplit.planner.options import Layout, Option
from tflsplit.planner.units import Unit


@dataclass(frozen=True)
class Cost:
    """What one unit adds to an inference.

    time_us: from its first exchange to its last result, all ranks starting together.
    wire_bytes: over all wires, headers and control frames included.
    head_bytes, tail_bytes: for each rank, the arena's head while the unit runs, and what its
        operators add to the tail.
    weights_bytes: for each rank, constants.
    """

    time_us: float
    wire_bytes: int
    head_bytes: tuple[int, ...]
    tail_bytes: tuple[int, ...]
    weights_bytes: tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """A unit under an option, from given layouts of its inputs to those of its outputs."""

    unit: Unit
    option: Option
    plan: Plan
    layouts: tuple[Layout, ...]
    cost: Cost

    def of_unit(self, unit: Unit) -> Step:
        """The same step of a unit with the same signature."""
        if unit is self.unit:
            return self
        names = {a.name: b.name for a, b in zip(self.unit.nodes, unit.nodes, strict=True)}
        plan = replace(
            self.plan,
            splits=tuple(replace(split, node=names[split.node]) for split in self.plan.splits),
            reasons={names[name]: text for name, text in self.plan.reasons.items()},
        )
        return replace(self, unit=unit, plan=plan)


def evaluate(cluster: Cluster, unit: Unit, plan: Plan, given: Mapping[Value, Layout]) -> Cost:
    """The cost of a unit's plan; ``given``: layouts of inputs that the devices hold already."""
    graph = unit.graph
    layouts = lay_out(graph, plan, given)
    prediction = predict_layouts(layouts, schedule(layouts), cluster, graph)
    sample = sample_ranks(cluster)
    devices = lower(graph, plan, given, sample)
    estimates = [
        predict_arena(device.graph, spec.abi, kernels_of(spec))
        for device in devices
        for spec in [cluster.devices[device.rank]]
    ]
    heads = [estimate.head_bytes for estimate in estimates]
    tails = [_added_tail(estimate.parts) for estimate in estimates]
    weights = [constant_bytes(device.graph) for device in devices]
    return Cost(
        prediction.graph_us,
        sum(prediction.bytes_per_link.values()),
        *(_for_all(amounts, sample, cluster.world_size) for amounts in (heads, tails, weights)),
    )


def sample_ranks(cluster: Cluster) -> tuple[int, ...]:
    """Ranks whose memory stands for all: every one, unless many devices are alike.

    Among equal devices the ends of a split differ from its middle; the rest differ by rounding,
    which the check of the whole plan sees.
    """
    last = cluster.world_size - 1
    specs = {replace(device, name="") for device in cluster.devices}
    if len(specs) > 1 or last < 4:
        return tuple(range(cluster.world_size))
    return tuple(sorted({0, 1, last // 2, last}))


def _for_all(amounts: Sequence[int], sample: Sequence[int], world_size: int) -> tuple[int, ...]:
    """By rank: what was measured, and for the others the largest of it."""
    known = dict(zip(sample, amounts, strict=True))
    return tuple(known.get(rank, max(amounts)) for rank in range(world_size))


def kernels_of(device: Device) -> Kernels:
    """The kernels that the arena of a device is predicted for."""
    return "cmsis_nn" if device.kernels == "cmsis_nn" else "reference"


_FIXED = ("allocators", "model", "interface")
"""Parts of the tail that every graph has once, however large."""


def _added_tail(parts: Mapping[str, int]) -> int:
    return sum(
        size for name, size in parts.items() if name not in _FIXED and not name.startswith("head_")
    )
