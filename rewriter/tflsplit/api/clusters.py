# SPDX-License-Identifier: Apache-2.0
"""Clusters from a few words: so many boards of a kind, and what joins them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from tflsplit.cluster import Cluster, Device, LinkKind, board_names, default_cluster, known_board
from tflsplit.cluster.banks import limited_banks
from tflsplit.cluster.links import LINK_DEFAULTS
from tflsplit.cluster.rates import at_own_rate
from tflsplit.cluster.rewired import with_link
from tflsplit.cluster.toml_file import suggestion
from tflsplit.errors import ClusterError, PlanError, counted
from tflsplit.firmware.boards import BOARDS
from tflsplit.wire.frames import MAX_NODES

DEFAULT_BOARD = "teensy41"


def board_cluster(
    devices: int, board: str | Sequence[str] = DEFAULT_BOARD, link: str = LinkKind.UART.value
) -> Cluster:
    """So many boards in a ring, with rank 0 at the computer.

    board: of all, or one for each.  The links run at the slowest board's own rate, as its firmware
        has it; a board without numbers of its own (this computer) is planned for as a Teensy 4.1.
    link: "uart", "spi", "ethernet" or "usb".
    Raises ClusterError for unknown boards or links, and another number of boards.
    """
    if not 1 <= devices <= MAX_NODES:
        raise ClusterError(f"the number of devices must be 1 to {MAX_NODES}")
    boards = [board] if isinstance(board, str) else list(board)
    if len(boards) not in (1, devices):
        raise ClusterError(
            f"{len(boards)} boards are named for {counted(devices, 'device')}; "
            "name one, or one for each"
        )
    cluster = default_cluster(devices, link, _planned(boards[0]))
    if len(boards) > 1:
        cluster = replace(cluster, devices=tuple(
            replace(known_board(_planned(name)), name=f"{name}-{rank}")
            for rank, name in enumerate(boards)
        ))  # fmt: skip
    return at_own_rate(cluster, boards)


def relinked(cluster: Cluster, link: str) -> Cluster:
    """The cluster with links of another kind, at the slowest board's own rate.

    Boards that have no such links, or no firmware, leave the rate that the kind has by default.
    """
    boards = [device.board for device in cluster.devices]
    return at_own_rate(with_link(cluster, LINK_DEFAULTS[LinkKind(link)]), boards)


def limited(
    cluster: Cluster,
    arena: str | int | None,
    weights: str | int | None,
    ram: str | int | None = None,
) -> Cluster:
    """The cluster with at most so much arena and weights on each device; PlanError for no size.

    ram: of all RAM: arena, links, stack and runtime; banks get what the main RAM leaves of it.
    """
    devices = cluster.devices
    if ram is not None:
        most = parse_size(ram)
        devices = tuple(_with_ram(device, most) for device in devices)
    if arena is not None:
        devices = tuple(replace(d, arena_limit_bytes=parse_size(arena)) for d in devices)
    if weights is not None:
        devices = tuple(replace(d, weights_limit_bytes=parse_size(weights)) for d in devices)
    return replace(cluster, devices=devices)


def _with_ram(device: Device, most_bytes: int) -> Device:
    banks = limited_banks(device.banks, max(0, most_bytes - device.ram_bytes))
    return replace(device, ram_bytes=min(device.ram_bytes, most_bytes), banks=banks)


def parse_size(text: str | int) -> int:
    """``65536``, ``64KiB``, ``64K`` (= KiB), ``0.5MiB`` in bytes; PlanError if it is none."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([KM]?)(i?)B?", str(text).strip(), re.IGNORECASE)
    if match is None:
        raise PlanError(f"{text!r} is no size; write 65536, 64KiB or 1MiB")
    factor = {"": 1, "K": 1024, "M": 1024 * 1024}[match[2].upper()]
    return int(float(match[1]) * factor)


def _planned(board: str) -> str:
    """The board whose numbers count; one without any (the host) plans as the default one."""
    if board not in board_names() and board not in BOARDS:
        raise ClusterError(f"unknown board {board!r}{suggestion(board, board_names())}")
    return board if board in board_names() else DEFAULT_BOARD
