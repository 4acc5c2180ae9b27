# SPDX-License-Identifier: Apache-2.0
"""How long planning takes, by objective and by what the devices have room for.

CPU time of the search alone, without the start of Python and the reading of the model, each time
with a planner and a copy of the model of which nothing is known yet; the least of the repetitions,
because everything that disturbs a measurement makes it longer.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.planned import limited
from benchmarks.planner_tables import limit_name, table
from benchmarks.planner_targets import default_model
from tflsplit.cluster import Cluster
from tflsplit.errors import ClusterError, UserError
from tflsplit.ir import Graph
from tflsplit.passes.prepare import prepare
from tflsplit.planner import OBJECTIVES, Planner
from tflsplit.planner.pareto import pareto_front
from tflsplit.tflite import load

WEIGHTS = (None, 1 << 20, 1 << 19)
PARETO = "pareto"


@dataclass(frozen=True)
class Case:
    """One search.

    limit: of the weights on a device, in bytes.
    cpu_s: the least of the repetitions; outcome: the arena in bytes, or that nothing fits.
    """

    world_size: int
    objective: str
    limit: int | None
    cpu_s: float
    outcome: str


def cases(
    graph: Graph, counts: Sequence[int], what: Sequence[str], runs: int, link: str = "uart"
) -> Iterator[Case]:
    """Every number of devices with every objective and limit; the Pareto front without a limit."""
    for world_size in counts:
        for objective in what:
            for limit in WEIGHTS if objective != PARETO else (None,):
                cluster = limited(world_size, limit, link)
                seconds, outcome = timed(partial(_search, graph, cluster, objective), runs)
                yield Case(world_size, objective, limit, seconds, outcome)


def _search(graph: Graph, cluster: Cluster, objective: str) -> Callable[[], str]:
    planner = Planner(deepcopy(graph), cluster)
    return partial(_front if objective == PARETO else _best, planner, objective)


def timed(prepared: Callable[[], Callable[[], str]], runs: int) -> tuple[float, str]:
    """The least CPU time of so many runs, in seconds, and what the last said."""
    seconds, said = [], ""
    for _ in range(runs):
        run = prepared()
        gc.collect()
        start = time.process_time()
        said = run()
        seconds.append(time.process_time() - start)
    return min(seconds), said


def _best(planner: Planner, objective: str) -> str:
    try:
        return f"{planner.best(objective).arena_bytes:,}"
    except ClusterError:
        return "nothing fits"


def _front(planner: Planner, _: str) -> str:
    return f"{len(pareto_front(planner))} plans"


def planning_table(found: Sequence[Case]) -> str:
    """One row per search."""
    rows = [
        [str(c.world_size), c.objective, limit_name(c.limit), f"{c.cpu_s:.1f}", c.outcome]
        for c in found
    ]
    return table("Planning", ["devices", "objective", "weights", "CPU s", "arena"], rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table as Markdown; 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planning", description=__doc__)
    parser.add_argument("model", nargs="?", type=Path, help="a .tflite file (MobileNetV2 1.0 224)")
    parser.add_argument("-n", type=int, nargs="+", default=[8], metavar="DEVICES")
    parser.add_argument("--link", default="uart", help="between devices (uart)")
    parser.add_argument("--runs", type=int, default=3, help="of each search (3)")
    parser.add_argument(
        "--what", nargs="+", choices=(*OBJECTIVES, PARETO), default=[*OBJECTIVES, PARETO]
    )
    chosen = parser.parse_args(arguments)
    try:
        graph = prepare(load(chosen.model or default_model()))
        print(planning_table(list(cases(graph, chosen.n, chosen.what, chosen.runs, chosen.link))))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
