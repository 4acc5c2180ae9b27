# SPDX-License-Identifier: Apache-2.0
"""The cluster that firmware is made for: the one planned for, with other boards or wires."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tflsplit.cluster import Cluster, LinkKind, board_names, known_board
from tflsplit.cluster.defaults import default_medium
from tflsplit.cluster.links import LINK_DEFAULTS, USB_SPEEDS
from tflsplit.cluster.spec import Device
from tflsplit.cluster.written import with_link
from tflsplit.firmware.boards import BOARDS, board_named
from tflsplit.firmware.generate import link_baud
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
    if devices == cluster.devices:
        return built
    usb = USB_SPEEDS[devices[built.input_rank].usb]
    return replace(_at_rate(built, names, options), host_link=usb, host_links=())


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
    if options.topology is not cluster.topology:
        medium = default_medium(options.topology, cluster.link)
        cluster = replace(cluster, topology=options.topology, wires=(), medium=medium)
    if (kind := LinkKind(options.link)) is not cluster.link.kind:
        cluster = with_link(cluster, LINK_DEFAULTS[kind])
    if options.baud is not None and options.baud != cluster.link.bit_rate:
        cluster = replace(cluster, link=replace(cluster.link, bit_rate=options.baud))
    if options.gateway != cluster.input_rank:
        cluster = replace(cluster, input_rank=options.gateway, output_rank=options.gateway)
    period_us = options.background_poll_us
    return replace(
        cluster,
        direct=options.direct,
        host_links=cluster.host_links if options.direct else (),
        mtu_bytes=options.mtu_bytes,
        background_poll_us=cluster.background_poll_us if period_us is None else float(period_us),
    )


def _at_rate(cluster: Cluster, names: Sequence[str], options: FirmwareOptions) -> Cluster:
    """The cluster with links at the rate that its boards get."""
    rate = link_baud([board_named(name) for name in names], options)
    link = cluster.link if rate is None else replace(cluster.link, bit_rate=rate)
    return replace(cluster, link=link)


def shortages(cluster: Cluster, arenas_bytes: Sequence[int]) -> Iterator[str]:
    """Where a device has less RAM than its arena needs, rank by rank."""
    for rank, arena_bytes in enumerate(arenas_bytes):
        if (short := arena_bytes - cluster.arena_room_bytes(rank)) > 0:
            yield f"rank {rank} lacks {short:,} bytes of RAM"


def cluster_words(cluster: Cluster) -> str:
    """``a ring of 8 teensy41, uart at 6 Mbit/s``."""
    boards = list(dict.fromkeys(device.board or device.name for device in cluster.devices))
    link, size = cluster.link, cluster.world_size
    host = ", each at the host" if cluster.direct and size > 1 else ""
    wires = f", {link.kind.value} at {link.bit_rate / 1e6:g} Mbit/s" if size > 1 else ""
    return f"a {cluster.topology.value} of {size} {'/'.join(boards)}{wires}{host}"
