# SPDX-License-Identifier: Apache-2.0
"""Frames for most devices of a switch: once out of the sender's port, through everybody's."""

from __future__ import annotations

import simpy

from tflsplit.cluster import Cluster, LinkKind, LinkSpec, Medium, Topology, known_board
from tflsplit.sim.channel import Channel, Media
from tflsplit.sim.frames import Frame, Hop, Kind, Slot

QUICK = LinkSpec(LinkKind.ETHERNET, 8_000_000, 8.0)
"""1 us a byte."""
US = 131
"""A frame of 100 bytes."""


class Bench:
    """Five devices; what arrives, and when."""

    def __init__(self, medium: Medium = Medium.SWITCHED) -> None:
        boards = (known_board("teensy41"),) * 5
        cluster = Cluster(boards, Topology.BUS, QUICK, QUICK, medium=medium)
        self.env = simpy.Environment()
        self.arrived: list[tuple[int, int, float]] = []
        media = Media(self.env, cluster, 0.0, 0)
        self.channels = {
            (a, b): Channel(media, (a, b), self._note(a, b))
            for a in range(5)
            for b in range(5)
            if a != b
        }

    def _note(self, a: int, b: int):
        return lambda hop: self.arrived.append((a, b, self.env.now))

    def send(self, source: int, *to: int, again: bool = False) -> None:
        """One frame by the links to these."""
        frame = Frame(Kind.DATA, source, sum(1 << rank for rank in to), (1, 1), 100)
        slot = Slot(frame, None)
        for rank in to:
            hop = Hop(Kind.DATA, 0, 0, 4, slot, again, 1 << rank)
            self.channels[source, rank].send(hop)

    def run(self) -> list[tuple[int, int, float]]:
        self.env.run()
        return self.arrived


def test_most_get_it_at_once():
    bench = Bench()
    bench.send(0, 1, 2, 3)
    assert bench.run() == [(0, 1, US), (0, 2, US), (0, 3, US)]


def test_few_get_it_one_after_the_other():
    bench = Bench()
    bench.send(0, 1, 2)
    assert bench.run() == [(0, 1, US), (0, 2, 2 * US)]


def test_it_passes_the_ports_of_those_that_it_is_not_for():
    bench = Bench()
    bench.send(0, 1, 2, 3)
    bench.send(1, 4)
    assert bench.run() == [(0, 1, US), (0, 2, US), (0, 3, US), (1, 4, 2 * US)]


def test_a_repetition_and_a_later_poll_leave_by_themselves():
    bench = Bench()
    bench.send(0, 1, 2, 3, again=True)
    assert [when for *_, when in bench.run()] == [US, 2 * US, 3 * US]
    late = Bench()
    late.send(0, 1, 2, 3)
    late.env.run(until=10)
    late.send(0, 1, 2, 3)
    assert [when for *_, when in late.run()] == [US] * 3 + [2 * US] * 3


def test_not_past_another_frame_to_the_same_rank():
    bench = Bench()
    frame = Frame(Kind.DATA, 0, 0b1110, (1, 1), 100)
    slot, other = Slot(frame, None), Slot(Frame(Kind.DATA, 0, 0b0100, (1, 2), 100), None)
    bench.channels[0, 1].send(Hop(Kind.DATA, 0, 0, 4, slot, False, 0b10))
    bench.channels[0, 2].send(Hop(Kind.DATA, 0, 0, 4, other, False, 0b100))
    bench.channels[0, 2].send(Hop(Kind.DATA, 1, 0, 4, slot, False, 0b100))
    bench.channels[0, 3].send(Hop(Kind.DATA, 0, 0, 4, slot, False, 0b1000))
    # That to 3 may leave with the later one, which is the last that has it.
    assert bench.run() == [(0, 1, US), (0, 2, 2 * US), (0, 2, 3 * US), (0, 3, 3 * US)]


def test_a_shared_medium_knows_no_groups():
    bench = Bench(Medium.SHARED)
    bench.send(0, 1, 2, 3)
    assert [when for *_, when in bench.run()] == [US, 2 * US, 3 * US]
