# SPDX-License-Identifier: Apache-2.0
"""Inferences a second, simulated: ``benchmarks.planner_targets --what throughput``.

Equal teams of devices, each on a port of the host's own, beside all devices as one team with the
plan of least latency, which has one inference at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.planned import Bench
from benchmarks.planner_tables import table
from tflsplit.cluster import Cluster, default_cluster
from tflsplit.planner import THROUGHPUT, Planned, Planner
from tflsplit.planner.best import best_plan

LINKS = {"uart": "6 Mbaud UARTs", "spi": "30 MHz SPI"}


@dataclass(frozen=True)
class Rate:
    """What so many devices do.

    teams: the plan of one of them; together: the plan of least latency of all.
    """

    world_size: int
    teams: Planned
    together: Planned


def rates(
    bench: Bench,
    cluster_of: Callable[[int], Cluster],
    counts: Sequence[int],
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[Rate]:
    """For each number of devices, largest last; teams are verified and their arenas allocated."""
    for count in sorted(counts):
        say(f"throughput and latency, {count} devices")
        cluster = cluster_of(count)
        _, teams = best_plan(bench.graph, cluster, THROUGHPUT)
        bench.figures(teams)
        yield Rate(count, teams, Planner(bench.graph, cluster).best("latency"))


def rates_table(title: str, found: Sequence[Rate]) -> str:
    """One line for each number of devices."""
    rows = []
    for each in found:
        team, together = each.teams, each.together
        rows.append(
            [
                str(each.world_size),
                f"{team.cluster.teams} x {team.cluster.world_size}",
                f"{team.throughput_per_s:.2f}",
                f"{team.latency_us / 1000:.1f}",
                f"{together.throughput_per_s:.2f}",
                f"{together.latency_us / 1000:.1f}",
                str(together.cluster.world_size),
                f"{team.throughput_per_s / together.throughput_per_s:.2f}",
            ]
        )
    columns = ["devices", "teams", "a second", "ms each", "latency's plan, a second", "ms",
               "devices used", "times as many"]  # fmt: skip
    return table(title, columns, rows)


def rates_text(bench: Bench, counts: Sequence[int], say: Callable[[str], None]) -> str:
    """A table for each kind of link, default boards in a ring."""
    return "\n".join(
        rates_table(
            f"Inferences a second, {words}",
            list(rates(bench, lambda n, link=link: default_cluster(n, link), counts, say)),  # type: ignore[misc]
        )
        for link, words in LINKS.items()
    )
