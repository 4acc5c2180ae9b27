# SPDX-License-Identifier: Apache-2.0
"""Whole plans: the best of all, within hard limits, exact, and reasons where there is none."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest

from models.tiny import NETWORKS
from tests.planner.small import every_way, limited, mixed, residual, uart, verdict
from tests.splits import needs_tflm, tiny
from tflsplit.errors import ClusterError
from tflsplit.passes.prepare import prepare
from tflsplit.plan.cost import local_node_us
from tflsplit.plan.policy import choose_plan
from tflsplit.plan.wishes import Wishes
from tflsplit.planner import OBJECTIVES, Planned, Planner, Searcher, finish
from tflsplit.planner.explain import explain
from tflsplit.planner.pareto import pareto_front
from tflsplit.planner.searching.assembly import assemble
from tflsplit.planner.searching.choices import MANY_DEVICES, Choices
from tflsplit.planner.searching.slack import Slack
from tflsplit.split.lower import lower


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
def test_of_few_ways_the_best_whole_plan_is_found(objective, world_size):
    graph, cluster = residual(), uart(world_size)
    choices = Searcher(graph, cluster).choices
    plans = [assemble(choices, cluster, list(w)) for w in every_way(choices)]
    best = Planner(graph, cluster).best(objective)
    assert best.value(objective) <= min(p.value(objective) for p in plans if p.fits(cluster))


@needs_tflm
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("name", ["mobilenet", "unet", "resnet"])
def test_every_plan_is_exact(objective, name):
    graph = tiny(name)
    assert verdict(graph, Planner(graph, uart(3)).best(objective)).passed


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_limits_are_hard(objective):
    """Three quarters of the RAM and half of the weights that the fastest plan takes."""
    graph = tiny("mobilenet")
    free = Planner(graph, uart(4)).best("latency")
    cluster = limited(uart(4), free.arena_bytes * 3 // 4, max(free.weights_bytes) // 2)
    planned = Planner(graph, cluster).best(objective)
    assert planned.fits(planned.cluster)
    assert planned.arena_bytes <= free.arena_bytes * 3 // 4
    assert max(planned.weights_bytes) <= max(free.weights_bytes) // 2


@needs_tflm
def test_units_get_a_place_where_flash_is_left():
    """So little flash that a unit runs whole on one device, and others on others."""
    graph = tiny("mobilenet")
    total = sum(value.size_bytes for value in graph.constants())
    cluster = limited(uart(4), weights=total * 9 // 20)  # packed, they are larger than total
    planned = Planner(graph, cluster).best("bytes")
    whole = [step.cost.weights_bytes for step in planned.steps if step.option.split == "whole"]
    assert len({each.index(max(each)) for each in whole if max(each) > 1000}) > 1
    assert planned.fits(planned.cluster)
    assert verdict(graph, planned).passed


@pytest.mark.parametrize("name", ["mobilenet", "ds_cnn", "resnet"])
def test_never_slower_than_the_policy_or_than_one_device(name):
    graph = tiny(name)
    for world_size in (2, 3, 5, 8):
        cluster = uart(world_size)
        searched = Planner(graph, cluster).best("latency").latency_us
        shares = Searcher(graph, cluster).choices.vectors["speed"]
        policy = choose_plan(graph, Wishes(world_size, shares=shares, fuse=True))
        alone = Planner(graph, uart(1)).best("latency").latency_us
        assert searched <= finish(graph, policy, cluster).latency_us
        assert searched <= alone


@needs_tflm
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_teensy_two_picos_and_a_nano(objective):
    """All of them fit, bit for bit; with little RAM each, all of them work."""
    graph = tiny("mobilenet")
    cluster = mixed(arena=12 * 1024)
    planned = Planner(graph, cluster).best(objective)
    assert planned.fits(planned.cluster)
    assert verdict(graph, planned).passed


def test_shares_follow_the_ram_where_ram_is_scarce():
    """A Pico's core takes four times as long, but has half of the RAM: speed is not all."""
    graph = residual(size=64, wide=48)
    fast = Planner(graph, mixed()).best("latency")
    tight = mixed(arena=fast.arena_bytes * 2 // 3)
    planned = Planner(graph, tight).best("latency")
    assert planned.fits(planned.cluster)
    assert sum(device.macs > 0 for device in planned.devices) > 1


def test_a_device_without_room_gets_nothing_of_large_layers():
    graph = residual(size=32)
    cluster = uart(3)
    small = limited(cluster, arena=3000).devices[2]
    cluster = type(cluster)(
        devices=(*cluster.devices[:2], small),
        topology=cluster.topology,
        link=cluster.link,
        host_link=cluster.host_link,
    )
    planned = Searcher(graph, cluster).find("ram")
    assert planned is not None
    assert planned.fits(cluster)
    assert planned.arenas[2].required_bytes <= 3000 < planned.arenas[0].required_bytes


def test_what_is_missing_is_said_ram():
    graph = residual(size=48)
    with pytest.raises(ClusterError) as caught:
        Planner(graph, limited(uart(2), arena=20_000)).best("latency")
    text = str(caught.value)
    pattern = r"needs (?:an arena of )?([\d,]+) bytes .* has ([\d,]+).*: ([\d,]+) bytes are missing"
    found = re.search(pattern, text)
    assert found is not None, text
    need, room, missing = (int(number.replace(",", "")) for number in found.groups())
    assert need - room == missing > 0
    assert any(node.name.split(";")[0] in text for node in graph.nodes)
    devices = re.search(r"(\d+) such devices would do", text)
    assert devices is not None, text
    enough = int(devices[1])
    assert enough > 2
    assert Planner(graph, limited(uart(enough), arena=20_000)).best("latency")


def test_what_is_missing_is_said_flash():
    graph = residual()
    total = sum(unit.weights_bytes for unit in Searcher(graph, uart(2)).choices.units)
    with pytest.raises(ClusterError, match=f"{total - 2 * 900:,} bytes of flash are missing"):
        Planner(graph, limited(uart(2), weights=900)).best("bytes")


def test_what_is_missing_is_said_where_no_layer_alone_is_to_blame():
    """The activations fit, but not with TFLM's structures: 64 bytes less than the best plan."""
    graph = residual()
    best = Planner(graph, uart(2)).best("ram")
    with pytest.raises(ClusterError) as caught:
        Planner(graph, limited(uart(2), arena=best.arena_bytes - 64)).best("ram")
    text = str(caught.value)
    assert "in the plan of least RAM rank" in text
    assert f"needs an arena of {best.arena_bytes:,} bytes" in text
    assert f"has {best.arena_bytes - 64:,}: 64 bytes are missing" in text
    assert any(f"at {node.name.split(';')[0]!r}" in text for node in graph.nodes)


def test_what_is_missing_is_said_where_weights_are_repeated():
    """All devices together have room for the weights, but no device for its share of the plan."""
    graph = residual()
    total = sum(unit.weights_bytes for unit in Searcher(graph, uart(2)).choices.units)
    with pytest.raises(ClusterError, match=r"needs [\d,]+ bytes of flash .*: [\d,]+ bytes are mis"):
        Planner(graph, limited(uart(2), weights=total // 2 + 1)).best("ram")


def test_the_front_trades_ram_bytes_and_time():
    """Against the definition: the best in each is on it, and no plan of it beats another."""
    planner = Planner(tiny("mobilenet"), uart(4))
    front = pareto_front(planner)
    assert [planned.arena_bytes for planned in front] == sorted(p.arena_bytes for p in front)
    for objective in OBJECTIVES:
        best = planner.best(objective).value(objective)
        assert min(planned.value(objective) for planned in front) == best
    for plan, other in itertools.permutations(front, 2):
        assert any(plan.value(each) > other.value(each) for each in OBJECTIVES)
    assert len(front) > 1


def test_every_decision_is_explained():
    graph = tiny("mobilenet")
    planner = Planner(graph, uart(4))
    planned = planner.best("ram")
    entries = explain(planned, planner.searcher_of(planned, "ram"))
    assert sum(entry["nodes"] for entry in entries) == len(graph.nodes)
    for entry in entries:
        assert entry["why"]
        assert entry["option"] not in {other["option"] for other in entry["alternatives"]}


def test_the_next_best_is_tried_where_nothing_can_be_left_free(monkeypatch: pytest.MonkeyPatch):
    """The first plan lacks so much that a search which leaves that free finds no way at all."""
    searcher = Searcher(tiny("mobilenet"), limited(uart(3), weights=8000))
    tried: list[Planned] = []

    def fits(planned: Planned, _: object) -> bool:
        tried.append(planned)
        return planned.plan != tried[0].plan

    monkeypatch.setattr(Planned, "fits", fits)
    monkeypatch.setattr(Slack, "after", lambda slack, *_: replace(slack, flash_bytes=1 << 30))
    found = list(searcher._fitting("ram", [1e9] * 3, searcher._everything))
    assert found
    assert found[0].plan != tried[0].plan


def test_many_devices_save_ram_only_if_need_be():
    """For latency; each option takes time in proportion to the devices."""
    graph = tiny("mobilenet")
    total = sum(unit.weights_bytes for unit in Searcher(graph, uart(2)).choices.units)
    roomy = Searcher(graph, limited(uart(MANY_DEVICES + 1), weights=total))
    assert roomy.choices.pooling
    found = roomy.find("latency")
    assert found is not None
    assert found.fits(roomy.cluster)
    tight = Searcher(graph, limited(uart(MANY_DEVICES + 1), 2048, weights=total))
    assert tight.find("latency") is None
    few, all_of_them = (
        sum(step.option.small for step in searcher.choices.all_steps())
        for searcher in (roomy, tight)
    )
    assert few < all_of_them / 2  # the first units' show how many ways there are


OTHER_KERNELS = ("resnet", "autoencoder", "temporal", "transformer", "squeeze_excite")
"""Much of their time is TFLM's own ADD, FULLY_CONNECTED and, by rows exact as sums, MEAN; the bound
has what ours would take, and no such MEAN."""


@pytest.mark.parametrize("name", NETWORKS)
def test_no_lowered_plan_computes_less_than_the_bound(name: str):
    """And of a network of fused blocks not by far: what is left out of the bound must be there."""
    graph = prepare(tiny(name))
    for world_size in (1, 2, 3):
        cluster = uart(world_size)
        least = Choices(graph, cluster).least_work_us()[0]  # all devices are alike
        for way in ("rows", "channels", "out_channels"):
            plan = choose_plan(graph, Wishes(world_size, split=way, fuse=True))
            took = sum(
                local_node_us(cluster.devices[0], node)
                for device in lower(graph, plan)
                for node in device.graph.nodes
            )
            assert least <= took
            if world_size == 1 and name not in OTHER_KERNELS:
                assert least > 0.8 * took
