# SPDX-License-Identifier: Apache-2.0
"""The cluster that is meant where nobody describes one."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from tflsplit.cluster.boards import known_board
from tflsplit.cluster.links import LINK_DEFAULTS, USB_SPEEDS, LinkKind, LinkSpec, Medium
from tflsplit.cluster.spec import Cluster
from tflsplit.errors import ClusterError
from tflsplit.wire.frames import MAX_MTU_BYTES
from tflsplit.wire.topology import Topology

DEFAULT_BOARD = "teensy41"


def default_cluster(
    world_size: int, kind: LinkKind | str = LinkKind.UART, board: str = DEFAULT_BOARD
) -> Cluster:
    """``world_size`` boards of one kind in a ring; rank 0 hangs on the host by its USB.

    kind: "uart": 6 Mbaud each way; "spi": 30 MHz each way, every device master towards the next
        one and slave of the previous; "ethernet": all at one switch instead of a ring; the others
        of ``LINK_DEFAULTS`` too.
    Raises ClusterError for an unknown board or kind, or too many devices.
    """
    try:
        link_kind = LinkKind(kind)
    except ValueError:
        known = ", ".join(member.value for member in LinkKind)
        raise ClusterError(f"unknown kind of link {kind!r}; known are: {known}") from None
    device, topology = known_board(board), usual_topology(link_kind)
    frames = usual_frames(topology, LINK_DEFAULTS[link_kind], world_size)
    return Cluster(
        devices=tuple(replace(device, name=f"{board}-{rank}") for rank in range(world_size)),
        topology=topology,
        link=LINK_DEFAULTS[link_kind],
        host_link=USB_SPEEDS[device.usb],
        medium=default_medium(topology, LINK_DEFAULTS[link_kind]),
        mtu_bytes=frames.mtu_bytes,
        rx_slots=frames.rx_slots,
        tx_slots=frames.tx_slots,
    )


class Frames(NamedTuple):
    """The largest, how many are in transit, and how many of one's own under way: as in Cluster."""

    mtu_bytes: int
    rx_slots: int
    tx_slots: int


def usual_frames(topology: Topology, link: LinkSpec, world_size: int) -> Frames:
    """Those where nobody says.

    Ethernet's frames cost much and its bytes little, so they are as large as can be; and a device
    with a link to each other one has four frames under way on any of them at the same time.  A
    frame takes 0.17 ms on SPI, and a slot comes free after some 0.65 (two frames, an ACK behind a
    third, polls of devices that compute), while of four slots three may be taken in a ring.
    """
    if topology is Topology.BUS and link.kind is LinkKind.ETHERNET:
        return Frames(MAX_MTU_BYTES, 4, min(64, world_size + 3))
    return Frames(512, 6 if link.kind is LinkKind.SPI else 4, 4)


def usual_topology(kind: LinkKind) -> Topology:
    """How devices are wired where nobody says: Ethernet has a switch, all else makes a ring."""
    return Topology.BUS if kind is LinkKind.ETHERNET else Topology.RING


def default_medium(topology: Topology, link: LinkSpec) -> Medium:
    """What the wires of a topology usually share.

    A bus is one medium, of Ethernet a switch; the select lines of an SPI master share its data
    lines; everything else has wires of its own.
    """
    if link.kind is LinkKind.ETHERNET and topology in (Topology.BUS, Topology.STAR):
        return Medium.SWITCHED
    if topology is Topology.BUS or (topology is Topology.STAR and link.kind is LinkKind.SPI):
        return Medium.SHARED
    return Medium.POINT_TO_POINT
