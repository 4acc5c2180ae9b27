# SPDX-License-Identifier: Apache-2.0
"""``tflsplit firmware DIR``: its firmware again, for other boards or wires."""

from __future__ import annotations

import argparse
from pathlib import Path

from tflsplit.bundle import Bundle, read_bundle
from tflsplit.bundle.plan_json import Json
from tflsplit.bundle.remembered import remembered_cluster
from tflsplit.cli.console import STDOUT, note, print_json, table, warn
from tflsplit.cli.firmware_options import (
    add_board_options,
    add_options,
    boards_of,
    refuse_other_wires,
    with_options,
)
from tflsplit.cli.folder_cluster import cluster_of_folder
from tflsplit.cli.planning import add_direct
from tflsplit.cluster import Cluster, LinkKind, default_cluster
from tflsplit.cluster.words import LINK_WORDS, cluster_words
from tflsplit.firmware import (
    Choice,
    choose_nodes,
    options_of_cluster,
    refuse_boards_without_firmware,
    write_firmware,
)
from tflsplit.firmware.as_built import as_built, shortages
from tflsplit.firmware.from_cluster import LINKS
from tflsplit.firmware.registry_bits import registry_warnings
from tflsplit.firmware.remembered import remembered_options
from tflsplit.firmware.serial_load import rate_warnings
from tflsplit.report.figures import kib


def add_parser(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "firmware",
        help="generate the devices' firmware again, for other boards or wires",
        description="Generate the firmware sources of an output folder, and make node0, node1, … "
        "of `pio run` those of this folder. `tflsplit rewrite` does this already; use it to "
        "change boards or wiring, or to choose among several output folders. What no option names "
        "stays as DIR was made.",
    )
    command.add_argument("folder", type=Path, metavar="DIR", help="what `tflsplit rewrite` wrote")
    command.add_argument(
        "--cluster", type=Path, metavar="FILE", help="cluster.toml: its boards and wiring"
    )
    command.add_argument(
        "--link",
        choices=[kind.value for kind in LINKS],
        help="what joins the devices",
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
    boards = boards_of(arguments)
    refuse_boards_without_firmware(boards)
    bundle = read_bundle(arguments.folder)
    earlier = remembered_cluster(bundle.document, bundle.folder)
    if arguments.cluster is not None:
        refuse_other_wires(arguments)
        planned = cluster_of_folder(bundle, arguments.cluster)
        options = with_options(options_of_cluster(planned, boards), arguments, boards)
    else:
        planned = earlier or default_cluster(len(bundle.devices))
        options = with_options(remembered_options(bundle, boards), arguments, boards)
    cluster = as_built(planned, options)
    is_changed = cluster != (earlier or planned)
    document = write_firmware(
        arguments.folder, options, arguments.force, cluster if is_changed else None
    )
    choice = choose_nodes(arguments.folder)
    named = [str(device["board"]) for device in document["devices"]]
    warn(rate_warnings(named, document["link"], document["baud"]))
    warn(registry_warnings(bundle.devices, named, options.tflm_dir))
    if is_changed:
        _say_what_changed(bundle, cluster, earlier)
    if arguments.json:
        print_json(document)
    else:
        print_firmware(document, how_to_build(arguments.folder, choice))
    return 0


def _say_what_changed(bundle: Bundle, cluster: Cluster, earlier: Cluster | None) -> None:
    made_for = f" (it was for {cluster_words(earlier)})" if earlier else ""
    note(
        f"{bundle.folder} is now for {cluster_words(cluster)}{made_for}: simulate, report and the "
        "others answer for that. The plan stays as it is; `tflsplit rewrite` searches the best one "
        "for these boards and wires"
    )
    arenas = [int(device["arena_bytes"]) for device in bundle.document["devices"]]
    warn(shortages(cluster, arenas))


def how_to_build(folder: Path, choice: Choice | None) -> str:
    """The command that builds a device's firmware from where the user is."""
    if choice is not None and choice.builds(folder) and choice.root == Path.cwd().resolve():
        return "pio run -e node0"
    return f"pio run -d {folder} -e node0"


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
    wires = f"{document['topology']} of {LINK_WORDS[LinkKind(document['link'])]}"
    host = "every rank" if document["direct"] else f"rank {document['gateway']}"
    title = f"firmware: {wires}, host at {host}"
    table(title, ["rank", "<board", "model", "arena", "<links port>rank"], rows)
    STDOUT.print(f"build: {build}", soft_wrap=True)


def _link(link: Json, world_size: int) -> str:
    port = "usb" if link["port"] < 0 else str(link["port"])
    return f"{port}>{'host' if link['peer'] == world_size else link['peer']}"
