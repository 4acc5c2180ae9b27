# SPDX-License-Identifier: Apache-2.0
"""The drawing of the boards: every wire once, with the ports that the firmware gives it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tflsplit.cluster import LinkKind, default_cluster
from tflsplit.cluster.spec import Cluster
from tflsplit.firmware.port_names import PORTS, port_name
from tflsplit.report.wiring import wiring_picture
from tflsplit.wire.topology import Topology, link_tables

ROOT = Path(__file__).resolve().parents[2]
TITLE = re.compile(r'aria-label="[^:]*: ([^"]*)"')


def cluster_of(topology: Topology, size: int, board: str = "teensy41") -> Cluster:
    from dataclasses import replace

    return replace(default_cluster(size, "uart", board), topology=topology)


@pytest.mark.parametrize("topology", [Topology.LINE, Topology.RING, Topology.STAR])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 8, 11])
@pytest.mark.parametrize("columns", [1, 4])
def test_every_wire_is_drawn_and_said(topology: Topology, size: int, columns: int):
    picture = wiring_picture(cluster_of(topology, size), columns)
    tables = link_tables(topology, size)
    wires = sum(link.peer_rank > rank for rank, table in enumerate(tables) for link in table)
    said = TITLE.search(picture)
    assert said is not None
    assert len([word for word in said[1].split("; ") if word]) == wires
    assert picture.count('class="board') == size
    if topology is not Topology.STAR:
        assert picture.count('class="wire"') == wires
        assert picture.count('class="port"') == 2 * wires
    width, height = map(float, re.findall(r'(?:width|height)="([\d.]+)"', picture)[:2])
    for x, y in re.findall(r'<text class="\w+" x="([-\d.]+)" y="([-\d.]+)"', picture):
        assert 0 <= float(x) <= width
        assert 0 <= float(y) <= height


def test_ports_of_a_ring_are_those_of_the_firmware():
    """Port 1 of each rank to port 0 of the next one, also of a line and of two."""
    for topology, size in ((Topology.LINE, 3), (Topology.RING, 2)):
        said = TITLE.search(wiring_picture(cluster_of(topology, size), 4))
        assert said is not None
        assert said[1].startswith("rank 0 port 1 to rank 1 port 0")
        assert all("port 1 to rank" in wire for wire in said[1].split("; "))
    said = TITLE.search(wiring_picture(cluster_of(Topology.RING, 4), 4))
    assert said is not None
    assert said[1].split("; ") == [
        "rank 0 port 0 to rank 3 port 1",
        "rank 0 port 1 to rank 1 port 0",
        "rank 1 port 1 to rank 2 port 0",
        "rank 2 port 1 to rank 3 port 0",
    ]


@pytest.mark.parametrize("kind", PORTS)
def test_names_are_those_of_the_firmwares_wiring(kind: LinkKind):
    ports = ROOT / "tflm_app" / "ports"
    text = "".join(path.read_text() for path in sorted(ports.glob("*/src/wiring.h")))
    words = " ".join(text.replace("//", " ").split())
    for board, names in PORTS[kind].items():
        for name in names:
            port, *pins = name.split(", ")
            if kind is LinkKind.UART:
                assert f"{port} ({', '.join(pins)})" in words, (board, name)
            else:
                assert re.sub(r"GP", "", pins[0]) in words, (board, name)
    assert port_name("unknown", kind, True) == ""


@pytest.mark.parametrize("board", PORTS[LinkKind.UART])
@pytest.mark.parametrize("columns", [1, 4])
def test_names_of_pins_are_whole_and_inside_their_box(board: str, columns: int):
    """A letter of 12 pixels is at most 7 wide in DejaVu Sans, the widest of the usual fonts."""
    picture = wiring_picture(cluster_of(Topology.RING, 8, board), columns)
    for name in PORTS[LinkKind.UART][board]:
        assert picture.count(f": {name}<") == 8
    wide = float(re.findall(r'class="board[^>]*d="M[\d.]+ [\d.]+h([\d.]+)v', picture)[0])
    longest = max(map(len, re.findall(r'class="label"[^>]*>([^<]*)<', picture)))
    assert 8 + 7 * longest <= wide
    width = float(re.findall(r'width="([\d.]+)"', picture)[0])
    assert width <= (1152 if columns == 4 else 360)
