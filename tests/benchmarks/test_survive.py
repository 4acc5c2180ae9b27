# SPDX-License-Identifier: Apache-2.0
"""Which points boards are killed at, and what the table says of them."""

from __future__ import annotations

from types import SimpleNamespace

from benchmarks.survive import Kill, kills
from benchmarks.survive_desk import Desk
from benchmarks.survive_table import Row, table
from tflsplit.emulate.wiring import HOST, Port, ring


def test_every_port_in_both_directions_and_every_rank_idle():
    wires = ring(2, 0)
    plugs = {port: None for wire in wires for port in (wire.a, wire.b)}
    cluster = SimpleNamespace(wires=wires, plugs=plugs)
    desk = Desk(cluster, "")  # type: ignore[arg-type]
    sent = dict.fromkeys(plugs, 60)
    found = list(kills(desk, sent, 30))
    assert found.count(Kill("idle", 0)) == found.count(Kill("idle", 1)) == 1
    assert len(found) == 2 + 2 * 2 * (3 + 2)  # by two points and two ways of three and two ports
    assert Kill("receiving", 0, HOST, 31) in found
    assert Kill("sending", 1, Port(1, 0), 1) in found
    assert len(set(found)) == len(found)


def test_table():
    good, bad = Row("idle", 2, 1, 2, 0, 0, 0, [1.0, 3.0], []), Row("sending", wrong=1)
    assert good.is_sound
    assert not bad.is_sound
    last = table([good, bad]).splitlines()[-2]
    assert last == "| idle | 2 | 1 | 2 | 0 | 0 | 0 | 2.0 (3.0) | – |"
