# SPDX-License-Identifier: Apache-2.0
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflsplit.emulate import FaultModel
from tflsplit.emulate.faults import FaultStream
from tflsplit.errors import ClusterError

NOISY = FaultModel(
    flips_per_byte=0.02,
    drops_per_byte=0.01,
    duplicates_per_byte=0.01,
    stalls_per_byte=0.01,
    max_run_bytes=5,
    stall_us=7,
)
BLOCK = bytes(random.Random(5).randbytes(20_000))


def arrived(stream: FaultStream, sent: bytes) -> bytes:
    return b"".join(piece.data for piece in stream.feed(sent))


def test_without_faults_every_byte_passes():
    stream = FaultStream(FaultModel(), 1)
    assert arrived(stream, BLOCK) == BLOCK
    assert stream.counts.events == 0
    assert stream.counts.bytes == len(BLOCK)


@given(seed=st.integers(0, 100), cuts=st.lists(st.integers(0, 2000), max_size=20))
def test_faults_do_not_depend_on_how_the_stream_is_cut(seed: int, cuts: list[int]):
    block = BLOCK[:2000]
    whole, parts = FaultStream(NOISY, seed), FaultStream(NOISY, seed)
    bounds = [0, *sorted(cuts), len(block)]
    pieces = [arrived(parts, block[a:b]) for a, b in itertools.pairwise(bounds)]
    assert b"".join(pieces) == arrived(whole, block)
    assert parts.counts == whole.counts


def test_seeds_differ():
    assert arrived(FaultStream(NOISY, 1), BLOCK) != arrived(FaultStream(NOISY, 2), BLOCK)


def test_rates_are_met():
    stream = FaultStream(NOISY, 3)
    for _ in range(10):
        stream.feed(BLOCK)
    counts = stream.counts
    # 200,000 bytes: 4,000 flips and 2,000 of each other kind expected; five deviations around.
    assert abs(counts.flips - 4000) < 5 * 4000**0.5
    for kind in (counts.drops, counts.duplicates, counts.stalls):
        assert abs(kind - 2000) < 5 * 2000**0.5
    assert counts.drops < counts.dropped_bytes <= counts.drops * NOISY.max_run_bytes


def test_flips_change_one_bit_and_no_length():
    stream = FaultStream(FaultModel(flips_per_byte=0.05), 4)
    received = arrived(stream, BLOCK)
    assert len(received) == len(BLOCK)
    changed = [a ^ b for a, b in zip(received, BLOCK, strict=True) if a != b]
    assert len(changed) == stream.counts.flips > 0
    assert all(bits.bit_count() == 1 for bits in changed)


def test_drops_and_duplicates_account_for_the_length():
    model = FaultModel(drops_per_byte=0.01, duplicates_per_byte=0.01)
    stream = FaultStream(model, 5)
    received = arrived(stream, BLOCK)
    counts = stream.counts
    assert len(received) == len(BLOCK) - counts.dropped_bytes + counts.duplicated_bytes
    assert counts.dropped_bytes > 0
    assert counts.duplicated_bytes > 0


def test_duplicates_repeat_what_just_passed():
    stream = FaultStream(FaultModel(duplicates_per_byte=1.0, max_run_bytes=1), 6)
    assert arrived(stream, b"abc") == b"aabbcc"


def test_stalls_delay_what_follows():
    stream = FaultStream(FaultModel(stalls_per_byte=1.0, stall_us=9), 7)
    assert [(piece.wait_us, piece.data) for piece in stream.feed(b"ab")] == [(9, b"a"), (9, b"b")]


def test_the_first_bytes_are_spared():
    stream = FaultStream(FaultModel(drops_per_byte=1.0, first_bytes=3), 8)
    assert arrived(stream, b"abcdef") == b"abc"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"flips_per_byte": -0.1}, "flips_per_byte is -0.1"),
        ({"stalls_per_byte": 1.1}, "stalls_per_byte is 1.1"),
        ({"flips_per_byte": 0.6, "drops_per_byte": 0.6}, "more than one event per byte"),
        ({"max_run_bytes": 0}, "max_run_bytes"),
    ],
)
def test_impossible_rates_are_refused(wrong: dict[str, float], message: str):
    with pytest.raises(ClusterError, match=message):
        FaultModel(**wrong)  # type: ignore[arg-type]
