# SPDX-License-Identifier: Apache-2.0
"""Which port of a board each link of a rank uses (``split_port/port.h``, docs/cluster_protocol.md).

::

    line, ring    port 1 of rank k ── port 0 of rank k + 1
    star          port k - 1 of rank 0 ── port 0 of rank k
    bus           one Ethernet; ports 0, 1, … lead to the other ranks in their order
    host          the board's last port, whatever its number
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tflsplit.wire.topology import (
    HOST_PORT,
    NEXT_PORT,
    PREVIOUS_PORT,
    LinkTable,
    Topology,
    link_tables,
    port_to,
)

__all__ = ["HOST_PORT", "NEXT_PORT", "PREVIOUS_PORT", "WiredLink", "wire_links"]


@dataclass(frozen=True)
class WiredLink:
    """One link of one rank: where it leads, and the port that it uses."""

    table: LinkTable
    port: int


def wire_links(
    topology: Topology, world_size: int, gateways: int | Sequence[int]
) -> tuple[tuple[WiredLink, ...], ...]:
    """The links of ranks 0, 1, …; the host's own are left out.

    gateways: the devices that the host is wired to.

    Raises ClusterError as ``link_tables`` does.
    """
    tables = link_tables(topology, world_size, host_at=gateways)
    return tuple(
        tuple(
            WiredLink(link, port_to(topology, world_size, rank, link.peer_rank)) for link in links
        )
        for rank, links in enumerate(tables[:world_size])
    )
