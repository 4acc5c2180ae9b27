# SPDX-License-Identifier: Apache-2.0
"""``tflsplit plan MODEL -n N``: what would be done, and why, without doing it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from tflsplit.bundle.plan_file import plan_part
from tflsplit.bundle.text import dump
from tflsplit.cli.console import STDOUT, Commands, kib, print_json, progress, table
from tflsplit.cli.plan_report import describe, print_plan
from tflsplit.cli.planning import (
    add_cluster_options,
    add_objective,
    checked,
    cluster_of,
    idle_note,
    saved_plan,
    search,
)
from tflsplit.errors import PlanError
from tflsplit.planner import Planner, finish
from tflsplit.planner.explain import reasoned
from tflsplit.planner.pareto import pareto_front
from tflsplit.rewrite import splittable
from tflsplit.tflite import load

WEIGHTS_NOTE = (
    "weights: each device gets a quarter of the model's, or 1.25 times an equal share, because "
    "nothing else was asked for; --max-weights or --objective lifts that"
)


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "plan",
        help="find the best split for a cluster, and explain it",
        description="Choose how every layer is split on a given cluster, say why, and predict RAM, "
        "flash, traffic and time. `rewrite` with the same options writes the graphs.",
    )
    command.add_argument("model", type=Path, help="an int8 .tflite file")
    add_cluster_options(command)
    add_objective(command)
    command.add_argument(
        "--pareto",
        action="store_true",
        help="the plans between least RAM, least time and fewest bytes on the wires",
    )
    command.add_argument(
        "--layers", action="store_true", help="also every single layer: its cuts, time, bytes"
    )
    command.add_argument("-o", "--output", type=Path, metavar="FILE", help="save the plan")
    return command


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    cluster = cluster_of(arguments)
    with progress("reading"):
        model = load(arguments.model)
        graph = splittable(model)
    asked = cluster
    if arguments.pareto:
        return _pareto(Planner(graph, cluster), arguments)
    with progress("searching"):
        if arguments.plan is None:
            planner, planned = search(arguments, cluster, graph)
        else:
            planner = Planner(graph, cluster)
            saved = saved_plan(arguments.plan, cluster.world_size)
            planned = finish(graph, checked(saved, graph, arguments.plan), cluster)
    cluster = planner.cluster
    planned = replace(planned, plan=reasoned(planned, planner))
    if arguments.output is not None:
        try:
            arguments.output.write_text(dump(plan_part(graph, planned.plan)), encoding="utf-8")
        except OSError as error:
            raise PlanError(f"{arguments.output}: {error.strerror}") from None
    document = describe(planned, planner, cluster)
    if arguments.json:
        print_json(document)
    else:
        print_plan(document, arguments.model.name, arguments.layers)
        if note := idle_note(document["devices"]):
            STDOUT.print(note, soft_wrap=True)
        if cluster is not asked:
            STDOUT.print(WEIGHTS_NOTE, soft_wrap=True)
    return 0 if all(device["fits"] for device in document["devices"]) else 1


def _pareto(planner: Planner, arguments: argparse.Namespace) -> int:
    with progress("searching"):
        front = pareto_front(planner)
    points = [
        {
            "arena_bytes": planned.arena_bytes,
            "weights_bytes": max(planned.weights_bytes),
            "latency_us": planned.prediction.latency_us,
            "wire_bytes": planned.wire_bytes,
        }
        for planned in front
    ]
    if arguments.json:
        print_json({"front": points})
        return 0
    rows = [
        [
            kib(point["arena_bytes"]),
            f"{point['latency_us'] / 1000:.1f}",
            kib(point["wire_bytes"]),
            kib(point["weights_bytes"]),
        ]
        for point in points
    ]
    columns = ["arena", "latency ms", "on wires", "weights"]
    table("no plan found is better in RAM, time and bytes at once", columns, rows)
    return 0
