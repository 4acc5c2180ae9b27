# SPDX-License-Identifier: Apache-2.0
"""The cluster that is meant where nobody describes one."""

from __future__ import annotations

from dataclasses import replace

from tflsplit.cluster.boards import known_board
from tflsplit.cluster.links import LINK_DEFAULTS, USB_SPEEDS, LinkKind, LinkSpec, Medium
from tflsplit.cluster.spec import Cluster
from tflsplit.errors import ClusterError
from tflsplit.wire.topology import Topology

DEFAULT_BOARD = "teensy41"


def default_cluster(
    world_size: int, kind: LinkKind | str = LinkKind.UART, board: str = DEFAULT_BOARD
) -> Cluster:
    """``world_size`` boards of one kind in a ring; rank 0 hangs on the host by its USB.

    kind: "uart": 6 Mbaud each way; "spi": 30 MHz each way, every device master towards the next
        one and slave of the previous; the others of ``LINK_DEFAULTS`` too.
    Raises ClusterError for an unknown board or kind, or too many devices.
    """
    try:
        link_kind = LinkKind(kind)
    except ValueError:
        known = ", ".join(member.value for member in LinkKind)
        raise ClusterError(f"unknown kind of link {kind!r}; known are: {known}") from None
    device = known_board(board)
    return Cluster(
        devices=tuple(replace(device, name=f"{board}-{rank}") for rank in range(world_size)),
        topology=Topology.RING,
        link=LINK_DEFAULTS[link_kind],
        host_link=USB_SPEEDS[device.usb],
    )


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
