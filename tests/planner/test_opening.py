# SPDX-License-Identifier: Apache-2.0
"""Openings: shares by arrival, what they change of a way, and that they are exact and quicker."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.planner.small import FAST, slow, verdict
from tests.splits import needs_tflm, tiny
from tflsplit.cluster import Cluster, LinkSpec, default_cluster
from tflsplit.plan.cost import arrivals_us
from tflsplit.planner import Planner
from tflsplit.planner.cost.evaluate import Step
from tflsplit.planner.searching.assembly import complete, draft
from tflsplit.planner.searching.choices import Choices
from tflsplit.planner.searching.finals import Finals
from tflsplit.planner.searching.opening import Opening, best_openings, least_opened_us, opened
from tflsplit.planner.searching.search import unlimited
from tflsplit.planner.ways.arrival import balanced_shares
from tflsplit.planner.ways.shares import SPEED, normalized

SLOW_WIRES = LinkSpec(bit_rate=1_000_000)


def way_of(choices: Choices) -> list[Step]:
    def expand(index, known):
        return choices.expand(index, known, choices.quick)

    steps = unlimited(choices.units, expand, lambda step: step.cost.time_us)
    assert steps
    return steps


WORK = st.floats(1e3, 1e7)


@given(
    st.lists(WORK, min_size=2, max_size=9), st.integers(1, 10**6), st.sampled_from(["uart", "spi"])
)
def test_balanced_shares_finish_no_later_than_shares_by_speed(work_us, input_bytes, kind):
    cluster = default_cluster(len(work_us), kind)
    shares = balanced_shares(cluster, input_bytes, work_us)
    assert sum(shares) == pytest.approx(1.0)
    by_speed = normalized([1 / us for us in work_us])
    balanced, plain = (max(_ends(cluster, s, input_bytes, work_us)) for s in (shares, by_speed))
    assert balanced <= plain


def _ends(cluster: Cluster, shares, input_bytes, work_us) -> list[float]:
    messages = [(cluster.host_rank, 1 << r, int(s * input_bytes)) for r, s in enumerate(shares)]
    arrivals = arrivals_us(cluster, messages)
    return [a + s * us for a, s, us in zip(arrivals, shares, work_us, strict=True)]


def test_only_the_first_units_change_and_the_one_behind_them_is_cut_anew():
    choices = Choices(tiny("mobilenet"), slow(4, SLOW_WIRES))
    steps = way_of(choices)
    begun = opened(choices, steps, Opening(units=2, balance=1))
    assert begun is not None
    assert [step.option.by != SPEED for step in begun[:3]] == [True, True, False]
    assert begun[2].option == replace(steps[2].option, recut=True)
    assert begun[2].layouts == steps[2].layouts
    assert begun[3:] == steps[3:]
    rows = [box.shape[1] for box in begun[1].layouts[0]]
    assert rows[0] == max(rows) > min(rows)


def test_what_is_computed_alone_is_not_exchanged():
    choices = Choices(tiny("mobilenet"), slow(4, SLOW_WIRES))
    begun = opened(choices, way_of(choices), Opening(units=2, balance=2))
    assert begun is not None

    def exchanges(alone: int) -> list[float]:
        nodes = {node.name for step in begun[: alone + 1] for node in step.unit.nodes}
        drafted = draft(choices, choices.cluster, begun, across=True, alone=alone)
        return [step.exchange_us for step in drafted.prediction.steps if step.node in nodes]

    assert not any(exchanges(alone=1))
    assert not any(exchanges(alone=2))


def test_neighbours_are_one_step_away_and_make_sense():
    opening = Opening(units=3, balance=2, alone=3)
    around = [other for other in opening.neighbours() if other.is_within(4)]
    assert opening not in around
    assert Opening(2, 2, alone=2) in around  # not more alone than there are
    assert Opening(3, 2, across=False) in around
    assert Opening(3, 2, alone=3, receive=True) in around
    assert all(other.alone <= other.units <= 4 and other.balance <= 4 for other in around)
    assert not Opening(1, 1, alone=1, across=False).is_within(4)


@needs_tflm
def test_openings_are_exact_and_quicker_than_equal_shares():
    """The input takes about as long as the first layers: far devices would begin late."""
    graph = tiny("mobilenet")
    cluster = slow(4, SLOW_WIRES)
    choices = Choices(graph, cluster)
    steps = way_of(choices)
    equal = complete(choices, cluster, draft(choices, cluster, steps))
    found = best_openings(choices, cluster, steps)
    quickest = complete(choices, cluster, next(iter(found.values())))
    assert quickest.latency_us < equal.latency_us
    assert Planner(graph, cluster).best("latency").latency_us <= quickest.latency_us
    received = next(drafted for opening, drafted in found.items() if not opening.across)
    begun = opened(choices, steps, Opening(units=2, balance=2))
    assert begun is not None
    alone = draft(choices, cluster, begun, alone=2)
    for drafted in (next(iter(found.values())), alone, received):
        assert verdict(graph, complete(choices, cluster, drafted)).passed


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("link", [SLOW_WIRES, FAST])
def test_no_opening_is_predicted_to_be_quicker_than_the_bound(count: int, link: LinkSpec):
    """And the bound says something: it is no less than half of what the best opening takes."""
    choices = Choices(tiny("mobilenet"), slow(count, link))
    steps = way_of(choices)
    drafts = [draft(choices, choices.cluster, steps, across) for across in (True, False)]
    bounds = [least_opened_us(choices, choices.cluster, drafted) for drafted in drafts]
    found = best_openings(choices, choices.cluster, steps)
    assert found
    for opening, drafted in found.items():
        at_least = min(bound[opening.units] for bound in bounds)
        assert at_least <= drafted.prediction.latency_us
    quickest = min(drafted.prediction.latency_us for drafted in found.values())
    assert 2 * min(min(bound.values()) for bound in bounds) > quickest
    kept = best_openings(choices, choices.cluster, steps, hopeless=range(2, 100))
    assert {opening.units for opening in kept} == {1}


def test_a_network_without_maps_has_no_openings_and_can_be_beaten_all_the_same():
    choices = Choices(tiny("autoencoder"), slow(2, SLOW_WIRES))
    drafted = draft(choices, choices.cluster, way_of(choices))
    assert least_opened_us(choices, choices.cluster, drafted) == {}
    for beat, is_beaten in ((1.0, True), (0.9 * drafted.prediction.latency_us, False)):
        finals = Finals(choices, choices.cluster, "latency", beat)
        assert finals.is_beaten([drafted]) is is_beaten


def test_drafts_come_by_their_prediction():
    choices = Choices(tiny("mobilenet"), slow(4, SLOW_WIRES))
    found = best_openings(choices, choices.cluster, way_of(choices))
    times = [drafted.prediction.latency_us for drafted in found.values()]
    assert times == sorted(times)
