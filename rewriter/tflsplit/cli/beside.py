# SPDX-License-Identifier: Apache-2.0
"""What stands beside a plan: one device alone, other objectives, less flash for weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tflsplit.cli.console import STDOUT, ranks_text, table
from tflsplit.cluster import Cluster
from tflsplit.cluster.fewer import fewer
from tflsplit.errors import counted
from tflsplit.planner import AIMS, THROUGHPUT, Planned, Planner, Searcher
from tflsplit.planner.teams import best_teams
from tflsplit.report.figures import kib
from tflsplit.rewriting.chooser import Chooser

Json = dict[str, Any]

NEARLY_ALL = 0.8
"""Of the weights: who holds so much of them holds them whole, in words."""
ALONE = "one device"

LEAST_WEIGHTS_BYTES = 64 * 1024
"""Of models with less, nobody wants the weights spread out."""


def beside(chooser: Chooser, objectives: Sequence[str] = ()) -> list[Json]:
    """Figures of the plan, of other objectives' plans, and of one device alone."""
    plan = chooser.planned
    rows = [_figures("this plan", plan, plan.cluster)]
    planner = chooser.planner
    if objectives and chooser.objective == THROUGHPUT:
        planner = Planner(planner.graph, chooser.cluster)
    for objective in objectives:
        found = _found(planner, objective)
        if found is not None:
            rows.append(_figures(f"--objective {objective}", found, found.cluster))
    searched = "latency" if chooser.objective == THROUGHPUT else chooser.objective
    if (alone := chooser.planner.alone(searched)) is not None:
        planned, cluster = alone
        rows.append(_figures(ALONE, planned, replace(cluster, teams=1)))
    return rows


def _found(planner: Planner, objective: str) -> Planned | None:
    """The best plan for an objective; None too where the teams are given."""
    if objective != THROUGHPUT:
        return planner.find(objective)
    if planner.cluster.teams > 1:
        return None
    found = best_teams(planner.graph, planner.cluster, planner)
    return found[1] if found is not None else None


def other_objectives(objective: str) -> list[str]:
    """All but one."""
    return [each for each in AIMS if each != objective]


def _figures(name: str, planned: Planned, cluster: Cluster) -> Json:
    fits = planned.fits(cluster)
    return {
        "name": name,
        "world_size": planned.plan.world_size,
        "teams": cluster.teams,
        "latency_us": planned.latency_us,
        "throughput_per_s": cluster.teams * 1e6 / planned.period_us,
        "arena_bytes": planned.arena_bytes,
        "arena_room_bytes": min(map(cluster.arena_room_bytes, range(cluster.world_size))),
        "weights_bytes": max(planned.weights_bytes),
        "weights_room_bytes": min(map(cluster.weights_room_bytes, range(cluster.world_size))),
        "wire_bytes": planned.wire_bytes,
        "fits": fits,
    }


def print_verdict(chooser: Chooser, rows: Sequence[Json]) -> None:
    """The first line of a result: what the devices gain over one of them."""
    STDOUT.print(verdict(chooser, rows))


def verdict(chooser: Chooser, rows: Sequence[Json]) -> str:
    """The same as text."""
    plan, alone = rows[0], rows[-1] if rows[-1]["name"] == ALONE else None
    size, asked = plan["world_size"], chooser.cluster.world_size
    if plan["teams"] > 1:
        return f"{teams_words(plan)}{_spare(chooser)}"
    used = counted(size, "device") if size == asked else f"{size} of {asked} devices"
    text = f"{used}: {_ms(plan)}, arena {kib(plan['arena_bytes'])}"
    if chooser.planned.cluster.ahead:
        text += f", {plan['throughput_per_s']:.2f} inferences a second with two in flight"
    if alone is not None and size > 1:
        text += f"; {_compared(plan, alone, _one(chooser.cluster))}"
    if chooser.left_out:
        ranks = ranks_text(chooser.left_out)
        text += f". {_no_better(chooser)}{ranks} left out of the wiring"
    return text


def teams_words(plan: Json) -> str:
    """How many teams of what do how much."""
    size, teams = plan["world_size"], plan["teams"]
    who = (
        f"{teams} devices, each with the whole model and"
        if size == 1
        else (f"{teams} teams of {counted(size, 'device')}, each")
    )
    return (
        f"{who} on a port of the host's own: {plan['throughput_per_s']:.2f} inferences a second, "
        f"each in {_ms(plan)}, arena {kib(plan['arena_bytes'])}"
    )


def _spare(chooser: Chooser) -> str:
    return f". {counted(chooser.spare, 'device')} left over" if chooser.spare else ""


