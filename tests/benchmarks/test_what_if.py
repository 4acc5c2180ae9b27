# SPDX-License-Identifier: Apache-2.0
"""What a change would bring: each patch takes away what it says, and nothing else."""

import pytest

from benchmarks.patched import (
    Base,
    base_of,
    even_rows,
    free_polls,
    sent_in_halves,
    without_pauses,
)
from benchmarks.what_if import last_map_by, rate, rate_ahead, what_if
from benchmarks.wire_targets import WAYS
from tests.splits import tiny
from tflsplit.cluster import default_cluster
from tflsplit.sim.program import Compute, Post


@pytest.fixture(scope="module")
def base() -> Base:
    return base_of(tiny("mobilenet"), default_cluster(3, "spi"))


def test_unpatched_is_the_plan_s_own_time(base: Base):
    assert base.simulated_ms(base.programs) == base.planned.latency_us / 1000
    assert base.planned_ms(base.planned.plan) == pytest.approx(base.planned.latency_us / 1000)


def test_what_costs_nothing_makes_an_inference_shorter(base: Base):
    planned_ms = base.planned.latency_us / 1000
    for change in (without_pauses, free_polls):
        assert 0.5 * planned_ms < change(base) < planned_ms


def test_work_is_shared_out_and_messages_are_divided_without_a_rest(
    base: Base, monkeypatch: pytest.MonkeyPatch
):
    seen = []
    monkeypatch.setattr(Base, "simulated_ms", lambda _, programs: seen.append(programs))
    for change in (even_rows, sent_in_halves):
        change(base)
    works = [sum(s.us for p in each for s in p.steps if isinstance(s, Compute)) for each in seen]
    sent = [
        sum(m[1] for p in each for s in p.steps if isinstance(s, Post) for m in s.messages)
        for each in (base.programs, *seen)
    ]
    whole = sum(s.us for p in base.programs for s in p.steps if isinstance(s, Compute))
    assert 0.5 * whole < works[0] <= whole  # a device without a part of a map takes one of it
    assert works[1] == pytest.approx(whole)
    assert sent[0] == sent[1] == sent[2]


def test_an_input_taken_ahead_comes_while_another_is_computed_on(base: Base):
    assert base.cluster.world_size > 1
    assert rate(base) < 1.02 * rate(base, in_flight=2) < 1.05 * rate(base)
    assert rate_ahead(base) > 1.03 * rate(base)


def test_a_table_has_every_change_and_way():
    text = what_if(tiny("autoencoder"), 2, WAYS[:2])
    assert text.count("\n| ") >= 13
    assert "nan" not in text
    assert last_map_by("channels").__name__ == "patched"
