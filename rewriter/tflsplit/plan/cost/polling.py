# SPDX-License-Identifier: Apache-2.0
"""What polling from a timer costs a kernel.

While a kernel runs, a timer interrupt polls the links every ``Cluster.poll_period_us``; what it
takes is missing from the kernel:

    kernel   ████ ████ ████░░░░████ ████ ████     ░ a poll that handles bytes
              tick tick     tick

The numbers are instructions of ``Node::poll`` on an emulated Cortex-M7, with three links
(``python -m tests.core.measure_poll``), taken as clock cycles.  So they are an estimate: a real
M7 executes up to two instructions a cycle, waits for its memory, and takes some 30 cycles for the
interrupt itself; smaller cores need more.  UARTs and USB of Arduino cores take and give single
bytes, our ports for SPI and Ethernet copy pieces of a ring.

A UART's own interrupts, which fill and empty the rings that polls work on, come on top of them, by
the byte (``cluster.serial_ports``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from tflsplit.cluster import Cluster, Device, LinkKind
from tflsplit.cluster.serial_ports import interrupt_cycles
from tflsplit.cluster.ways import Ways


@dataclass(frozen=True)
class PollCycles:
    """Of a poll that finds nothing, and beside it for each byte on the wire.

    A byte that is forwarded is received and sent.
    """

    idle: float
    sent_byte: float
    received_byte: float


POLL_CYCLES: Mapping[LinkKind, PollCycles] = {
    LinkKind.UART: PollCycles(822.0, 27.0, 26.0),
    LinkKind.SPI: PollCycles(852.0, 17.0, 16.0),
    LinkKind.ETHERNET: PollCycles(906.0, 18.0, 19.0),
    LinkKind.USB: PollCycles(822.0, 27.0, 26.0),
}
"""By the kind of a link; ``idle`` by that between devices."""

MOST_SHARE = 0.95
"""Of a device's time that polls can take: beyond it the kernel would never end."""


class PollCost:
    """What polls take from the kernels of one device; ``period_us`` 0: there are none."""

    def __init__(self, device: Device, period_us: float, kind: LinkKind) -> None:
        self._device = device
        idle_us = device.cycles_us(POLL_CYCLES[kind].idle)
        self._share = min(MOST_SHARE, idle_us / period_us) if period_us else 0.0

    def kernel_us(self, us: float) -> float:
        """How long a kernel takes that needs ``us`` alone, if no poll finds anything."""
        return us / (1 - self._share)

    def sent_us(self, wire_bytes: int, kind: LinkKind) -> float:
        """What bytes take, beside the polls that handle them, on their way out."""
        return self._bytes_us(wire_bytes, POLL_CYCLES[kind].sent_byte, kind)

    def received_us(self, wire_bytes: int, kind: LinkKind) -> float:
        """The same on their way in."""
        return self._bytes_us(wire_bytes, POLL_CYCLES[kind].received_byte, kind)

    def _bytes_us(self, wire_bytes: int, cycles: float, kind: LinkKind) -> float:
        interrupts = interrupt_cycles(self._device.board) if kind is LinkKind.UART else 0.0
        return self._device.cycles_us(wire_bytes * (cycles + interrupts))


def poll_costs(cluster: Cluster) -> Sequence[PollCost]:
    """Of every device, by rank; found once."""
    found = _KNOWN.get(cluster.ways)
    if found is None:
        found = _KNOWN[cluster.ways] = [
            PollCost(device, cluster.poll_period_us(rank), cluster.link.kind)
            for rank, device in enumerate(cluster.devices)
        ]
    return found


_KNOWN: WeakKeyDictionary[Ways, list[PollCost]] = WeakKeyDictionary()
