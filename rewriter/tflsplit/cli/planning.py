# SPDX-License-Identifier: Apache-2.0
"""The options by which `plan` and `rewrite` know the cluster and what to aim for."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tflsplit.bundle.plan_file import load_plan
from tflsplit.bundle.plan_json import Json
from tflsplit.cli.console import STDERR
from tflsplit.cluster import (
    Cluster,
    LinkKind,
    board_names,
    default_cluster,
    known_board,
    read_cluster,
)
from tflsplit.errors import ClusterError, PlanError
from tflsplit.ir import Graph
from tflsplit.plan.check import plan_problems
from tflsplit.plan.spec import Plan
from tflsplit.planner import OBJECTIVES, Planned, Planner, finish
from tflsplit.planner.explain import reasoned

DEFAULT_BOARD = "teensy41"


def add_cluster_options(command: argparse.ArgumentParser) -> None:
    """-n, --cluster and what goes with them."""
    group = command.add_argument_group("the cluster")
    group.add_argument("-n", "--devices", type=int, metavar="N", help="1 to 64 equal devices")
    group.add_argument(
        "--cluster", type=Path, metavar="FILE", help="cluster.toml: devices, links, topology"
    )
    group.add_argument(
        "--link",
        choices=[kind.value for kind in LinkKind],
        help="without --cluster: what joins the devices to a ring (uart, 6 Mbaud)",
    )
    group.add_argument(
        "--max-arena", metavar="SIZE", help="most arena on a device, like 64KiB (what the RAM has)"
    )
    group.add_argument(
        "--max-weights",
        metavar="SIZE",
        help="most weights on a device (what the flash has; without this, --objective and "
        "--cluster: a quarter of the model's, or 1.25 times an equal share)",
    )


def add_objective(command: argparse.ArgumentParser) -> None:
    """--objective and --plan."""
    command.add_argument(
        "--objective",
        choices=OBJECTIVES,
        help="what to make small: latency (default), the arena of the fullest device, or the "
        "bytes on the wires; everything must fit in any case",
    )
    command.add_argument("--plan", type=Path, metavar="FILE", help="replay a saved plan")


def cluster_of(arguments: argparse.Namespace, board: str = DEFAULT_BOARD) -> Cluster:
    """The cluster that is meant; ClusterError if the options contradict each other."""
    if getattr(arguments, "plan", None) is not None and arguments.objective is not None:
        raise ClusterError("--plan replays a plan, --objective searches one: give one of them")
    board = board if board in board_names() else DEFAULT_BOARD
    if arguments.cluster is not None:
        if arguments.link is not None:
            raise ClusterError("--link describes the default cluster; --cluster names its own")
        cluster = read_cluster(arguments.cluster)
        if arguments.devices not in (None, cluster.world_size):
            raise ClusterError(
                f"-n {arguments.devices} contradicts {arguments.cluster}, which has "
                f"{cluster.world_size} devices"
            )
    elif arguments.devices is None and getattr(arguments, "plan", None) is not None:
        number = load_plan(arguments.plan).world_size
        cluster = default_cluster(number, arguments.link or "uart", board)
    elif arguments.devices is None:
        raise ClusterError("say how many devices there are: -n N, or --cluster FILE")
    elif not 1 <= arguments.devices <= 64:
        raise ClusterError("the number of devices must be 1 to 64")
    else:
        boards = board.split(",")
        cluster = default_cluster(arguments.devices, arguments.link or "uart", _planned(boards[0]))
        if len(boards) > 1:
            cluster = _with_boards(cluster, boards)
    return _limited(cluster, arguments.max_arena, arguments.max_weights)


def _planned(board: str) -> str:
    """The board whose numbers count; one without any (the host) plans as the default one."""
    return board if board in board_names() else DEFAULT_BOARD


def _with_boards(cluster: Cluster, boards: Sequence[str]) -> Cluster:
    if len(boards) != cluster.world_size:
        raise ClusterError(
            f"{len(boards)} boards are named for {cluster.world_size} devices; "
            "name one, or one for each"
        )
    devices = (
        replace(known_board(_planned(board)), name=f"{board}-{rank}")
        for rank, board in enumerate(boards)
    )
    return replace(cluster, devices=tuple(devices))


def _limited(cluster: Cluster, arena: str | None, weights: str | None) -> Cluster:
    devices = cluster.devices
    if arena is not None:
        devices = tuple(replace(d, arena_limit_bytes=parse_size(arena)) for d in devices)
    if weights is not None:
        devices = tuple(replace(d, weights_limit_bytes=parse_size(weights)) for d in devices)
    return replace(cluster, devices=devices)


def parse_size(text: str) -> int:
    """``65536``, ``64KiB``, ``64K`` (= KiB), ``0.5MiB`` in bytes; PlanError if it is none."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([KM]?)(i?)B?", text.strip(), re.IGNORECASE)
    if match is None:
        raise PlanError(f"{text!r} is no size; write 65536, 64KiB or 1MiB")
    factor = {"": 1, "K": 1024, "M": 1024 * 1024}[match[2].upper()]
    return int(float(match[1]) * factor)


