# SPDX-License-Identifier: Apache-2.0
"""``tflsplit plan MODEL -n N``: what would be done, and why, without doing it."""

from __future__ import annotations

import argparse
from pathlib import Path

from tflsplit.api.clusters import DEFAULT_BOARD
from tflsplit.bundle.plan_file import plan_part
from tflsplit.bundle.text import dump
from tflsplit.cli.beside import (
    beside,
    other_objectives,
    print_beside,
    print_verdict,
    weights_note,
)
from tflsplit.cli.console import STDOUT, Commands, print_json, progress, table, warn
from tflsplit.cli.firmware_options import (
    add_board_options,
    add_wire_options,
    registry_notes,
    wired,
)
from tflsplit.cli.plan_report import describe, print_plan
from tflsplit.cli.planning import add_cluster_options, add_objective, cluster_of
from tflsplit.errors import PlanError
from tflsplit.ir import Graph
from tflsplit.plan.spec import Plan
from tflsplit.planner import Planner
from tflsplit.planner.collecting import collecting_rarely
from tflsplit.planner.pareto import pareto_front
from tflsplit.report.figures import kib
from tflsplit.rewriting.chooser import Chooser
from tflsplit.rewriting.rewrite import splittable
from tflsplit.tflite import load


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "plan",
        help="find the best split for a cluster, and explain it",
        description="Choose how every layer is split on a given cluster, say why, and predict RAM, "
        "flash, traffic and time. `rewrite` with the same options writes the graphs.",
    )
    command.add_argument("model", type=Path, metavar="MODEL", help="an int8 .tflite file")
    add_cluster_options(command)
    add_board_options(command, "the boards")
    add_wire_options(command)
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
    cluster = wired(cluster_of(arguments, arguments.board or DEFAULT_BOARD), arguments)
    with progress("reading"):
        model = load(arguments.model)
        graph = splittable(model)
    if arguments.pareto:
        return _pareto(Planner(graph, cluster), arguments)
    chooser = Chooser(cluster, arguments.objective or "latency", arguments.plan)
    with collecting_rarely(), progress("searching") as stage:
        plan = chooser(graph)
        warn(chooser.warnings)
        warn(registry_notes(arguments, chooser.planned))
        _save(arguments.output, graph, plan)
        stage("searching for other objectives, to compare")
        rows = beside(chooser, other_objectives(chooser.objective) if chooser.searched else ())
        note = weights_note(chooser, measured=True)
    document = describe(chooser)
    if arguments.json:
        print_json({**document, "left_out": list(chooser.left_out), "beside": rows})
    else:
        print_verdict(chooser, rows)
        print_plan(document, arguments.model.name, arguments.layers)
        print_beside(rows)
        if note:
            STDOUT.print(note)
    return 0 if all(device["fits"] for device in document["devices"]) else 1


def _save(path: Path | None, graph: Graph, plan: Plan) -> None:
    if path is not None:
        try:
            path.write_text(dump(plan_part(graph, plan)), encoding="utf-8")
        except OSError as error:
            raise PlanError(f"{path}: {error.strerror}") from None


def _pareto(planner: Planner, arguments: argparse.Namespace) -> int:
    with progress("searching"):
        front = pareto_front(planner)
    points = [
        {
            "world_size": planned.plan.world_size,
            "arena_bytes": planned.arena_bytes,
            "weights_bytes": max(planned.weights_bytes),
            "latency_us": planned.latency_us,
            "wire_bytes": planned.wire_bytes,
        }
        for planned in front
    ]
    if arguments.json:
        print_json({"front": points})
        return 0
    rows = [
        [
            str(point["world_size"]),
            kib(point["arena_bytes"]),
            f"{point['latency_us'] / 1000:.1f}",
            kib(point["wire_bytes"]),
            kib(point["weights_bytes"]),
        ]
        for point in points
    ]
    columns = ["devices", "arena", "latency ms", "on wires", "weights"]
    table("no plan found is better in RAM, time and bytes at once", columns, rows)
    return 0
