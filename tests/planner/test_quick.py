# SPDX-License-Identifier: Apache-2.0
"""Options that only save time: they are exact, and each is quicker than going without it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.planner.small import uart, verdict
from tests.splits import needs_tflm, tiny
from tflsplit.cluster import Cluster, LinkSpec, default_cluster
from tflsplit.plan.cost import arrivals_us
from tflsplit.planner import Planner
from tflsplit.planner.arrival import balanced_shares
from tflsplit.planner.assembly import complete, draft
from tflsplit.planner.choices import Choices
from tflsplit.planner.options import OPTIONS, RECEIVING, Option, expansions
from tflsplit.planner.planned import Planned
from tflsplit.planner.quick import races_of
from tflsplit.planner.search import unlimited
from tflsplit.planner.shares import normalized
from tflsplit.wire import custom_ops as wire


def planned_with(choices: Choices, menu: object, across: bool = True) -> Planned:
    def expand(index, known):
        return choices.expand(index, known, menu(index))  # type: ignore[operator]

    steps = unlimited(choices.units, expand, lambda step: step.cost.time_us)
    assert steps
    return complete(choices, choices.cluster, draft(choices, choices.cluster, steps, across))


FAST = LinkSpec(bit_rate=1_000_000_000, bits_per_byte=8.0)
"""So fast that receiving a halo always beats computing it."""


def slow(world_size: int, link: LinkSpec) -> Cluster:
    """Devices so slow that it pays to divide a tiny network."""
    cluster = uart(world_size)
    devices = tuple(replace(device, clock_hz=10_000_000) for device in cluster.devices)
    return replace(cluster, devices=devices, link=link, host_link=FAST)


@needs_tflm
@pytest.mark.parametrize("across", [True, False])
def test_halos_of_expansions_are_received_where_wires_are_fast(across: bool):
    graph = tiny("mobilenet")
    choices = Choices(graph, slow(3, FAST))
    blocks = [bool(expansions(unit.graph)) for unit in choices.units]

    def among(rows: Option) -> Planned:
        return planned_with(choices, lambda u: [rows] if blocks[u] else OPTIONS, across)

    quick, usual = among(RECEIVING[0]), among(OPTIONS[0])
    received = [step for step in quick.steps if step.option.receive]
    assert received
    layers = {split.node: split for split in quick.plan.splits}
    for step in received:
        assert all(not layers[name].extents for name in expansions(step.unit.graph))
    assert sum(quick.prediction.compute_us) < sum(usual.prediction.compute_us)
    assert quick.latency_us < usual.latency_us
    # Those blocks are fused without their expansion.
    fused = [n for d in quick.devices for n in d.graph.nodes if n.op == wire.FUSED_BLOCK]
    assert fused
    assert all(node.inputs[1] is None for node in fused)
    assert verdict(graph, quick).passed


@needs_tflm
def test_every_race_makes_exact_plans():
    graph = tiny("mobilenet")
    choices = Choices(graph, slow(6, FAST))
    usual, balanced, fewer = races_of(choices)
    assert usual
    assert balanced
    assert fewer
    for menu in (balanced[-1], fewer[0]):
        planned = planned_with(choices, menu)
        assert verdict(graph, planned).passed
    idle = [rank for rank, us in enumerate(planned.prediction.compute_us) if not us]
    assert idle


@needs_tflm
def test_a_map_is_cut_anew():
    graph = tiny("mobilenet")
    choices = Choices(graph, uart(3))
    choices.vectors["lopsided"] = (0.6, 0.2, 0.2)
    first = [Option("rows", by="lopsided")]
    kept = planned_with(choices, lambda unit: first if unit == 0 else [Option("rows"), OPTIONS[-1]])
    anew = [Option("rows", recut=True)]
    cut = planned_with(choices, lambda unit: first if unit == 0 else anew if unit == 1 else OPTIONS)
    bounds = [[split.bounds for split in planned.plan.splits] for planned in (kept, cut)]
    assert bounds[0][0] == bounds[1][0]
    assert bounds[0] != bounds[1]
    assert verdict(graph, cut).passed


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


def test_balanced_shares_are_quicker_than_equal_ones():
    """The input takes about as long as the first layers: far devices would begin late."""
    graph = tiny("mobilenet")
    cluster = slow(4, LinkSpec(bit_rate=1_000_000))
    planner = Planner(graph, cluster)
    usual, balanced, _ = races_of(planner.choices)
    equal = planned_with(planner.choices, usual[0])
    best = min(planned_with(planner.choices, menu).latency_us for menu in balanced)
    assert best < equal.latency_us
    assert planner.best("latency").latency_us <= best
