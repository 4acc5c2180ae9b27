# SPDX-License-Identifier: Apache-2.0
"""Microseconds of exchanges, against arithmetic by hand.

Wires of 6 Mbaud: a byte takes 10 / 6 = 5/3 us.  MTU 512: 484 payload bytes a frame.  A frame of p
payload bytes takes (28 + p) + (28 + p) // 254 + 3 wire bytes; GRANT and ACK take 31, 51.67 us.
"""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflsplit.cluster import (
    Cluster,
    Duplex,
    LinkKind,
    LinkSpec,
    Medium,
    Topology,
    default_cluster,
    known_board,
)
from tflsplit.cluster.links import LINK_DEFAULTS
from tflsplit.ir import DType, Value
from tflsplit.ops import Box
from tflsplit.plan.cost import step_cost
from tflsplit.plan.cost.exchange import exchange_cost
from tflsplit.plan.transfers import Transfer

BYTE_US = 5 / 3
UART = LinkSpec(step_overhead_us=20.0)
X = Value("x", (100_000,), DType.INT8)


def wired(topology: Topology, world_size: int, link: LinkSpec = UART, **changes: object) -> Cluster:
    usb = LINK_DEFAULTS[LinkKind.USB]
    boards = (known_board("teensy41"),) * world_size
    return Cluster(boards, topology, link, usb, **changes)  # type: ignore[arg-type]


def sends(source: int, **sizes: int) -> Transfer:
    """A SEND of so many bytes to r1, r2, …; equal sizes are the same box."""
    to = tuple(int(name[1:]) for name in sizes)
    boxes = tuple(Box(((0, size),)) for size in sizes.values())
    return Transfer(0, 0, X, source, to, boxes, 1)


def test_nothing():
    assert step_cost(default_cluster(4), []).us == 0.0
    assert step_cost(default_cluster(4), []).bytes_per_link == {}


def test_one_message_over_one_wire():
    cost = step_cost(wired(Topology.LINE, 2), [sends(0, r1=448)])
    # One frame: 28 + 448 = 476, 476 + 1 + 3 = 480 bytes.  The GRANT before it: 31 bytes the other
    # way; it carries no news of the frame, but the frame that it answers to is a frame too: no ACK.
    assert cost.bytes_per_link == {(0, 1): 480, (1, 0): 31}
    assert cost.frames_per_link == {(0, 1): 1, (1, 0): 1}
    assert cost.payload_per_link == {(0, 1): 448}
    # 20 step + 480 * 5/3 = 800 + GRANT 31 * 5/3.
    assert cost.us == pytest.approx(20 + 800 + 31 * BYTE_US)


def test_a_multicast_along_a_line():
    cost = step_cost(wired(Topology.LINE, 4), [sends(0, r1=1000, r2=1000, r3=1000)])
    # 1,000 = 484 + 484 + 32: 517 + 517 + 63 = 1,097 bytes in 3 frames, once on every wire.
    # GRANTs: three cross 1 -> 0, two 2 -> 1, one 3 -> 2.  ACKs where frames outnumber them:
    # 3 - 2 = 1 on 2 -> 1, 3 - 1 = 2 on 3 -> 2.
    assert cost.bytes_per_link == {
        (0, 1): 1097, (1, 2): 1097, (2, 3): 1097,
        (1, 0): 3 * 31, (2, 1): 2 * 31 + 1 * 31, (3, 2): 1 * 31 + 2 * 31,
    }  # fmt: skip
    assert cost.frames_per_link[3, 2] == 3
    # Busiest wire 1,097 bytes; rank 3's GRANT needs 3 hops; two more hops for a frame of 517.
    assert cost.us == pytest.approx(20 + (1097 + 3 * 31 + 2 * 517) * BYTE_US)