def planner_of(arguments: argparse.Namespace, cluster: Cluster) -> Callable[[Graph], Plan]:
    """What makes the plan: a saved one, or the search."""
    if arguments.plan is not None:
        saved = saved_plan(arguments.plan, cluster.world_size)
        return lambda graph: _replayed(saved, graph, arguments.plan, cluster)

    def searched(graph: Graph) -> Plan:
        planner, planned = search(arguments, cluster, graph)
        return reasoned(planned, planner)

    return searched


def search(
    arguments: argparse.Namespace, cluster: Cluster, graph: Graph
) -> tuple[Planner, Planned]:
    """The best plan, and who found it; the limit of ``meant`` gives way where nothing fits it.

    Raises ClusterError, saying what is missing, if nothing fits the cluster.
    """
    objective = arguments.objective or "latency"
    planner = Planner(graph, meant(arguments, cluster, graph))
    if planner.cluster is not cluster:
        planned = planner.find(objective)
        if planned is not None:
            return planner, planned
        planner = Planner(graph, cluster, planner.choices)
    return planner, planner.best(objective)


def saved_plan(path: Path, world_size: int) -> Plan:
    """A plan from a file; PlanError if it is damaged or for another number of devices."""
    saved = load_plan(path)
    if saved.world_size != world_size:
        raise PlanError(f"{path} is for {saved.world_size} devices, not {world_size}")
    return saved


def checked(plan: Plan, graph: Graph, path: Path) -> Plan:
    """A saved plan for a model; PlanError with everything that is wrong with it."""
    problems = plan_problems(graph, plan)
    names = {node.name for node in graph.nodes}
    if plan.splits and names.isdisjoint(split.node for split in plan.splits):
        raise PlanError(
            f"{path} is of another model: it names {len(plan.splits)} layers, none of which is in "
            f"this one, which has {len(names)}"
        )
    if problems:
        raise PlanError(f"{path} does not fit the model:\n  " + "\n  ".join(problems))
    return plan


def _replayed(plan: Plan, graph: Graph, path: Path, cluster: Cluster) -> Plan:
    """The same, with a warning on standard error where a device is too small for it."""
    planned = finish(graph, checked(plan, graph, path), cluster)
    shorts = zip(
        planned.arena_short_bytes(cluster), planned.flash_short_bytes(cluster), strict=True
    )
    for rank, (arena, flash) in enumerate(shorts):
        for what, short in (("RAM", arena), ("flash", flash)):
            if short:
                STDERR.print(
                    f"warning: rank {rank} lacks {short:,} bytes of {what}", soft_wrap=True
                )
    return plan


LEAST_WEIGHTS_LIMIT_BYTES = 64 * 1024
"""Below this no device is short of flash, and the multipliers of tiny layers outweigh them."""


def meant(arguments: argparse.Namespace, cluster: Cluster, graph: Graph) -> Cluster:
    """The cluster, its flash limited where nobody asked for anything in particular.

    Without --objective, --cluster, --max-weights, --plan or --pareto each device gets room for a
    quarter of the weights, or a bit over its share: parameters are to be distributed, however large
    the flash is.
    """
    asked = (arguments.objective, arguments.cluster, arguments.max_weights, arguments.plan)
    if any(asked) or getattr(arguments, "pareto", False):
        return cluster
    limit = weights_share_bytes(graph, cluster.world_size)
    return replace(
        cluster, devices=tuple(replace(d, weights_limit_bytes=limit) for d in cluster.devices)
    )


def weights_share_bytes(graph: Graph, world_size: int) -> int:
    """What a device may hold of the weights unasked: a quarter, or a bit over its share."""
    total = sum(value.size_bytes for value in graph.constants())
    return max(LEAST_WEIGHTS_LIMIT_BYTES, int(max(0.25, 1.25 / world_size) * total))


def idle_note(devices: Sequence[Json]) -> str:
    """What to say of devices that the plan leaves without work; "" if there are none."""
    idle = [str(device["rank"]) for device in devices if not device["macs"]]
    if not idle or len(idle) == len(devices):
        return ""
    who = f"rank {idle[0]} has" if len(idle) == 1 else f"ranks {', '.join(idle)} have"
    return (
        f"{who} nothing to do, because that is faster. --objective ram, or less RAM or flash "
        "(--max-arena, --max-weights), shares the model out further."
    )
