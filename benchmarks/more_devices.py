# SPDX-License-Identifier: Apache-2.0
"""One more device never makes a plan worse: values of plans for ever more devices.

Simulated milliseconds, arena bytes of the fullest device, bytes on the wires: of the plans for 1,
2, … Teensy 4.1 in a ring, as ``tflsplit rewrite`` finds them, each by a planner that knows nothing
yet.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.planner_tables import table
from benchmarks.readme import write_section
from models.tiny import NETWORKS
from tflsplit.cluster import Cluster, default_cluster
from tflsplit.errors import UserError
from tflsplit.ir import Graph
from tflsplit.passes.prepare import prepare
from tflsplit.planner import OBJECTIVES, Planner
from tflsplit.planner.best import best_plan
from tflsplit.planner.whole.planned import Planned
from tflsplit.tflite import load

LINKS = ("uart", "spi")
README_SECTION = "more_devices"


@dataclass(frozen=True)
class Line:
    """Plans for ever more devices.

    values: of the objective, by number of devices; used: devices that each plan has wired.
    """

    network: str
    link: str
    objective: str
    values: tuple[float, ...]
    used: tuple[int, ...]

    @property
    def worse(self) -> list[int]:
        """Places in ``values`` that are larger than the one before; to be empty."""
        return worse_places(self.values)


def worse_places(values: Sequence[float]) -> list[int]:
    """Where numbers that should fall do not."""
    return [at for at in range(1, len(values)) if values[at] > values[at - 1]]


def as_written(graph: Graph, cluster: Cluster, objective: str) -> Planned:
    """The plan that a user gets, its input streamed where that is of use."""
    return best_plan(graph, cluster, objective)[1]


def as_searched(graph: Graph, cluster: Cluster, objective: str) -> Planned:
    """That of a search with the input in memory, which takes less time to find."""
    return Planner(graph, cluster).best(objective)


def line(
    graph: Graph,
    name: str,
    link: str,
    objective: str,
    counts: Sequence[int],
    plan: Callable[[Graph, Cluster, str], Planned] = as_searched,
) -> Line:
    """Plans for every number of devices; ClusterError where one fits nowhere."""
    plans = [plan(graph, default_cluster(n, link), objective) for n in counts]
    values = tuple(planned.value(objective) for planned in plans)
    return Line(name, link, objective, values, tuple(p.plan.world_size for p in plans))


def lines(
    networks: dict[str, Callable[[], Graph]],
    counts: Sequence[int],
    links: Sequence[str] = LINKS,
    objectives: Sequence[str] = OBJECTIVES,
) -> Iterator[Line]:
    """All of them."""
    for name, network in networks.items():
        graph = prepare(network())
        for link in links:
            for objective in objectives:
                yield line(graph, name, link, objective, counts, as_written)


def more_devices_table(found: Sequence[Line], counts: Sequence[int]) -> str:
    """One row for each network, link and objective; devices used in brackets if not all."""
    rows = [
        [each.network, each.link, each.objective, *_cells(each, counts), _verdict(each, counts)]
        for each in found
    ]
    head = ["network", "link", "objective", *map(str, counts), "one more is never worse"]
    return table("Plans for ever more devices (of which so many are used)", head, rows)


def _cells(each: Line, counts: Sequence[int]) -> Iterator[str]:
    for value, used, count in zip(each.values, each.used, counts, strict=True):
        text = f"{value / 1000:.1f} ms" if each.objective == "latency" else f"{value:,.0f}"
        yield text if used == count else f"{text} ({used})"


def _verdict(each: Line, counts: Sequence[int]) -> str:
    return "yes" if not each.worse else f"NO: {', '.join(str(counts[at]) for at in each.worse)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table as Markdown; 1 if a plan gets worse, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.more_devices", description=__doc__)
    parser.add_argument("models", nargs="*", type=Path, help=".tflite files (models/tiny.py's)")
    parser.add_argument("-n", type=int, nargs="+", default=[*range(1, 17)], metavar="DEVICES")
    parser.add_argument("--links", nargs="+", choices=LINKS, default=LINKS)
    parser.add_argument("--objectives", nargs="+", choices=OBJECTIVES, default=OBJECTIVES)
    parser.add_argument("--readme", action="store_true", help="write it into README.md")
    chosen = parser.parse_args(arguments)
    networks: dict[str, Callable[[], Graph]] = dict(NETWORKS)
    if chosen.models:
        networks = {path.stem: lambda path=path: load(path) for path in chosen.models}  # type: ignore[misc]
    found = []
    try:
        for each in lines(networks, chosen.n, chosen.links, chosen.objectives):
            print(f"{each.network} {each.link} {each.objective}", file=sys.stderr)
            found.append(each)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    text = more_devices_table(found, chosen.n)
    print(text)
    if chosen.readme:
        write_section(README_SECTION, text)
    return int(any(each.worse for each in found))


if __name__ == "__main__":
    sys.exit(main())
