# SPDX-License-Identifier: Apache-2.0
"""``tflsplit simulate`` against emulated boards: compute times, frames and bytes.

Whole clusters run on emulated boards whose clock counts instructions; the same plans are simulated
on the same boards of the table.  Compared are

* the instructions of each device's graph, waiting left out, with the simulated time of its kernels,
  of its copies and of polls within kernels, in cycles (the table's cycles of an emulated board are
  instructions);
* frames and bytes of every wire between devices, acknowledgements and control included.

    python -m benchmarks.simulator_accuracy MODEL.tflite … -n 1 2 4 [--board mps2_an500]
        [--objective latency]

Plans as ``benchmarks.emulated`` makes them: the simple policy's, or with --objective the search's.

The emulated wires have no rate, but take as long as this computer needs: an image of 31 KB 0.3 to
0.8 s of the boards' time, so that they are simulated at 0.4 Mbit/s (--bit-rate).  It decides how
many bytes come while a kernel runs, and not while a device waits.  Runs are recorded in their
folders, as by ``tflsplit emulate --record``; ``--recorded`` compares those that are there.

Needs what ``benchmarks.emulated`` needs.  Of TFLM's own kernels the table has those of CMSIS-NN; a
tree without it has slower ones.  Prints rows for docs/verified.md.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.emulated import emulate, folder_of
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.bundle.plan_json import Json
from tflsplit.bundle.runs import read_runs, write_run
from tflsplit.cli.figures import figures_document
from tflsplit.cluster import Cluster, Device, Family, LinkSpec, default_cluster
from tflsplit.errors import PlanError, UserError
from tflsplit.ir import Graph
from tflsplit.ops.own.fused import unfused
from tflsplit.ops.own.packed import unpacked
from tflsplit.plan.cost.work import work_of
from tflsplit.planner import OBJECTIVES
from tflsplit.sim import SimResult, simulate
from tflsplit.sim.program import Receive, program_of
from tflsplit.split.devices import DeviceGraph
from tflsplit.wire import custom_ops as wire

BIT_RATE = 400_000
"""About that of the emulated wires, over the boards' clocks."""


@dataclass(frozen=True)
class Computed:
    """One device: instructions of an inference's graph without waiting."""

    model: str
    world_size: int
    rank: int
    measured: float
    simulated: float

    @property
    def ratio(self) -> float:
        """Simulated over measured."""
        return self.simulated / self.measured


@dataclass(frozen=True)
class Carried:
    """All wires between the devices of one cluster, per inference: measured, simulated.

    polls: POLLs that were sent: time-outs, while a neighbour computed.
    """

    model: str
    world_size: int
    frames: tuple[float, float]
    bytes: tuple[float, float]
    polls: float
    resent: float


@dataclass(frozen=True)
class Accuracy:
    """Everything that was compared; ``amounts`` of the devices in ``computed``."""

    computed: list[Computed]
    carried: list[Carried]
    amounts: list[dict[str, float]]


def compare(bundle: Bundle, run: Json, model: str, cluster: Cluster, found: Accuracy) -> None:
    """Add one cluster's recorded run to ``found``."""
    result = simulate(bundle.devices, cluster)
    for graph, device, figures in zip(bundle.devices, cluster.devices, run["devices"], strict=True):
        measured = float(figures["compute_instructions"])
        simulated_us = result.devices[graph.rank].compute_us + copies_us(graph, device)
        cycles = simulated_us * device.clock_hz / 1e6
        found.computed.append(Computed(model, cluster.world_size, graph.rank, measured, cycles))
        found.amounts.append(amounts(graph.graph))
    if cluster.world_size > 1:
        found.carried.append(carried(run, result, model))


def copies_us(graph: DeviceGraph, device: Device) -> float:
    """What its RECVs copy: not waiting, so part of what is measured."""
    steps = program_of(graph, device).steps
    return sum(step.us for step in steps if isinstance(step, Receive))


def carried(run: Json, result: SimResult, model: str) -> Carried:
    """The wires of one cluster."""
    world_size = len(result.devices)
    between = [wire for wire in run["wires"] if max(wire["a"], wire["b"]) < world_size]
    simulated = result.between_devices()

    def measured(key: str) -> float:
        return sum(float(wire[key]) for wire in between)

    return Carried(
        model,
        world_size,
        (measured("frames"), simulated.frames),
        (measured("bytes"), simulated.wire_bytes),
        measured("polls"),
        measured("resent"),
    )


def markdown(found: Accuracy) -> Iterator[str]:
    """Tables and what is to be said of them."""
    yield "| model | N | instructions (M), measured | simulated | simulated : measured |"
    yield "|---|---|---|---|---|"
    for name, world_size in dict.fromkeys((c.model, c.world_size) for c in found.computed):
        ranks = [c for c in found.computed if (c.model, c.world_size) == (name, world_size)]
        yield row(
            name,
            str(world_size),
            ", ".join(f"{c.measured / 1e6:.2f}" for c in ranks),
            ", ".join(f"{c.simulated / 1e6:.2f}" for c in ranks),
            ", ".join(f"{c.ratio:.2f}" for c in ranks),
        )
    yield ""
    yield from sentences(found)
    if found.carried:
        yield ""
        yield from wires_table(found.carried)
    yield ""
    yield from families_table(found)


