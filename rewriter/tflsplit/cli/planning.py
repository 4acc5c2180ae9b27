# SPDX-License-Identifier: Apache-2.0
"""The options by which `plan` and `rewrite` know the cluster and what to aim for."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from tflsplit.api.clusters import DEFAULT_BOARD, board_cluster, limited
from tflsplit.bundle.plan_file import load_plan
from tflsplit.cli.console import note
from tflsplit.cluster import (
    Cluster,
    LinkKind,
    board_names,
    read_cluster,
)
from tflsplit.errors import ClusterError, counted
from tflsplit.firmware.boards import BOARDS
from tflsplit.planner import AIMS


def add_cluster_options(command: argparse.ArgumentParser) -> None:
    """-n, --cluster and what goes with them."""
    group = command.add_argument_group("the cluster")
    group.add_argument("-n", "--devices", type=int, metavar="N", help="1 to 64 devices")
    group.add_argument(
        "--cluster", type=Path, metavar="FILE", help="cluster.toml: devices, links, topology"
    )
    group.add_argument(
        "--link",
        choices=[kind.value for kind in LinkKind],
        metavar="KIND",
        help="without --cluster: uart (default), spi, ethernet, usb",
    )
    add_direct(group)
    add_stream(group)
    add_ahead(group)
    group.add_argument(
        "--max-arena", metavar="SIZE", help="most arena on a device, like 64KiB (what the RAM has)"
    )
    group.add_argument(
        "--max-ram",
        metavar="SIZE",
        help="most RAM of a device: arena, links, stack, runtime",
    )
    group.add_argument(
        "--max-weights", metavar="SIZE", help="most weights on a device (what the flash has)"
    )


def add_direct(command: argparse._ActionsContainer) -> None:
    """--direct."""
    command.add_argument(
        "--direct",
        action=argparse.BooleanOptionalAction,
        help="each device has a port to the host for its input",
    )


def add_stream(command: argparse._ActionsContainer) -> None:
    """--stream."""
    command.add_argument(
        "--stream",
        action=argparse.BooleanOptionalAction,
        help="devices ask for rows of the input as they read them",
    )


def add_ahead(command: argparse._ActionsContainer) -> None:
    """--ahead."""
    command.add_argument(
        "--ahead",
        action=argparse.BooleanOptionalAction,
        help="memory for the input of the next inference, which comes while one is computed",
    )


def add_objective(command: argparse.ArgumentParser) -> None:
    """--objective and --plan."""
    command.add_argument(
        "--objective",
        choices=AIMS,
        help="the least latency (default), RAM or bytes on the wires; or the most inferences a "
        "second, by equal teams",
    )
    command.add_argument("--plan", type=Path, metavar="FILE", help="replay a saved plan")


def cluster_of(arguments: argparse.Namespace, board: str = DEFAULT_BOARD) -> Cluster:
    """The cluster that is meant; ClusterError if the options contradict each other."""
    if getattr(arguments, "plan", None) is not None and arguments.objective is not None:
        raise ClusterError("--plan replays a plan, --objective searches one: give one of them")
    if arguments.cluster is not None:
        cluster = _described(arguments)
    elif arguments.devices is None and getattr(arguments, "plan", None) is not None:
        size = load_plan(arguments.plan).world_size
        cluster = _default(size, arguments.link, board)
    elif arguments.devices is None:
        raise ClusterError("say how many devices there are: -n N, or --cluster FILE")
    elif not 1 <= arguments.devices <= 64:
        raise ClusterError("the number of devices must be 1 to 64")
    else:
        cluster = _default(arguments.devices, arguments.link, board)
    if arguments.stream is not None:
        cluster = replace(cluster, stream=arguments.stream)
    if arguments.ahead is not None:
        cluster = replace(cluster, ahead=arguments.ahead)
    return limited(cluster, arguments.max_arena, arguments.max_weights, arguments.max_ram)


def _described(arguments: argparse.Namespace) -> Cluster:
    """The cluster of --cluster, ClusterError if another option says something else."""
    if arguments.link is not None:
        raise ClusterError("--link describes the default cluster; --cluster names its own")
    refuse_host_options(arguments, "direct", "stream", "ahead")
    cluster = read_cluster(arguments.cluster)
    _refuse_other_boards(cluster, getattr(arguments, "board", None), arguments.cluster)
    if arguments.devices not in (None, cluster.world_size):
        raise ClusterError(
            f"-n {arguments.devices} contradicts {arguments.cluster}, which has "
            f"{counted(cluster.world_size, 'device')}"
        )
    return cluster


def refuse_host_options(arguments: argparse.Namespace, *names: str) -> None:
    """ClusterError for an option that a cluster.toml, where one is named, has a key for."""
    for name in names:
        value = getattr(arguments, name)
        if value is not None and arguments.cluster is not None:
            raise ClusterError(
                f"write [host] {name} = {str(value).lower()} into {arguments.cluster} instead"
            )


def _refuse_other_boards(cluster: Cluster, boards: str | None, path: Path) -> None:
    """--board may name what a cluster.toml leaves open, or boards that stand for any."""
    names = (boards or "").split(",")
    for rank, device in enumerate(cluster.devices):
        name = names[min(rank, len(names) - 1)]
        is_open = name in BOARDS and BOARDS[name].is_emulated
        if name and device.board and name != device.board and not is_open:
            raise ClusterError(
                f"--board {boards} contradicts {path}, where device {rank} is a {device.board}: "
                "leave it out, or change the file"
            )


def _default(world_size: int, link: str | None, board: str) -> Cluster:
    boards = board.split(",")
    cluster = board_cluster(world_size, boards if len(boards) > 1 else board, link or "uart")
    if unknown := sorted(set(boards) - set(board_names())):
        note(
            f"times and RAM of {', '.join(unknown)} are not known: planned for as a {DEFAULT_BOARD}"
        )
    return cluster
