# SPDX-License-Identifier: Apache-2.0
"""In which order a host's messages leave: lanes in turn, the messages of a lane one by one."""

from __future__ import annotations

import pytest

from tflsplit.wire.early_grants import MOST_EARLY_GRANTS
from tflsplit.wire.endpoint import Endpoint
from tflsplit.wire.frames import Frame, FrameType, max_payload_bytes
from tflsplit.wire.handshake import ErrorCode, Identity, PeerError
from tflsplit.wire.link import Link
from tflsplit.wire.topology import FIRST_LANE, Topology, nearest

DEVICES, MTU_BYTES = 4, 256
PIECE_BYTES = max_payload_bytes(MTU_BYTES)


class Wire:
    """A host, rank 4, and the link of its gateway, rank 0, which only listens and asks."""

    def __init__(self) -> None:
        self.now_us = 0
        self.frames: list[Frame] = []
        host, gateway = (
            Identity(rank, DEVICES, DEVICES + 1, MTU_BYTES, bytes(16)) for rank in (DEVICES, 0)
        )
        self.host = Endpoint(host, 0, 1)
        self.gateway = Link(gateway, DEVICES, 2, self.frames.append, lambda code, rank: None)
        self.run()
        self.host.begin_epoch(1)

    def run(self, turns: int = 50) -> None:
        for _ in range(turns):
            self.gateway.receive(self.host.poll(self.now_us), self.now_us)
            self.host.receive(self.gateway.poll(self.now_us), self.now_us)
            self.now_us += 1000

    def ask(self, rank: int, channel: int, size_bytes: int, epoch: int = 1) -> None:
        """The GRANT of a rank."""
        self.gateway.send(
            Frame(FrameType.GRANT, source=rank, channel=channel, destinations=1 << DEVICES,
                  offset=size_bytes, epoch=epoch)
        )  # fmt: skip

    def give(self, rank: int, channel: int, payload: bytes, epoch: int = 1) -> None:
        """DATA of a rank: a whole message."""
        self.gateway.send(
            Frame(FrameType.DATA, source=rank, channel=channel, destinations=1 << DEVICES,
                  epoch=epoch, payload=payload)
        )  # fmt: skip

    def order(self) -> list[int]:
        """The channels of the DATA frames, as they came."""
        return [frame.channel for frame in self.frames if frame.type is FrameType.DATA]


def test_lanes_take_turns_and_a_lanes_messages_do_not():
    wire = Wire()
    size = 3 * PIECE_BYTES
    for channel, rank, lane in ((10, 1, 1), (11, 3, 3), (12, 2, 1)):
        wire.host.post_send(channel, [rank], bytes(size), lane)
        wire.ask(rank, channel, size)
    wire.run()
    assert wire.order() == [10, 11, 10, 11, 10, 11, 12, 12, 12]
    assert wire.host.idle


def test_the_gateways_own_message_goes_first():
    """In turn with the others it would go at the pace of the wires behind the gateway."""
    wire = Wire()
    size = 3 * PIECE_BYTES
    for channel, rank, lane in ((10, 1, 1), (11, 3, 3), (12, 0, FIRST_LANE)):
        wire.host.post_send(channel, [rank], bytes(size), lane)
        wire.ask(rank, channel, size)
    wire.run()
    assert wire.order() == [12, 12, 12, 10, 11, 10, 11, 10, 11]


def test_who_has_not_asked_holds_up_nobody():
    wire = Wire()
    for channel, rank in ((10, 1), (11, 2)):
        wire.host.post_send(channel, [rank], bytes(PIECE_BYTES), lane=1)
    wire.ask(2, 11, PIECE_BYTES)
    wire.run()
    assert wire.order() == [11]
    assert not wire.host.idle


def test_what_has_begun_is_finished_first():
    wire = Wire()
    size = 400 * PIECE_BYTES
    wire.host.post_send(10, [1], bytes(PIECE_BYTES), lane=1)
    wire.host.post_send(11, [2], bytes(size), lane=1)
    wire.ask(2, 11, size)
    wire.run(turns=3)
    assert 0 < len(wire.order()) < 100  # so that the other can overtake, if it is let
    wire.ask(1, 10, PIECE_BYTES)
    wire.run(turns=200)
    assert wire.order() == [11] * 400 + [10]


def test_few_frames_wait_for_credit():
    """What waits blocks a FAULT, and the other lanes."""
    wire = Wire()
    size = 100 * PIECE_BYTES
    wire.host.post_send(10, [1], bytes(size), lane=1)
    wire.ask(1, 10, size)
    wire.run(turns=2)
    assert wire.host.link.unsent <= 2
    wire.run(turns=200)
    assert wire.order() == [10] * 100


