# SPDX-License-Identifier: Apache-2.0
"""``tflsplit firmware DIR``, and the firmware options of ``tflsplit rewrite``."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tflsplit.bundle import Bundle, read_bundle
from tflsplit.bundle.plan_json import Json
from tflsplit.bundle.remembered import remembered_cluster
from tflsplit.cli.console import STDOUT, kib, print_json, table
from tflsplit.cli.folder_cluster import cluster_of_folder
from tflsplit.cli.planning import add_direct
from tflsplit.cluster import Cluster, default_cluster
from tflsplit.errors import ClusterError
from tflsplit.firmware import (
    BOARDS,
    Choice,
    FirmwareOptions,
    board_named,
    choose_nodes,
    options_of_cluster,
    write_firmware,
)
from tflsplit.firmware.from_cluster import SERIAL_LINKS
from tflsplit.firmware.options import DEFAULT_MARGIN_BYTES, TFLM_DIR_VARIABLE
from tflsplit.host import read_firmware_setup
from tflsplit.memory.arena import KERNEL_FLAVOURS
from tflsplit.wire.topology import Topology


def add_board_options(
    command: argparse.ArgumentParser,
    heading: str = "the firmware",
    boards: Collection[str] = tuple(BOARDS),
) -> None:
    """The options that say which boards there are and how they are wired.

    boards: that there are.
    """
    group = command.add_argument_group(heading)
    group.add_argument(
        "--board",
        metavar="NAME[,NAME…]",
        help=f"one board for all devices, or one for each (teensy41): {', '.join(boards)}",
    )
    group.add_argument(
        "--topology",
        choices=[t.value for t in Topology if t is not Topology.BUS],
        help="how the devices are wired (ring)",
    )
    group.add_argument(
        "--gateway", type=int, metavar="RANK", help="the rank wired to this computer (0)"
    )


def add_wire_options(command: argparse.ArgumentParser, shown: bool = True) -> None:
    """What else there is to say of the wires; ``shown``: in the command's help."""
    options: dict[str, dict[str, Any]] = {
        "--mtu": {"type": int, "metavar": "BYTES", "help": "largest frame (512)"},
        "--baud": {
            "type": int,
            "metavar": "RATE",
            "help": "of the links, SPI's clock in Hz (the slowest board's own)",
        },
        "--background-poll-us": {
            "type": int,
            "metavar": "US",
            "help": "how often a timer polls the links while a kernel runs; 0: never (by the "
            "clock)",
        },
    }
    _add(command, options, shown)


def add_options(command: argparse.ArgumentParser, shown: bool = True) -> None:
    """All other options of the firmware; ``shown``: in the command's help."""
    add_wire_options(command, shown)
    options: dict[str, dict[str, Any]] = {
        "--arena-margin": {
            "type": int,
            "default": DEFAULT_MARGIN_BYTES,
            "metavar": "BYTES",
            "help": f"added to the arena that TFLM needs ({DEFAULT_MARGIN_BYTES})",
        },
        "--kernels": {
            "choices": KERNEL_FLAVOURS,
            "help": "TFLM's kernels on the devices (those of the TFLM tree, or room for either)",
        },
        "--tflm-dir": {
            "type": Path,
            "metavar": "DIR",
            "help": "a local TFLM tree, made by its create_tflm_tree.py, that every build is to "
            f"use (without it: {TFLM_DIR_VARIABLE}, or the registry's TFLM)",
        },
    }
    _add(command, options, shown)


def _add(
    command: argparse.ArgumentParser, options: Mapping[str, dict[str, Any]], shown: bool
) -> None:
    for name, settings in options.items():
        command.add_argument(name, **settings if shown else {**settings, "help": argparse.SUPPRESS})


def refuse_boards_without_firmware(boards: str | None) -> None:
    """ClusterError for the first board of ``--board`` that nothing can be built for."""
    for name in (boards or "").split(",") if boards else ():
        board_named(name)


def how_to_build(folder: Path, choice: Choice | None) -> str:
    """The command that builds a device's firmware from where the user is."""
    if choice is not None and choice.builds(folder) and choice.root == Path.cwd().resolve():
        return "pio run -e node0"
    return f"pio run -d {folder} -e node0"


def options_of(arguments: argparse.Namespace, cluster: Cluster | None = None) -> FirmwareOptions:
    """The options of a command line, on top of a cluster's; ClusterError for one that cannot be.

    cluster: what the user described; None: what the options make of the default.
    """
    boards = tuple((arguments.board or "").split(",")) if arguments.board else ()
    base = FirmwareOptions() if cluster is None else options_of_cluster(cluster, boards)
    return with_options(base, arguments, boards)


