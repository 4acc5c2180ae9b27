# SPDX-License-Identifier: Apache-2.0
"""The cluster that firmware is made for: the one planned for, with other boards or wires."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tflsplit.cluster import Cluster, LinkKind, board_names, known_board
from tflsplit.cluster.rates import at_own_rate
from tflsplit.cluster.rewired import at_usb, rewired
from tflsplit.cluster.spec import Device
from tflsplit.firmware.boards import BOARDS
from tflsplit.firmware.options import FirmwareOptions


def as_built(cluster: Cluster, options: FirmwareOptions) -> Cluster:
    """The cluster, changed as the options say; limits of its devices stay.

    An emulated board, or this computer, stands for what was planned for: it changes no device.
    """
    names = options.boards_of(cluster.world_size)
    devices = tuple(
        _device(old, name, rank)
        for rank, (old, name) in enumerate(zip(cluster.devices, names, strict=True))
    )
    built = _wired(replace(cluster, devices=devices), options)
    if options.baud is None:
        built = at_own_rate(built, names)
    return built if devices == cluster.devices else at_usb(built)


def _device(old: Device, name: str, rank: int) -> Device:
    if name == old.board or name not in board_names() or BOARDS[name].is_emulated:
        return old
    return replace(
        known_board(name),
        name=f"{name}-{rank}",
        arena_limit_bytes=old.arena_limit_bytes,
        weights_limit_bytes=old.weights_limit_bytes,
    )


def _wired(cluster: Cluster, options: FirmwareOptions) -> Cluster:
    given, planned = options.background_poll_us, cluster.background_poll_us
    if given != (None if planned is None else round(planned)):
        cluster = replace(cluster, background_poll_us=None if given is None else float(given))
    return rewired(
        cluster,
        topology=options.topology,
        link=LinkKind(options.link),
        bit_rate=options.baud,
        gateway=None if options.gateway == cluster.input_rank else options.gateway,
        direct=None if options.direct is cluster.direct else options.direct,
        mtu_bytes=options.mtu_bytes,
    )


def shortages(cluster: Cluster, arenas_bytes: Sequence[int]) -> Iterator[str]:
    """Where a device has less RAM than its arena needs, rank by rank."""
    for rank, arena_bytes in enumerate(arenas_bytes):
        if (short := arena_bytes - cluster.arena_rooms(rank)[0]) > 0:
            yield f"rank {rank} lacks {short:,} bytes of RAM"
