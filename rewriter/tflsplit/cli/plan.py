# SPDX-License-Identifier: Apache-2.0
"""``tflsplit plan MODEL -n N``: what would be done, and why, without doing it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tflsplit.bundle.plan_file import plan_part
from tflsplit.bundle.text import dump
from tflsplit.cli.console import STDOUT, Commands, kib, print_json, progress, shortened, table
from tflsplit.cli.planning import (
    add_cluster_options,
    add_objective,
    cluster_of,
    meant,
    planner_of,
)
from tflsplit.cluster import Cluster
from tflsplit.errors import PlanError
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.planner import Planned, Planner, finish
from tflsplit.planner.explain import explain
from tflsplit.planner.pareto import pareto_front
from tflsplit.tflite import load
from tflsplit.tflite.support import check_quantized


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
        "--pareto", action="store_true", help="the plans between least RAM and least time"
    )
    command.add_argument("-o", "--output", type=Path, metavar="FILE", help="save the plan")
    return command


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    cluster = cluster_of(arguments)
    with progress("reading"):
        model = load(arguments.model)
        check_quantized(model)
        graph = fold_constants(model)
    cluster = meant(arguments, cluster, graph)
    planner = Planner(graph, cluster)
    if arguments.pareto:
        return _pareto(planner, arguments)
    with progress("searching"):
        if arguments.plan is None:
            planned = planner.best(arguments.objective or "latency")
        else:
            planned = finish(graph, planner_of(arguments, cluster)(graph), cluster)
    if arguments.output is not None:
        try:
            arguments.output.write_text(dump(plan_part(graph, planned.plan)), encoding="utf-8")
        except OSError as error:
            raise PlanError(f"{arguments.output}: {error.strerror}") from None
    document = describe(planned, planner, cluster)
    if arguments.json:
        print_json(document)
    else:
        _print(document, arguments)
    return 0 if all(device["fits"] for device in document["devices"]) else 1


def describe(planned: Planned, planner: Planner, cluster: Cluster) -> dict[str, Any]:
    """All that the command prints."""
    prediction = planned.prediction
    devices = []
    for rank, (arena, weights) in enumerate(
        zip(planned.arenas, planned.weights_bytes, strict=True)
    ):
        arena_room = cluster.arena_room_bytes(rank)
        weights_room = cluster.weights_room_bytes(rank)
        devices.append(
            {
                "rank": rank,
                "board": cluster.devices[rank].board or cluster.devices[rank].name,
                "arena_bytes": arena.required_bytes,
                "arena_room_bytes": arena_room,
                "weights_bytes": weights,
                "weights_room_bytes": weights_room,
                "fits": arena.required_bytes <= arena_room and weights <= weights_room,
                "compute_us": prediction.compute_us[rank],
                "send_us": prediction.send_us[rank],
                "wait_us": prediction.wait_us[rank],
            }
        )
    return {
        "world_size": cluster.world_size,
        "latency_us": prediction.latency_us,
        "input_us": prediction.input_us,
        "graph_us": prediction.graph_us,
        "output_us": prediction.output_us,
        "payload_bytes": prediction.payload_bytes,
        "wire_bytes": planned.wire_bytes,
        "links": [
            {"from": a, "to": b, "bytes": size}
            for (a, b), size in sorted(prediction.bytes_per_link.items())
        ],
        "devices": devices,
        "units": explain(planned, planner),
    }


def _print(document: dict[str, Any], arguments: argparse.Namespace) -> None:
    rows = [
        [
            shortened(unit["node"]),
            "x".join(map(str, unit["output_shape"])),
            unit["option"],
            f"{unit['time_us'] / 1000:.2f}",
            kib(unit["wire_bytes"]),
            kib(unit["head_bytes"]),
            unit["why"],
        ]
        for unit in document["units"]
    ]
    if rows:
        columns = ["<up to", "output", "<split by", "ms", "on wires", "RAM", "<why"]
        table(f"{arguments.model.name}: how it is split", columns, rows)
    rows = [
        [
            str(device["rank"]),
            device["board"],
            f"{kib(device['arena_bytes'])} of {kib(device['arena_room_bytes'])}",
            f"{kib(device['weights_bytes'])} of {kib(device['weights_room_bytes'])}",
            "FITS" if device["fits"] else "DOES NOT FIT",
            *(f"{device[key] / 1000:.1f}" for key in ("compute_us", "send_us", "wait_us")),
        ]
        for device in document["devices"]
    ]
    columns = ["rank", "<board", "arena", "weights", "<", "compute ms", "send ms", "wait ms"]
    table("devices", columns, rows)
    STDOUT.print(
        f"predicted: {document['latency_us'] / 1000:.1f} ms from input to result "
        f"({document['input_us'] / 1000:.1f} to hand out the input, "
        f"{document['graph_us'] / 1000:.1f} in the devices, "
        f"{document['output_us'] / 1000:.1f} to collect the result); "
        f"{kib(document['wire_bytes'])} on the wires",
        soft_wrap=True,
    )


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
    table("no plan is better in both", ["arena", "latency ms", "on wires", "weights"], rows)
    return 0
