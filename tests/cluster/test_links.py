# SPDX-License-Identifier: Apache-2.0
"""Frames on a wire, against the encoder itself; ways and shared media; what is left of a memory."""

from dataclasses import replace

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
    message_frames,
)
from tflsplit.cluster.framing import HOP_FRAME_BYTES, frame_bytes, largest_frame_bytes
from tflsplit.cluster.links import LINK_DEFAULTS, USB_SPEEDS
from tflsplit.errors import ClusterError, InternalError
from tflsplit.wire.frames import Frame, FrameType, encode


@given(st.binary(max_size=484))
def test_a_frame_never_takes_more_than_is_counted_and_hardly_less(payload: bytes):
    encoded = len(encode(Frame(FrameType.DATA, payload=payload)))
    assert frame_bytes(len(payload)) - 2 <= encoded <= frame_bytes(len(payload))


def test_the_frames_that_have_no_payload():
    for kind in (FrameType.GRANT, FrameType.ACK, FrameType.POLL, FrameType.STATUS, FrameType.NAK):
        assert len(encode(Frame(kind, source=3, channel=7, offset=999))) == HOP_FRAME_BYTES == 31


def test_a_message_of_several_frames():
    # MTU 512 carries 484 bytes; 512 + 512 // 254 + 3 = 517 on the wire.  1,000 = 2 * 484 + 32, and
    # the rest is 28 + 32 = 60, 60 + 0 + 3 = 63.
    assert message_frames(1000, 512) == (3, 2 * 517 + 63)
    assert message_frames(968, 512) == (2, 2 * 517)
    assert message_frames(0, 512) == (0, 0)
    assert largest_frame_bytes(1000, 512) == 517
    assert largest_frame_bytes(32, 512) == 63


def test_time_of_a_frame():
    # 6 Mbaud, 10 bits a byte: 10 / 6 us a byte.
    uart = LINK_DEFAULTS[LinkKind.UART]
    assert uart.frame_us(600) == pytest.approx(1000.0)
    # 30 MHz, 128 bytes carry 125: 600 * 8.192 / 30 = 163.84 us, and 18.6 us between blocks.
    assert LINK_DEFAULTS[LinkKind.SPI].frame_us(600) == pytest.approx(182.44)
    # 100 Mbit/s: (600 + 53) * 0.08 = 52.24 us, and 5 us.
    assert LINK_DEFAULTS[LinkKind.ETHERNET].frame_us(600) == pytest.approx(57.24)
    # 1,216,000 bytes/s (USB 2.0, table 5-9).
    assert LINK_DEFAULTS[LinkKind.USB].byte_us == pytest.approx(1e6 / 1_216_000, rel=1e-3)
    # 13 transactions of 512 bytes, 8,000 times a second (USB 2.0, table 5-10).
    assert USB_SPEEDS["high"].byte_us == pytest.approx(1e6 / (13 * 512 * 8000), rel=1e-3)


def cluster(topology: Topology, world_size: int, **changes: object) -> Cluster:
    arguments = {"link": LinkSpec(), "host_link": LINK_DEFAULTS[LinkKind.USB], **changes}
    return Cluster((known_board("teensy41"),) * world_size, topology, **arguments)  # type: ignore


def test_a_multicast_crosses_each_wire_once():
    tree = cluster(Topology.RING, 4).routes.tree(0, 0b1110)
    # Opposite ranks: an even one sends counter-clockwise.
    assert sorted(tree.edges) == [(0, 1), (0, 3), (3, 2)]
    assert tree.depth == 2
    line = cluster(Topology.LINE, 4).routes.tree(1, 0b1101)
    assert sorted(line.edges) == [(1, 0), (1, 2), (2, 3)]
    star = cluster(Topology.STAR, 4).routes.tree(2, 0b1011)
    assert sorted(star.edges) == [(0, 1), (0, 3), (2, 0)]
    assert cluster(Topology.BUS, 4).routes.path(3, 1) == ((3, 1),)


def test_the_host_is_behind_its_gateway():
    routes = cluster(Topology.LINE, 3, input_rank=1, output_rank=2).routes
    assert routes.path(3, 0) == ((3, 1), (1, 0))
    assert routes.path(2, 3) == ((2, 1), (1, 3))
    assert routes.tree(3, 0b111).edges == ((3, 1), (1, 0), (1, 2))
    assert routes.tree(3, 0b111).depth == 2
    assert cluster(Topology.LINE, 3, output_rank=2).output_routes.path(2, 3) == ((2, 3),)


@given(st.sampled_from(list(Topology)), st.integers(1, 9), st.data())
def test_ways_reach_every_destination_once(topology: Topology, world_size: int, data):
    routes = cluster(topology, world_size).routes
    source = data.draw(st.integers(0, world_size))
    wanted = data.draw(st.sets(st.integers(0, world_size))) - {source}
    tree = routes.tree(source, sum(1 << rank for rank in wanted))
    reached = [receiver for _, receiver in tree.edges]
    assert len(reached) == len(set(reached))
    assert wanted <= set(reached)
    seen = {source}
    for sender, receiver in tree.edges:
        assert sender in seen
        seen.add(receiver)


