# SPDX-License-Identifier: Apache-2.0
"""Which link of which device is wired to which.

Link numbers are those of the firmware's ports (``split_port/port.h``): 0 leads to the previous
rank, 1 to the next one, 3 (the last) to the host computer.
"""

from __future__ import annotations

from dataclasses import dataclass

from tflsplit.errors import ClusterError

LINKS_PER_DEVICE = 4
PREVIOUS_LINK = 0
NEXT_LINK = 1
HOST_LINK = LINKS_PER_DEVICE - 1


@dataclass(frozen=True, order=True)
class Port:
    """One end of a wire: link ``link`` of the device of rank ``rank``."""

    rank: int
    link: int

    def __str__(self) -> str:
        return "the host" if self == HOST else f"link {self.link} of rank {self.rank}"


HOST = Port(-1, 0)
"""The end of a wire that this process holds itself."""


@dataclass(frozen=True)
class Wire:
    """A full-duplex connection of two ports."""

    a: Port
    b: Port

    def __str__(self) -> str:
        return f"{self.a} - {self.b}"


def line(world_size: int, gateway: int | None = None) -> tuple[Wire, ...]:
    """Returns the wires of a line: rank k's next link to rank k+1's previous link.

    Args:
        world_size: number of devices, at least 1.
        gateway: rank whose host link this process holds; ``None`` for no gateway.
    """
    wires = [
        Wire(Port(rank, NEXT_LINK), Port(rank + 1, PREVIOUS_LINK)) for rank in range(world_size - 1)
    ]
    return (*wires, *_gateway_wire(world_size, gateway))


def ring(world_size: int, gateway: int | None = None) -> tuple[Wire, ...]:
    """Returns a line closed from the last rank to rank 0 (one device is wired to itself)."""
    closing = Wire(Port(world_size - 1, NEXT_LINK), Port(0, PREVIOUS_LINK))
    return (*line(world_size), closing, *_gateway_wire(world_size, gateway))


def star(world_size: int, gateway: int | None = None) -> tuple[Wire, ...]:
    """Returns a star round rank 0: its link k-1 to the previous link of rank k.

    Raises:
        ClusterError: rank 0 has too few links for that many devices.
    """
    wires = [Wire(Port(0, rank - 1), Port(rank, PREVIOUS_LINK)) for rank in range(1, world_size)]
    wires += _gateway_wire(world_size, gateway)
    check_wires(wires, world_size)
    return tuple(wires)


def check_wires(wires: list[Wire] | tuple[Wire, ...], world_size: int) -> None:
    """Checks that every port exists and is used once.

    Raises:
        ClusterError: names the port and what is wrong with it.
    """
    used: set[Port] = set()
    for port in (end for wire in wires for end in (wire.a, wire.b) if end != HOST):
        if not 0 <= port.rank < world_size:
            raise ClusterError(f"{port} is wired, but the cluster has {world_size} devices")
        if not 0 <= port.link < LINKS_PER_DEVICE:
            raise ClusterError(
                f"{port} is wired, but a device has {LINKS_PER_DEVICE} links; "
                "use a ring or a line for this many devices"
            )
        if port in used:
            raise ClusterError(f"{port} is wired twice")
        used.add(port)


def _gateway_wire(world_size: int, gateway: int | None) -> list[Wire]:
    if gateway is None:
        return []
    if not 0 <= gateway < world_size:
        raise ClusterError(f"gateway {gateway} is none of the {world_size} devices")
    return [Wire(Port(gateway, HOST_LINK), HOST)]