def test_grants_that_nobody_waits_for_fill_no_memory():
    """Of channels and inferences that are never served; what is served later still is."""
    wire = Wire()
    for number in range(3 * MOST_EARLY_GRANTS):
        grant = Frame(FrameType.GRANT, source=1, channel=number % 0xF000, destinations=1 << DEVICES,
                      offset=8, epoch=2 + number % 7)  # fmt: skip
        wire.gateway.send(grant)
        wire.run(turns=1)
    wire.run(turns=400)
    assert len(wire.host._early) == MOST_EARLY_GRANTS
    wire.ask(1, 10, PIECE_BYTES)
    wire.ask(1, 10, PIECE_BYTES)  # said twice: kept once
    wire.run()
    wire.host.post_send(10, [1], bytes(PIECE_BYTES))
    wire.run()
    assert wire.order() == [10]
    assert wire.host.idle


@pytest.mark.parametrize(
    ("topology", "ranks", "way"),
    [
        (Topology.RING, [0], (0, FIRST_LANE)),
        (Topology.RING, [3], (3, 1)),
        (Topology.RING, [5], (3, 7)),
        (Topology.RING, [2, 7], (1, 7)),
        (Topology.LINE, [5], (5, 1)),
        (Topology.STAR, [5], (1, 5)),
        (Topology.BUS, [5], (1, 5)),
    ],
)
def test_ways_from_the_gateway(topology: Topology, ranks: list[int], way: tuple[int, int]):
    assert nearest(topology, 8, 0, ranks) == way


def two_inferences(wire: Wire) -> None:
    """1 and 2 are under way: rank 1 gets channel 10 of both, and gives channel 20 of both."""
    for epoch in (1, 2):
        if epoch == 2:
            wire.host.begin_epoch(2, ahead=True)
        wire.host.post_send(10, [1], bytes([epoch]) * 8)
        wire.host.begin_recv(20, 1, 4)


def test_messages_of_two_inferences_are_kept_apart():
    wire = Wire()
    two_inferences(wire)
    wire.ask(1, 10, 8, epoch=2)
    wire.run()
    assert wire.order() == []  # the first one's goes first
    wire.ask(1, 10, 8, epoch=1)
    wire.run()
    data = [frame for frame in wire.frames if frame.type is FrameType.DATA]
    assert [(frame.epoch, frame.payload) for frame in data] == [(1, b"\1" * 8), (2, b"\2" * 8)]
    grants = [frame.epoch for frame in wire.frames if frame.type is FrameType.GRANT]
    assert grants == [1, 2]
    wire.give(1, 20, b"next", epoch=2)
    wire.give(1, 20, b"this", epoch=1)
    wire.run()
    assert wire.host.take(20, 1, 1) == b"this"
    assert wire.host.take(20, 1) == b"next"


def test_an_inference_that_is_over_is_forgotten_when_a_third_begins():
    wire = Wire()
    two_inferences(wire)
    wire.host.begin_epoch(3, ahead=True)
    wire.ask(1, 10, 8, epoch=1)
    wire.ask(1, 10, 8, epoch=2)
    wire.give(1, 20, b"late", epoch=1)
    wire.run()
    assert [f.epoch for f in wire.frames if f.type is FrameType.DATA] == [2]
    assert wire.host.error is None
    assert wire.host.take(20, 1, 1) is None


def test_a_fault_of_the_first_is_told_to_those_in_the_second():
    wire = Wire()
    two_inferences(wire)
    wire.gateway.send(
        Frame(FrameType.FAULT, source=3, channel=0xFFFF, destinations=1 << DEVICES, epoch=1,
              payload=bytes([18, 2, 3, 0]))
    )  # fmt: skip
    wire.run()
    told = [frame for frame in wire.frames if frame.type is FrameType.FAULT]
    assert [(frame.epoch, frame.payload) for frame in told] == [(2, bytes([18, 2, 3, 0]))]
    assert wire.host.error is not None
    assert (wire.host.error.rank, wire.host.error.reporter) == (2, 3)
    with pytest.raises(PeerError):
        wire.host.begin_epoch(3, ahead=True)  # there is none that it could be behind
    wire.host.begin_epoch(3)
    assert wire.host.error is None


def test_data_of_an_inference_that_is_not_begun_is_refused():
    wire = Wire()
    two_inferences(wire)
    wire.give(1, 20, b"nope", epoch=3)
    wire.run()
    assert wire.host.error is not None
    assert wire.host.error.code == ErrorCode.UNEXPECTED_DATA
