# SPDX-License-Identifier: Apache-2.0
"""What a change would bring, before it is built: simulations of the fastest plan, patched.

    python -m benchmarks.what_if MODEL.tflite [-n 8]

A column for each kind of link and way of the image (``wire_targets.WAYS``), a row for each change:

* of the simulation, the plan as it is: frames and exchanges without pauses, polls that cost
  nothing, larger frames, an input QUANTIZE that takes no time, maps of few rows shared out
  evenly, as if any pixel could be a border (halos as they are: what ragged rows save at most), and
  expansions whose halo is received in two halves, each sent at once, the next rank's first;
* of the plan, simulated anew: halos of every second unit computed twice, so that there are half as
  many exchanges; the units of the smallest map by channels;
* of many inferences: two in flight without memory for the next one's input, and with it
  (``--ahead``): of the plan as it is, and of that for direct input, whichever is quicker.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.patched import (
    Base,
    base_of,
    even_rows,
    free_polls,
    free_quantize,
    map_rows,
    sent_in_halves,
    simulation,
    without_pauses,
)
from benchmarks.planner_tables import table
from benchmarks.wire_targets import WAYS, Way
from tflsplit.errors import UserError
from tflsplit.ir import Graph
from tflsplit.passes.prepare import prepare
from tflsplit.plan.halos import recompute_halos
from tflsplit.planner.cost.evaluate import Step
from tflsplit.planner.searching.assembly import draft
from tflsplit.planner.ways.options import Option
from tflsplit.sim.processes import Simulation
from tflsplit.tflite import load

_INFERENCES = 8


def half_the_exchanges(base: Base) -> float:
    """What every second unit makes is computed with the halo of its reader."""
    planned, steps = base.planned, base.planned.steps
    plan = replace(planned.plan, splits=tuple(replace(s, extents=()) for s in planned.plan.splits))
    inside = frozenset[str]().union(*(step.unit.inside for step in steps))
    again = {node.name for step in steps[::2] for node in step.unit.nodes}
    return base.planned_ms(recompute_halos(planned.graph, plan, inside | again))


def _time_us(step: Step) -> float:
    return step.cost.time_us


def last_map_by(split: str) -> Callable[[Base], float]:
    """Units of the smallest map that has rows, divided otherwise."""

    def patched(base: Base) -> float:
        sizes = [map_rows(step.unit.outputs[0]) for step in base.planned.steps]
        least = min(size for size in sizes if size > 1)
        steps: list[Step] = []
        for index, (step, size) in enumerate(zip(base.planned.steps, sizes, strict=True)):
            given = base.choices.given(index, steps[-1].layouts if steps else ())
            options = (Option(split),) if size == least else (step.option,)
            found = base.choices.expand(index, given, options)
            steps.append(min(found or base.choices.expand(index, given), key=_time_us))
        return base.planned_ms(draft(base.choices, base.cluster, steps).plan)

    return patched


def rate(base: Base, in_flight: int = 1, ahead: bool = False) -> float:
    """Inferences a second."""
    cluster = replace(base.cluster, ahead=ahead)
    what = base.programs, cluster, base.planned.drafts
    return simulation(Simulation, *what, _INFERENCES, in_flight).run().throughput_per_s


def rate_ahead(base: Base) -> float:
    """The next input is taken while this one computes."""
    gateway = replace(base.cluster, direct=False)
    direct = base_of(base.planned.graph, replace(gateway, direct=True))
    other = replace(direct.planned, cluster=replace(direct.cluster, direct=base.cluster.direct))
    bases = base, replace(direct, planned=other)
    return max(rate(each, in_flight=2, ahead=True) for each in bases)


CHANGES: dict[str, Callable[[Base], float]] = {
    "as planned, ms": lambda base: base.simulated_ms(base.programs),
    "frames and exchanges without pauses": without_pauses,
    "polls cost nothing": free_polls,
    "QUANTIZE of the image costs nothing": free_quantize,
    "frames of 768 bytes": lambda base: base.simulated_ms(
        base.programs, replace(base.cluster, mtu_bytes=768)
    ),
    "small maps shared out evenly": even_rows,
    "halves of an expansion sent as they are made": sent_in_halves,
    "half as many exchanges, halos computed twice": half_the_exchanges,
    "smallest map by channels": last_map_by("channels"),
    "smallest map by output channels": last_map_by("out_channels"),
    "inferences a second": rate,
    "two in flight": lambda base: rate(base, in_flight=2),
    "and its input taken meanwhile": rate_ahead,
}


def what_if(graph: Graph, world_size: int, ways: Sequence[Way]) -> str:
    """The table for so many devices."""
    bases = [base_of(graph, way.cluster(world_size)) for way in ways]
    rows = [[name, *(f"{change(base):.1f}" for base in bases)] for name, change in CHANGES.items()]
    used = (f" ({b.cluster.world_size} used)" for b in bases)
    titles = [way.title + text for way, text in zip(ways, used, strict=True)]
    return table(f"{world_size} devices", ["change", *titles], rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables as Markdown; 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.what_if", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("-n", type=int, nargs="+", default=[8], metavar="DEVICES")
    chosen = parser.parse_args(arguments)
    try:
        graph = prepare(load(chosen.model))
        for world_size in chosen.n:
            print(what_if(graph, world_size, WAYS), flush=True)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