def with_options(
    base: FirmwareOptions, arguments: argparse.Namespace, boards: tuple[str, ...]
) -> FirmwareOptions:
    """The options with what a command line says instead; ``boards``: of the command line."""
    given = {
        "boards": boards or None,
        "topology": None if arguments.topology is None else Topology(arguments.topology),
        "gateway": arguments.gateway,
        "direct": arguments.direct,
        "mtu_bytes": arguments.mtu,
        "link": arguments.link,
        "baud": arguments.baud,
        "arena_margin_bytes": arguments.arena_margin,
        "kernels": arguments.kernels,
        "background_poll_us": arguments.background_poll_us,
        "tflm_dir": arguments.tflm_dir,
        "name_tflm_dir": True if arguments.tflm_dir is not None else None,
    }
    return replace(base, **{key: value for key, value in given.items() if value is not None})


def wired(cluster: Cluster, arguments: argparse.Namespace) -> Cluster:
    """The default cluster as a command line's firmware options wire it.

    Raises ClusterError if the user described the cluster and wires it in another way as well.
    """
    changes: dict[str, Any] = {}
    if arguments.topology is not None:
        changes["topology"] = Topology(arguments.topology)
    if arguments.gateway is not None:
        changes |= {"input_rank": arguments.gateway, "output_rank": arguments.gateway}
    if arguments.direct:
        changes["direct"] = True
    if arguments.mtu is not None:
        changes["mtu_bytes"] = arguments.mtu
    if arguments.baud is not None:
        changes["link"] = replace(cluster.link, bit_rate=arguments.baud)
    if arguments.background_poll_us is not None:
        changes["background_poll_us"] = float(arguments.background_poll_us)
    if changes and getattr(arguments, "cluster", None) is not None:
        raise ClusterError(
            f"{arguments.cluster} says how the devices are wired: leave out --topology, --gateway, "
            "--direct, --mtu, --baud and --background-poll-us"
        )
    return replace(cluster, **changes)


def add_parser(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "firmware",
        help="generate the devices' firmware again, for other boards or wires",
        description="Generate the firmware sources of an output folder, and make node0, node1, … "
        "of `pio run` those of this folder. `tflsplit rewrite` does this already; use it to "
        "change boards or wiring, or to choose among several output folders.",
    )
    command.add_argument("folder", type=Path, metavar="DIR", help="what `tflsplit rewrite` wrote")
    command.add_argument(
        "--cluster", type=Path, metavar="FILE", help="cluster.toml: boards and wiring are its"
    )
    command.add_argument(
        "--link",
        choices=[kind.value for kind in SERIAL_LINKS],
        help="what joins the devices (uart)",
    )
    command.add_argument(
        "--force", action="store_true", help="replace generated files that were changed since, too"
    )
    add_board_options(command)
    add_direct(command)
    add_options(command)
    return command


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    refuse_boards_without_firmware(arguments.board)
    bundle = read_bundle(arguments.folder)
    if arguments.cluster is not None:
        wired(default_cluster(1), arguments)  # refuses what contradicts the file
        options = options_of(arguments, cluster_of_folder(bundle, arguments.cluster))
    else:
        boards = tuple((arguments.board or "").split(",")) if arguments.board else ()
        options = with_options(remembered_options(bundle, boards), arguments, boards)
    document = write_firmware(arguments.folder, options, arguments.force)
    choice = choose_nodes(arguments.folder)
    if arguments.json:
        print_json(document)
    else:
        print_firmware(document, how_to_build(arguments.folder, choice))
    return 0


def remembered_options(bundle: Bundle, boards: tuple[str, ...]) -> FirmwareOptions:
    """What the firmware of a folder was made with, as far as the folder tells.

    boards: instead of those; the links then run at these boards' own rate.
    """
    cluster = remembered_cluster(bundle.document, bundle.folder)
    setup = read_firmware_setup(bundle.folder, bundle.document)
    earlier = tuple(str(device["board"]) for device in setup.devices)
    if cluster is not None:
        options = options_of_cluster(cluster, boards or earlier)
        return replace(options, baud=None) if boards else options
    if not earlier:
        return FirmwareOptions(boards=boards) if boards else FirmwareOptions()
    return FirmwareOptions(
        boards=boards or earlier,
        topology=setup.topology,
        gateway=setup.gateway,
        mtu_bytes=setup.mtu_bytes,
    )


def print_firmware(document: Json, build: str) -> None:
    """A table of devices, and what to type next."""
    rows = [
        [
            str(device["rank"]),
            device["board"],
            kib(device["model_bytes"]),
            kib(device["arena_bytes"]),
            " ".join(_link(link, document["world_size"]) for link in device["links"]),
        ]
        for device in document["devices"]
    ]
    wires = f"{document['topology']} of {document['link']} links"
    host = "every rank" if document["direct"] else f"rank {document['gateway']}"
    title = f"firmware: {wires}, host at {host}"
    table(title, ["rank", "<board", "model", "arena", "<links port>rank"], rows)
    STDOUT.print(f"build: {build}", soft_wrap=True)


def _link(link: Json, world_size: int) -> str:
    port = "usb" if link["port"] < 0 else str(link["port"])
    return f"{port}>{'host' if link['peer'] == world_size else link['peer']}"
