# SPDX-License-Identifier: Apache-2.0
"""The rate that links run at unless somebody says otherwise: that of the slowest board."""

from __future__ import annotations

from collections.abc import Iterable

from tflsplit.cluster import Cluster, LinkKind
from tflsplit.cluster.rewired import rewired
from tflsplit.firmware.boards import BOARDS


def own_rate(boards: Iterable[str], kind: LinkKind) -> int | None:
    """Baud of UARTs, Hz of SPI; None for other links, and where no board has a rate (emulated).

    boards: their names; one without firmware has no rate either.
    """
    built = [BOARDS[name] for name in boards if name in BOARDS]
    rates = {LinkKind.UART: [b.baud for b in built], LinkKind.SPI: [b.spi_hz for b in built]}
    return min((rate for rate in rates.get(kind, ()) if rate is not None), default=None)


def at_own_rate(cluster: Cluster, boards: Iterable[str]) -> Cluster:
    """The cluster with links at these boards' own rate; as it is where they have none."""
    return rewired(cluster, bit_rate=own_rate(boards, cluster.link.kind))
