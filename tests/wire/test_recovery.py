# SPDX-License-Identifier: Apache-2.0
"""How soon, and with how few repetitions, the host's link gets over what a wire loses."""

from __future__ import annotations

import pytest

from tests.wire.test_link import Pair, numbered, payloads
from tflsplit.wire.faults import Faults
from tflsplit.wire.frames import Frame, FrameDecoder, FrameType, encode, parse
from tflsplit.wire.passes import Passes
from tflsplit.wire.window import ReceiveWindow, Verdict

STEP_US = 200


@pytest.fixture
def pair() -> Pair:
    """Two links that know their round trip."""
    made = Pair()
    made.run(50_000)
    for frame in numbered(40):
        made.links[0].send(frame)
        made.run(4 * STEP_US, STEP_US)
    assert made.links[0].all_acknowledged
    made.got[1].clear()
    return made


def frames_of(data: bytes) -> list[Frame]:
    return [parse(raw) for raw in FrameDecoder(256).feed(data)]


def test_only_what_is_lost_goes_again(pair: Pair):
    polls = pair.links[0].counters.polls
    for frame in numbered(10):
        pair.links[0].send(frame)
    sent = frames_of(pair.links[0].poll(pair.now_us))
    assert len(sent) == 10
    for place, frame in enumerate(sent):
        if place not in (2, 5):
            pair.links[1].receive(encode(frame), pair.now_us)
    pair.links[0].receive(pair.links[1].poll(pair.now_us), pair.now_us)
    again = frames_of(pair.links[0].poll(pair.now_us))
    assert [frame.sequence for frame in again] == [sent[2].sequence, sent[5].sequence]
    # The repetition of the first is lost, too; that of the second tells.
    pair.links[1].receive(encode(again[1]), pair.now_us)
    pair.links[0].receive(pair.links[1].poll(pair.now_us), pair.now_us)
    once_more = frames_of(pair.links[0].poll(pair.now_us))
    assert [frame.sequence for frame in once_more] == [sent[2].sequence]
    pair.links[1].receive(encode(once_more[0]), pair.now_us)
    assert payloads(pair.got[1]) == payloads(numbered(10))
    assert pair.links[0].counters.polls == polls


def test_a_lost_last_frame_is_asked_for_after_a_round_trip(pair: Pair):
    pair.links[0].send(numbered(1)[0])
    pair.links[0].poll(pair.now_us)  # and nobody gets it
    pair.run(6_000, STEP_US)  # far less than poll_interval_us
    assert payloads(pair.got[1]) == payloads(numbered(1))
    assert pair.links[0].counters.frames_resent == 1


def test_damage_is_answered_at_once(pair: Pair):
    pair.links[0].send(numbered(1)[0])
    (sent,) = frames_of(pair.links[0].poll(pair.now_us))
    pair.links[1].receive(encode(sent).replace(b"\x12", b"\x13", 1), pair.now_us)
    (nak,) = frames_of(pair.links[1].poll(pair.now_us))
    assert (nak.type, nak.offset) == (FrameType.NAK, 0)
    pair.links[0].receive(encode(nak), pair.now_us)
    (poll,) = frames_of(pair.links[0].poll(pair.now_us))
    assert poll.type is FrameType.POLL
    pair.links[1].receive(encode(poll), pair.now_us)
    pair.links[0].receive(pair.links[1].poll(pair.now_us), pair.now_us)
    (again,) = frames_of(pair.links[0].poll(pair.now_us))
    assert (again.type, again.sequence) == (sent.type, sent.sequence)


def test_a_busy_peer_gets_few_polls(pair: Pair):
    pair.off.add(1)
    pair.links[0].send(numbered(1)[0])
    pair.run(60_000, STEP_US)
    assert 4 <= pair.links[0].counters.polls <= 8
    assert pair.links[0].counters.frames_resent == 0


@pytest.mark.parametrize("seed", range(4))
def test_a_wire_that_loses_every_third_frame(seed: int):
    pair = Pair(Faults(flip=1e-3, drop=1e-3, duplicate=2e-4), seed=50 + seed)
    for side in (0, 1):
        for frame in numbered(300, side):
            pair.links[side].send(frame)
    pair.run(2_000_000, STEP_US)
    for side in (0, 1):
        assert payloads(pair.got[1 - side]) == payloads(numbered(300, side))
        assert 20 < pair.links[side].counters.frames_resent < 300


def test_what_cannot_be_kept_is_not_believed(pair: Pair):
    before = pair.links[0].counters.bad_acks
    for held in (0b1, 0b10):  # the missing frame itself; a frame that was never sent
        frame = Frame(FrameType.NAK, source=1, ack=40, credit=15, offset=held)
        pair.links[0].receive(encode(frame), pair.now_us)
    assert pair.links[0].counters.bad_acks == before + 2


def test_frames_behind_a_gap_follow_it():
    window = ReceiveWindow()
    frames = [Frame(FrameType.DATA, sequence=number) for number in range(4)]
    verdicts = [window.judge(frames[number]) for number in (1, 3, 1)]
    assert verdicts == [Verdict.GAP, Verdict.GAP, Verdict.DUPLICATE]
    assert window.stamp(Frame(FrameType.NAK)).offset == 0b1010
    assert window.stamp(Frame(FrameType.DATA, offset=7)).offset == 7
    assert window.judge(frames[0]) is Verdict.ACCEPT
    assert window.take(frames[0]) == frames[:2]
    assert window.take(frames[2]) == frames[2:]
    # Beyond all credit nothing is kept.
    assert window.judge(Frame(FrameType.DATA, sequence=4 + 15)) is Verdict.GAP
    assert window.stamp(Frame(FrameType.NAK)).offset == 0


def test_a_pass_is_timed_by_its_own_arrival_only():
    passes = Passes()
    first, second = passes.write(0), passes.write(10)
    assert passes.round_trip.poll_us(20_000) == 20_000
    passes.has_arrived(second, 5_000)  # the first is lost: whenever that shows is no round trip
    assert passes.is_over(first)
    assert not passes.is_over(second)
    assert passes.round_trip.poll_us(20_000) == 20_000
    passes.has_arrived(passes.write(6_000), 8_000)
    assert passes.round_trip.poll_us(20_000) == 2_001 + 4 * 1_000
