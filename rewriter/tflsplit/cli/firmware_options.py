# SPDX-License-Identifier: Apache-2.0
"""The options by which commands know boards and wires, and what firmware is made of them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tflsplit.api.project import Project
from tflsplit.cluster import Cluster, LinkKind
from tflsplit.cluster.defaults import usual_topology
from tflsplit.cluster.rewired import rewired
from tflsplit.errors import ClusterError
from tflsplit.firmware import FirmwareOptions
from tflsplit.firmware.options import DEFAULT_MARGIN_BYTES, TFLM_DIR_VARIABLE
from tflsplit.firmware.registry_bits import registry_warnings
from tflsplit.memory.arena import KERNEL_FLAVOURS
from tflsplit.planner import Planned
from tflsplit.wire.topology import Topology

AUTO = "auto"
"""Of an option: what would be without it."""
_OF_WIRES = ("link", "topology", "gateway", "direct", "mtu", "baud", "background-poll-us")


def add_board_options(command: argparse.ArgumentParser, heading: str = "the firmware") -> None:
    """The options that say which boards there are and how they are wired."""
    group = command.add_argument_group(heading)
    group.add_argument(
        "--board",
        metavar="NAME[,NAME…]",
        help="one for all devices, or one for each (teensy41): `tflsplit boards --all`; host: this "
        "computer",
    )
    group.add_argument(
        "--topology",
        choices=[t.value for t in Topology if t is not Topology.BUS],
        metavar="KIND",
        help="ring (default), line or star; Ethernet has a switch",
    )
    group.add_argument(
        "--gateway", type=int, metavar="RANK", help="the rank wired to this computer (0)"
    )


def add_wire_options(command: argparse.ArgumentParser, shown: bool = True) -> None:
    """What else there is to say of the wires; ``shown``: in the command's help."""
    options: dict[str, dict[str, Any]] = {
        "--mtu": {"type": int, "metavar": "BYTES", "help": "largest frame (the plan's)"},
        "--baud": {
            "type": number_or_auto,
            "metavar": "RATE",
            "help": "of the links, SPI's clock in Hz (auto: the slowest board's own)",
        },
        "--background-poll-us": {
            "type": number_or_auto,
            "metavar": "US",
            "help": "how often a timer polls the links while a kernel runs; 0: never (auto: by "
            "each board's clock)",
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


def number_or_auto(text: str) -> int | str:
    """A whole number, or what takes one back that a folder remembers; for argparse."""
    return AUTO if text == AUTO else int(text)


number_or_auto.__name__ = "int"  # what argparse says of a text that is no number


def _add(
    command: argparse.ArgumentParser, options: Mapping[str, dict[str, Any]], shown: bool
) -> None:
    for name, settings in options.items():
        command.add_argument(name, **settings if shown else {**settings, "help": argparse.SUPPRESS})


def with_options(
    base: FirmwareOptions, arguments: argparse.Namespace, boards: tuple[str, ...]
) -> FirmwareOptions:
    """The options with what a command line says instead; ``boards``: of the command line."""
    given: dict[str, Any] = {"boards": boards} if boards else {}
    if arguments.link is not None:
        given["link"] = arguments.link
        if arguments.link != base.link:
            given["baud"] = None  # the other kind's own
        usual = usual_topology(LinkKind(arguments.link))
        if usual is Topology.BUS or base.topology is usual_topology(LinkKind(base.link)):
            given["topology"] = usual
    return replace(base, **{**given, **_wires(arguments), **_build_options(arguments)})


def _wires(arguments: argparse.Namespace) -> dict[str, Any]:
    """What a command line says of the wires: fields of FirmwareOptions; None: back to its rule."""
    topology = arguments.topology
    given = {
        "topology": None if topology is None else Topology(topology),
        "gateway": arguments.gateway,
        "direct": arguments.direct,
        "mtu_bytes": arguments.mtu,
        "baud": arguments.baud,
        "background_poll_us": arguments.background_poll_us,
    }
    said = {key: value for key, value in given.items() if value is not None}
    return {key: None if value == AUTO else value for key, value in said.items()}


def _build_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """What a command line says of the build, beside boards and wires."""
    given = {
        "arena_margin_bytes": arguments.arena_margin,
        "kernels": arguments.kernels,
        "tflm_dir": arguments.tflm_dir,
        "name_tflm_dir": True if arguments.tflm_dir is not None else None,
    }
    return {key: value for key, value in given.items() if value is not None}


def project_of(arguments: argparse.Namespace) -> Project:
    """The firmware part of what ``rewrite`` writes; it is wanted if an option is about it."""
    boards = boards_of(arguments)
    options = with_options(FirmwareOptions(), arguments, boards)
    # A kind of link may be planned for that no firmware has.
    planned = replace(options, link=FirmwareOptions.link)
    if options.topology is usual_topology(LinkKind(options.link)):
        planned = replace(planned, topology=FirmwareOptions.topology)
    wanted = planned != FirmwareOptions()
    return Project(boards, _build_options(arguments), wanted)


def registry_notes(arguments: argparse.Namespace, planned: Planned) -> list[str]:
    """What a plan's boards compute otherwise, with the TFLM that they will have."""
    tree = getattr(arguments, "tflm_dir", None) or FirmwareOptions().tflm_dir
    boards = [device.board for device in planned.cluster.devices]
    return registry_warnings(planned.unpacked, boards, tree)


def boards_of(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The names of ``--board``; () without it."""
    return tuple(arguments.board.split(",")) if arguments.board else ()


def wired(cluster: Cluster, arguments: argparse.Namespace) -> Cluster:
    """The default cluster as a command line's firmware options wire it.

    Raises ClusterError if the user described the cluster and wires it in another way as well.
    """
    refuse_other_wires(arguments)
    wires = _wires(arguments)
    period_us, baud = wires.pop("background_poll_us", None), wires.pop("baud", None)
    if period_us is not None:
        cluster = replace(cluster, background_poll_us=float(period_us))
    return rewired(cluster, bit_rate=baud, **wires)


def refuse_other_wires(arguments: argparse.Namespace) -> None:
    """ClusterError if a cluster.toml is named, and an option says what that says."""
    said = [name for name in _OF_WIRES if getattr(arguments, name.replace("-", "_")) is not None]
    if said and arguments.cluster is not None:
        options = ", ".join(f"--{name}" for name in said)
        raise ClusterError(
            f"{arguments.cluster} says how the devices are wired: leave out {options}, or change "
            "the file"
        )