def _one(cluster: Cluster) -> str:
    """What is compared with; of unequal boards, which one it is."""
    if len({device.board for device in cluster.devices}) == 1:
        return ALONE
    (device,) = fewer(cluster, 1)[0].devices
    return f"one {device.board or device.name}"


def _compared(plan: Json, alone: Json, one: str) -> str:
    if not alone["fits"]:
        return f"{one} alone is too small"
    times = alone["latency_us"] / plan["latency_us"]
    if plan["latency_us"] >= alone["latency_us"] and plan["arena_bytes"] >= alone["arena_bytes"]:
        return (
            f"SLOWER THAN {one.upper()} ALONE, AND NO SMALLER: that takes {_ms(alone)}, "
            f"arena {kib(alone['arena_bytes'])}"
        )
    if 0.95 < times < 1.05:
        speed = f"about as fast as {one} alone"
    elif times > 1:
        speed = f"{times:.1f} times as fast as {one} alone"
    else:
        speed = f"{1 / times:.1f} times the time of {one} alone"
    share = 100 * plan["arena_bytes"] / alone["arena_bytes"]
    return f"{speed}, with {share:.0f} % of its arena"


def _no_better(chooser: Chooser) -> str:
    if not chooser.searched:
        return ""
    more = {
        "latency": "More would be no faster",
        "ram": "With more, no device would need less RAM",
        "bytes": "More would send no less",
        THROUGHPUT: "More would do no more a second",
    }
    return f"{more[chooser.objective]}: "


def _ms(row: Json) -> str:
    return f"{_milliseconds(row['latency_us'])} ms"


def _milliseconds(us: float) -> str:
    """``1,234.5``, ``0.042``: two digits at least, whatever is quick."""
    return f"{us / 1000:,.1f}" if us >= 1000 else f"{us / 1000:.2g}"


def print_beside(rows: Sequence[Json]) -> None:
    """The figures as a table; nothing where the plan is that of one device alone."""
    if all({**row, "name": ""} == {**rows[0], "name": ""} for row in rows):
        return
    lines = [
        [
            row["name"],
            _devices(row),
            _milliseconds(row["latency_us"]) if row["fits"] else "–",
            f"{row['throughput_per_s']:.2f}" if row["fits"] else "–",
            kib(row["arena_bytes"]),
            kib(row["weights_bytes"]),
            kib(row["wire_bytes"]) if row["world_size"] > 1 else "–",
        ]
        for row in rows
    ]
    columns = ["<", "devices", "ms", "a second", "arena", "weights", "on wires"]
    table("beside one device alone", columns, lines)
    for row in rows:
        if not row["fits"]:
            STDOUT.print(f"{row['name']} {_too_small(row)}")


def _devices(row: Json) -> str:
    return f"{row['teams']} x {row['world_size']}" if row["teams"] > 1 else str(row["world_size"])


def _too_small(row: Json) -> str:
    short = [
        f"{kib(row[f'{what}_room_bytes'])} for {words}"
        for what, words in (("arena", "the arena"), ("weights", "weights"))
        if row[f"{what}_bytes"] > row[f"{what}_room_bytes"]
    ]
    return "DOES NOT FIT" + (f": it has {', '.join(short)}" if short else "")


def weights_note(chooser: Chooser, measured: bool) -> str:
    """What to say where every device that works holds nearly all weights; "" elsewhere.

    measured: say what a limit would cost, which takes another search; else name the command.
    """
    planned, graph = chooser.planned, chooser.planner.graph
    total = sum(value.size_bytes for value in graph.constants())
    held = [
        size
        for size, device in zip(planned.weights_bytes, planned.drafts, strict=True)
        if device.macs
    ]
    if len(held) < 2 or total < LEAST_WEIGHTS_BYTES or min(held) < NEARLY_ALL * total:
        return ""
    limit = -(-int(1.25 * total / planned.plan.world_size) // 1024)
    share = "all" if min(held) >= total else "nearly all"  # tables of kernels count, too
    tables = f"{kib(min(held))} with the kernels' tables, {kib(total)} in the model"
    text = f"Every device holds {share} weights: {tables}"
    if not measured:
        return f"{text}; `tflsplit plan` with --max-weights {limit}KiB says what less would cost."
    found = _limited(planned.cluster, limit * 1024)
    us = Searcher(graph, found).about_us()
    if us is None:
        return f"{text}; with at most {limit} KiB each, nothing fits."
    return (
        f"{text}; with at most {limit} KiB each (--max-weights {limit}KiB) an inference would "
        f"take about {us / 1000:.0f} ms."
    )


def _limited(cluster: Cluster, weights_bytes: int) -> Cluster:
    devices = (replace(each, weights_limit_bytes=weights_bytes) for each in cluster.devices)
    return replace(cluster, devices=tuple(devices))
