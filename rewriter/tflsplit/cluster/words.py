# SPDX-License-Identifier: Apache-2.0
"""A cluster in a few words, for messages and the lines under tables."""

from __future__ import annotations

from tflsplit.cluster.links import LinkKind
from tflsplit.cluster.spec import Cluster

LINK_WORDS = {LinkKind.UART: "UARTs", LinkKind.SPI: "SPI links", LinkKind.ETHERNET: "Ethernet",
              LinkKind.USB: "USB links"}  # fmt: skip
"""Several links of a kind."""


def cluster_words(cluster: Cluster) -> str:
    """``8 teensy41 in a ring of UARTs at 6 Mbit/s``; of one device, which it is: ``1 pico``.

    Of several teams ``4 teams of`` that.
    """
    names = list(dict.fromkeys(device.board or device.name for device in cluster.devices))
    teams = f"{cluster.teams} teams of " if cluster.teams > 1 else ""
    boards, link = f"{teams}{cluster.world_size} {'/'.join(names)}", cluster.link
    if cluster.world_size == 1:
        return boards
    host = ", each at the host" if cluster.direct else ""
    return (
        f"{boards} in a {cluster.topology.value} of {LINK_WORDS[link.kind]} at "
        f"{link.bit_rate / 1e6:g} Mbit/s{host}"
    )