def test_a_scatter_sends_every_box_by_itself():
    cost = step_cost(wired(Topology.LINE, 3), [sends(0, r1=100, r2=200)])
    # 28 + 100 = 128, + 3 = 131; 28 + 200 = 228, + 3 = 231: both over 0 -> 1.
    assert cost.bytes_per_link[0, 1] == 131 + 231
    assert cost.bytes_per_link[1, 2] == 231
    # Busiest: 362; longest way: two GRANT hops, and one more hop for the frame of 231.
    assert cost.us == pytest.approx(20 + (362 + 2 * 31 + 231) * BYTE_US)


def test_all_gather_in_a_ring_of_four():
    transfers = [sends(r, **{f"r{o}": 484 for o in range(4) if o != r}) for r in range(4)]
    cost = step_cost(wired(Topology.RING, 4), transfers)
    # Each message goes one way round by one hop and the other way by two: three of the eight
    # directed wires.  Odd ranks send the opposite one clockwise, even ones counter-clockwise:
    # 0: 0->1 0->3 3->2;  1: 1->0 1->2 2->3;  2: 2->3 2->1 1->0;  3: 3->2 3->0 0->1.
    data = {(0, 1): 2, (1, 2): 1, (0, 3): 1, (1, 0): 2, (2, 3): 2, (3, 0): 1, (2, 1): 1, (3, 2): 2}
    assert {e: b // 484 for e, b in cost.payload_per_link.items()} == data
    # A GRANT takes the ring's shorter way too, from its own rank: to the opposite rank from an odd
    # one clockwise.  To 0: 1->0, 3->0, from 2: 2->1 1->0.  To 1: 0->1, 2->1, from 3: 3->0 0->1.
    # To 2: 1->2, 3->2, from 0: 0->3 3->2.  To 3: 0->3, 2->3, from 1: 1->2 2->3.
    grants = {
        (1, 0): 2,
        (3, 0): 2,
        (2, 3): 2,
        (0, 1): 2,
        (2, 1): 2,
        (3, 2): 2,
        (1, 2): 2,
        (0, 3): 2,
    }
    frames = {edge: data[edge] + grants[edge] for edge in data}
    for (a, b), count in frames.items():
        acks = max(0, frames[b, a] - count)
        assert cost.frames_per_link[a, b] == count + acks
        assert cost.bytes_per_link[a, b] == data[a, b] * 517 + (grants[a, b] + acks) * 31
    # Busiest: 2 * 517 + 2 * 31 = 1,096, never an ACK.  Of these 517 are forwarded, and 517 come the
    # other way: 1 + 0.3 * 517 / 1,096.  GRANT over two hops; one further hop.
    busiest = 1096 + 0.3 * 517
    assert cost.us == pytest.approx(20 + (busiest + 2 * 31 + 517) * BYTE_US)


def test_half_duplex_adds_both_directions():
    half = wired(Topology.LINE, 2, LinkSpec(step_overhead_us=20.0, duplex=Duplex.HALF))
    cost = step_cost(half, [sends(0, r1=448), sends(1, r0=100)])
    # 0 -> 1: 480 and a GRANT of 31; 1 -> 0: 131 and a GRANT of 31; one GRANT before.
    assert cost.us == pytest.approx(20 + (480 + 31 + 131 + 31 + 31) * BYTE_US)
    full = step_cost(wired(Topology.LINE, 2), [sends(0, r1=448), sends(1, r0=100)])
    assert full.us == pytest.approx(20 + (480 + 31 + 31) * BYTE_US)


def test_a_bus_carries_one_frame_at_a_time():
    bus = wired(Topology.BUS, 3, medium=Medium.SHARED)
    cost = step_cost(bus, [sends(0, r1=100, r2=100)])
    # On a bus a multicast is sent once to each: 2 * 131; 2 GRANTs; no ACK (each wire has as many
    # frames one way as the other).  All on one medium; one GRANT before.
    assert cost.us == pytest.approx(20 + (2 * 131 + 2 * 31 + 31) * BYTE_US)


def test_a_switch_shares_only_the_port():
    ethernet = LinkSpec(LinkKind.ETHERNET, 100_000_000, 8.0, 66, frame_overhead_us=20.0)
    switch = wired(Topology.BUS, 3, ethernet, medium=Medium.SWITCHED)
    cost = step_cost(switch, [sends(0, r1=100), sends(1, r2=100)])
    # Rank 1's port out: its frame (131 + 66) * 0.08 + 20 = 35.76 us and the GRANT to 0,
    # (31 + 66) * 0.08 + 20 = 27.76; one GRANT before.
    assert cost.us == pytest.approx(35.76 + 27.76 + 27.76)


def test_what_most_devices_get_leaves_once_and_passes_every_port():
    quick = LinkSpec(LinkKind.ETHERNET, 8_000_000, 8.0)  # 1 us a byte
    switch = wired(Topology.BUS, 6, quick, medium=Medium.SWITCHED)
    assert switch.multicasts
    # Out of rank 0 one frame of 131, into it three GRANTs; a GRANT before.
    cost = step_cost(switch, [sends(0, r1=100, r2=100, r3=100)])
    assert cost.us == pytest.approx(131 + 31)
    # Rank 5's port carries that of 0 as well, beside 131 of its own and its GRANT's frame.
    both = step_cost(switch, [sends(0, r1=100, r2=100, r3=100), sends(4, r5=100)])
    assert both.us == pytest.approx(2 * 131 + 31)
    # To two of five: each by itself.
    assert step_cost(switch, [sends(0, r1=100, r2=100)]).us == pytest.approx(2 * 131 + 31)
    apart = wired(Topology.BUS, 6, quick, medium=Medium.SHARED)
    assert not apart.multicasts


def test_the_pause_between_frames():
    pause = LinkSpec(LinkKind.SPI, 8_000_000, 8.0, frame_overhead_us=10.0)
    cost = step_cost(wired(Topology.LINE, 2, pause), [sends(0, r1=484 * 3)])
    # 1 us a byte: 3 * (517 + 10), and a GRANT of 31 + 10.
    assert cost.us == pytest.approx(3 * 527 + 41)
    # 3 frames one way, 1 GRANT the other: 2 ACKs.
    assert cost.frames_per_link == {(0, 1): 3, (1, 0): 1 + 2}


def test_the_slowest_wire_counts():
    slow = LinkSpec(bit_rate=1_000_000, step_overhead_us=20.0)
    line = wired(Topology.LINE, 3, wires=(((1, 2), slow),))
    cost = step_cost(line, [sends(0, r1=448, r2=448)])
    # The slow wire: 480 * 10 us.  GRANT of rank 2: 310 us over it and 51.67 over the fast one.
    # The further hop is counted at the slowest wire's 4,800 us.
    assert cost.us == pytest.approx(20 + 4800 + 310 + 31 * BYTE_US + 4800)


def test_the_host():
    line = wired(Topology.LINE, 3)
    cost = exchange_cost(line, [(3, 0b110, 100)], line.routes)
    assert set(cost.payload_per_link) == {(3, 0), (0, 1), (1, 2)}


@given(st.sampled_from(list(Topology)), st.integers(2, 8), st.data())
def test_more_is_never_cheaper(topology: Topology, world_size: int, data):
    medium = Medium.SHARED if topology is Topology.BUS else Medium.POINT_TO_POINT
    cluster = wired(topology, world_size, medium=medium)
    ranks = st.integers(0, world_size - 1)
    transfers = []
    for _ in range(data.draw(st.integers(1, 5))):
        source, to = data.draw(st.tuples(ranks, ranks).filter(lambda pair: pair[0] != pair[1]))
        transfers.append(sends(source, **{f"r{to}": data.draw(st.integers(1, 5000))}))
    costs = [step_cost(cluster, transfers[: count + 1]) for count in range(len(transfers))]
    assert all(a.us <= b.us for a, b in pairwise(costs))
    payload = sum(t.payload_bytes * len(cluster.routes.path(t.source, t.to[0])) for t in transfers)
    assert sum(costs[-1].payload_per_link.values()) == payload
