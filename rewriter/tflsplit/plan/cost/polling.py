# SPDX-License-Identifier: Apache-2.0
"""What polling from a timer costs a kernel.

While a kernel runs, a timer interrupt polls the links every ``Cluster.poll_period_us``; what it
takes is missing from the kernel:

    kernel   ████ ████ ████░░░░████ ████ ████     ░ a poll that handles bytes
              tick tick     tick

The numbers are instructions of ``Node::poll`` on an emulated Cortex-M7, with three links
(``python -m tests.core.measure_poll``), taken as clock cycles.  So they are an estimate: a real
M7 executes up to two instructions a cycle, waits for its memory, and takes some 30 cycles for the
interrupt itself; smaller cores need more.
"""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from tflsplit.cluster import Cluster, Device
from tflsplit.cluster.ways import Ways

IDLE_POLL_CYCLES = 813.0
SENT_BYTE_CYCLES = 34.0
RECEIVED_BYTE_CYCLES = 31.0
"""Per byte on the wire; a byte that is forwarded is received and sent."""

MOST_SHARE = 0.95
"""Of a device's time that polls can take: beyond it the kernel would never end."""


class PollCost:
    """What polls take from the kernels of one device; ``period_us`` 0: there are none."""

    def __init__(self, device: Device, period_us: float) -> None:
        self._sent_us = device.cycles_us(SENT_BYTE_CYCLES)
        self._received_us = device.cycles_us(RECEIVED_BYTE_CYCLES)
        idle_us = device.cycles_us(IDLE_POLL_CYCLES)
        self._share = min(MOST_SHARE, idle_us / period_us) if period_us else 0.0

    def kernel_us(self, us: float) -> float:
        """How long a kernel takes that needs ``us`` alone, if no poll finds anything."""
        return us / (1 - self._share)

    def bytes_us(self, sent_bytes: int, received_bytes: int) -> float:
        """What bytes take beside the polls that handle them."""
        return sent_bytes * self._sent_us + received_bytes * self._received_us


def poll_costs(cluster: Cluster) -> Sequence[PollCost]:
    """Of every device, by rank; found once."""
    found = _KNOWN.get(cluster.ways)
    if found is None:
        found = _KNOWN[cluster.ways] = [
            PollCost(device, cluster.poll_period_us(rank))
            for rank, device in enumerate(cluster.devices)
        ]
    return found


_KNOWN: WeakKeyDictionary[Ways, list[PollCost]] = WeakKeyDictionary()