def sentences(found: Accuracy) -> Iterator[str]:
    """How far off the compute times are."""
    ratios = [c.ratio for c in found.computed]
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    off = [max(r / mean, mean / r) - 1 for r in ratios]
    yield (
        f"Simulated over measured: {min(ratios):.2f} to {max(ratios):.2f}, geometric mean "
        f"{mean:.2f}; of {len(ratios)} devices half are within "
        f"{100 * sorted(off)[len(off) // 2]:.0f} % of it, all within {100 * max(off):.0f} %."
    )
    spread = [
        max(group) / min(group) - 1
        for key in dict.fromkeys((c.model, c.world_size) for c in found.computed)
        if len(group := [c.ratio for c in found.computed if (c.model, c.world_size) == key]) > 1
    ]
    if spread:
        yield f"Between the devices of one plan it differs by at most {100 * max(spread):.0f} %."


def wires_table(found: Sequence[Carried]) -> Iterator[str]:
    """Frames and bytes."""
    head = ("frames, measured", "simulated", "bytes, measured", "simulated", "POLLs", "sent again")
    yield row("model", "N", *head)
    yield "|---|---|---|---|---|---|---|---|"
    for c in found:
        yield row(
            c.model,
            str(c.world_size),
            *(f"{count:,.0f}" for count in (*c.frames, *c.bytes)),
            f"{c.polls:,.0f}",
            f"{c.resent:,.0f}",
        )


def amounts(graph: Graph) -> dict[str, float]:
    """What costs in a device graph: multiply-accumulates of convolutions, and values made by them.

    Fully connected layers count as pointwise.  Depthwise windows mostly have nine products, so that
    their multiply-accumulates cannot be told from the values.
    """
    found = dict.fromkeys((Family.CONV.value, Family.POINTWISE.value, "value made"), 0.0)
    for node in graph.nodes:
        explicit = unpacked(node, sizes_only=True)
        for stage in unfused(explicit) if node.op == wire.FUSED_BLOCK else (explicit,):
            for work in work_of(stage):
                if work.family not in (Family.OTHER, Family.COPY):
                    found["value made"] += sum(value.size for value in stage.outputs)
                if work.family in (Family.POINTWISE, Family.FULLY_CONNECTED):
                    found[Family.POINTWISE.value] += work.amount
                elif work.family is Family.CONV:
                    found[Family.CONV.value] += work.amount
    return found


def families_table(found: Accuracy) -> Iterator[str]:
    """Instructions per multiply-accumulate and per value made that explain the runs best."""
    names = list(found.amounts[0])
    measured = np.array([computed.measured for computed in found.computed])
    matrix = np.array([[each[name] for name in names] for each in found.amounts])
    used = [at for at in range(len(names)) if matrix[:, at].any()]
    relative = matrix[:, used] / measured[:, None]
    solution, _, rank, _ = np.linalg.lstsq(relative, np.ones(len(measured)), rcond=None)
    if rank < len(used):
        yield "Too few runs to tell what costs how much."
        return
    ratios = relative @ solution
    fitted = ", ".join(
        f"{cost:.2f} per {names[at]}" for at, cost in zip(used, solution, strict=True)
    )
    yield (
        f"Fitted to these runs (multiply-accumulates by family): {fitted}; that gives "
        f"{min(ratios):.2f} to {max(ratios):.2f} times what was measured."
    )


def row(*cells: str) -> str:
    """Of a table."""
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 2 if something is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("-n", "--devices", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--board", default="mps2_an500")
    parser.add_argument("--objective", choices=OBJECTIVES, help="search instead of the policy")
    parser.add_argument("--inputs", type=int, default=2, help="seeded inputs for each (2)")
    parser.add_argument("--bit-rate", type=int, default=BIT_RATE, help="of the wires (400,000)")
    parser.add_argument("--build", type=Path, default=Path("build") / "emulated")
    parser.add_argument("--recorded", action="store_true", help="compare the last recorded runs")
    chosen = parser.parse_args(arguments)
    found = Accuracy([], [], [])
    try:
        for model in chosen.models:
            for world_size in chosen.devices:
                folder = folder_of(model, world_size, chosen.build, chosen.objective)
                if not chosen.recorded:
                    record(model, world_size, chosen)
                    print(f"{model.stem}, N = {world_size}: done", file=sys.stderr, flush=True)
                bundle = read_bundle(folder)
                cluster = cluster_of(world_size, chosen.board, chosen.bit_rate)
                compare(bundle, last_run(bundle), model.stem, cluster, found)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join(markdown(found)))
    return 0


def record(model: Path, world_size: int, chosen: argparse.Namespace) -> None:
    """Emulate, and keep the figures in the plan's folder."""
    plan = chosen.build, chosen.objective
    bundle, trial, _ = emulate(model, world_size, chosen.board, chosen.inputs, *plan)
    figures = figures_document(trial.devices, trial.wires, trial.inferences)
    fingerprint = bundle.document["fingerprint"]
    write_run(bundle.folder, "emulate", fingerprint, figures, trial.same_bits)


def last_run(bundle: Bundle) -> Json:
    """The latest of a folder; PlanError if there is none."""
    runs, _ = read_runs(bundle.folder, bundle.document["fingerprint"])
    if not runs:
        raise PlanError(f"{bundle.folder} has no recorded run; leave --recorded out")
    return runs[-1]


def cluster_of(world_size: int, board: str, bit_rate: int = BIT_RATE) -> Cluster:
    """The emulated boards on wires of this rate."""
    link = LinkSpec(bit_rate=bit_rate, step_overhead_us=20)
    return replace(default_cluster(world_size, board=board), link=link, host_link=link)


if __name__ == "__main__":
    sys.exit(main())
