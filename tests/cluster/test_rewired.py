# SPDX-License-Identifier: Apache-2.0
"""A cluster that options wire in another way is the one that a cluster.toml would describe so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tflsplit.api.clusters import board_cluster
from tflsplit.cluster import Cluster, LinkKind, Medium, Topology, default_cluster, parse_cluster
from tflsplit.cluster.rewired import at_usb, rewired
from tflsplit.cluster.words import cluster_words
from tflsplit.errors import ClusterError

PAIR = '[[device]]\nboard = "teensy41"\n[[device]]\nboard = "pico"\n'
MIXED = board_cluster(2, ["teensy41", "pico"])


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        (rewired(MIXED), PAIR),
        (rewired(MIXED, topology=Topology.LINE), f'topology = "line"\n{PAIR}'),
        # The select lines of an SPI master share its data lines.
        (
            rewired(MIXED, topology=Topology.STAR, link=LinkKind.SPI, bit_rate=10_000_000),
            f'topology = "star"\n[link]\nkind = "spi"\nclock_hz = 10_000_000\n{PAIR}',
        ),
        # The Pico's USB is full speed, the Teensy's high.
        (rewired(MIXED, direct=True), f"[host]\ndirect = true\n{PAIR}"),
        (rewired(MIXED, gateway=1), f"gateway_rank = 1\n{PAIR}"),
        (rewired(rewired(MIXED, direct=True), direct=False), PAIR),
        (rewired(MIXED, mtu_bytes=256), f"[link_layer]\nmtu_bytes = 256\n{PAIR}"),
    ],
)
def test_it_is_what_a_file_describes(changed: Cluster, text: str):
    if "[link]" not in text:
        text = f"{text.partition('[')[0]}[link]\nbaud = 3_000_000\n[{text.partition('[')[2]}"
    assert changed == parse_cluster(text)


def test_a_host_at_a_wire_of_its_own_stays_there():
    slow = replace(MIXED.link, bit_rate=115_200)
    cluster = replace(MIXED, host_link=slow)
    assert rewired(cluster, direct=True).link_of((1, 2)) == slow
    assert rewired(cluster, gateway=1).link_of((1, 2)) == slow
    assert at_usb(cluster) == MIXED


def test_wires_of_their_own_go_with_their_topology():
    slow = replace(MIXED.link, bit_rate=115_200)
    cluster = replace(MIXED, wires=(((0, 1), slow),))
    assert rewired(cluster, topology=Topology.RING).wires, "as it is"
    assert not rewired(cluster, topology=Topology.LINE).wires
    assert not rewired(cluster, link=LinkKind.SPI).wires


def test_ethernet_has_a_switch_where_nobody_says_otherwise():
    switch = rewired(default_cluster(3), link=LinkKind.ETHERNET)
    assert (switch.topology, switch.medium) == (Topology.BUS, Medium.SWITCHED)
    assert switch == default_cluster(3, "ethernet")
    assert rewired(switch, link=LinkKind.UART) == default_cluster(3)
    line = rewired(default_cluster(3), topology=Topology.LINE)
    assert rewired(line, link=LinkKind.ETHERNET).topology is Topology.LINE
    ring = rewired(default_cluster(3), link=LinkKind.ETHERNET, topology=Topology.RING)
    assert (ring.topology, ring.medium) == (Topology.RING, Medium.POINT_TO_POINT)
    text = '[link]\nkind = "ethernet"\n[[device]]\nboard = "teensy41"\ncount = 3\n'
    described = parse_cluster(text)
    assert (described.topology, described.medium) == (Topology.BUS, Medium.SWITCHED)


def test_what_cannot_be_is_refused():
    with pytest.raises(ClusterError, match=r"rank 2 is none of 0\.\.1"):
        rewired(MIXED, gateway=2)
    with pytest.raises(ClusterError, match="multiple of 4"):
        rewired(MIXED, mtu_bytes=255)


def test_in_words():
    assert cluster_words(MIXED) == "2 teensy41/pico in a ring of UARTs at 3 Mbit/s"
    spi = rewired(default_cluster(4, "spi"), direct=True)
    assert cluster_words(spi) == "4 teensy41 in a ring of SPI links at 30 Mbit/s, each at the host"
    assert cluster_words(default_cluster(1)) == "1 teensy41"