def test_a_way_that_does_not_exist():
    with pytest.raises(InternalError):
        cluster(Topology.LINE, 2).routes.path(0, 5)


def test_what_frames_queue_for():
    wire = cluster(Topology.RING, 4)
    assert wire.resources_of((0, 1)) != wire.resources_of((1, 0))
    half = cluster(Topology.RING, 4, link=LinkSpec(duplex=Duplex.HALF))
    assert half.resources_of((0, 1)) == half.resources_of((1, 0))
    bus = cluster(Topology.BUS, 4, medium=Medium.SHARED)
    assert bus.resources_of((0, 1)) == bus.resources_of((3, 2))
    spi = cluster(Topology.STAR, 4, medium=Medium.SHARED)
    assert spi.resources_of((0, 1)) == spi.resources_of((0, 3)) != spi.resources_of((3, 0))
    switch = cluster(Topology.BUS, 4, medium=Medium.SWITCHED)
    assert set(switch.resources_of((0, 1))) & set(switch.resources_of((0, 2)))
    assert not set(switch.resources_of((0, 1))) & set(switch.resources_of((1, 0)))
    # The host's link is nobody else's.
    assert bus.resources_of((4, 0)) != bus.resources_of((0, 1))


def test_a_single_wire_may_differ():
    slow = LinkSpec(bit_rate=1_000_000)
    one = cluster(Topology.RING, 3, wires=(((0, 2), slow),))
    assert one.link_of((2, 0)) is one.link_of((0, 2)) is slow
    assert one.link_of((0, 1)) == LinkSpec()
    with pytest.raises(ClusterError, match="no wire between 0 and 2"):
        cluster(Topology.LINE, 3, wires=(((0, 2), slow),))


def test_memory_of_the_links():
    # The host's device in a ring: three links.  (3 * (4 + 1) + 4) * 512 = 9,728 bytes of frames and
    # 2,800 of state (docs/wire_format.md), and two ports of 4 * 517 + 256 and 256 bytes.
    ring = default_cluster(4)
    assert ring.ring_bytes(0) == (2324, 256)
    assert ring.link_buffer_bytes(0) == 9728 + 2800 + 2 * 2580
    # The others have two links: (2 * 5 + 4) * 512 = 7,168; state is never counted below three.
    assert ring.link_buffer_bytes(1) == 7168 + 2800 + 2 * 2580
    assert default_cluster(1).link_buffer_bytes(0) == (1 * 5 + 4) * 512 + 2800


def test_rings_by_their_rule():
    # Credit for 4 frames of 256 bytes, 260 each on the wire, and 256 bytes of the link's own.
    assert replace(default_cluster(2), mtu_bytes=256).ring_bytes(1) == (4 * 260 + 256, 256)
    assert replace(default_cluster(2), port_rx_bytes=4096).ring_bytes(0) == (4096, 256)
    # Twice what leaves between two polls: 366 bytes on SPI, all that goes on where nothing polls.
    assert default_cluster(2, "spi").ring_bytes(0)[1] == 736
    assert replace(default_cluster(2), background_poll_us=0.0).ring_bytes(0)[1] == 1024
    assert default_cluster(2).ring_bytes(2)[1] == 1024, "the host's"


def test_what_is_left_for_the_network():
    pico = Cluster(
        (known_board("pico"),) * 2, Topology.RING, LinkSpec(), LINK_DEFAULTS[LinkKind.USB]
    )
    # Rank 1 of two has one link: (1 * 5 + 4) * 512 + 2,800 + 2,324, and what leaves in two polls
    # of 480 us at 600,000 bytes/s, 576: 10,308.  270,336 - 32,768 stack - 16,384 runtime - 10,308.
    assert pico.arena_room_bytes(1) == 270336 - 32768 - 16384 - 10308
    assert pico.weights_room_bytes(1) == 2 * 1024 * 1024 - 196608
    # Teensy's arena must lie in one block, whatever else is free.
    assert default_cluster(2).arena_room_bytes(1) == 507904


def test_a_default_cluster():
    spi = default_cluster(8, "spi")
    assert spi.world_size == 8
    assert spi.topology is Topology.RING
    assert (spi.link.kind, spi.link.bit_rate) == (LinkKind.SPI, 30_000_000)
    assert default_cluster(8).link.bit_rate == 6_000_000
    assert {device.board for device in spi.devices} == {"teensy41"}
    assert hash(spi) == hash(default_cluster(8, LinkKind.SPI))
    assert default_cluster(64).world_size == 64
    with pytest.raises(ClusterError, match="unknown kind of link 'can'"):
        default_cluster(2, "can")
    with pytest.raises(ClusterError, match="1 to 64 devices"):
        default_cluster(65)
