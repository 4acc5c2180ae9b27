# SPDX-License-Identifier: Apache-2.0
"""One more device never makes a plan worse; which devices are left out of the wiring, and how."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.more_devices import Line, line, more_devices_table, worse_places
from tests.planner.small import mixed, slow, uart, verdict
from tests.splits import needs_tflm, tiny
from tflsplit.cluster import LinkSpec, default_cluster, parse_cluster
from tflsplit.cluster.fewer import fewer, order_of_leaving, without
from tflsplit.errors import ClusterError
from tflsplit.planner import OBJECTIVES, Planner, Searcher
from tflsplit.wire.topology import Topology

MODELS = ("mobilenet", "autoencoder")
"""Those of models/tiny.py that are planned quickly; ``benchmarks.more_devices`` has all."""
COUNTS = (1, 2, 3, 4)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("link", ["uart", "spi"])
@pytest.mark.parametrize("name", MODELS)
def test_one_more_device_never_makes_it_worse(name: str, link: str, objective: str):
    found = line(tiny(name), name, link, objective, COUNTS)
    assert not found.worse, more_devices_table([found], COUNTS)


def test_a_plan_that_gets_worse_is_noticed():
    assert worse_places([5, 4, 4.5, 4.5, 3]) == [2]
    worse = Line("a", "uart", "ram", (5, 4, 4.5), (1, 2, 3))
    assert "NO: 3" in more_devices_table([worse], [1, 2, 3])


@needs_tflm
def test_what_all_devices_could_do_is_no_better_and_what_is_left_is_exact():
    graph = tiny("mobilenet")
    for objective in OBJECTIVES:
        best = Planner(graph, uart(4)).best(objective)
        everyone = Searcher(graph, uart(4)).find(objective)
        assert everyone is not None
        assert best.value(objective) <= everyone.value(objective)
        assert best.cluster.world_size == best.plan.world_size == len(best.devices)
        assert verdict(graph, best).passed


def test_more_devices_than_are_tried_one_by_one():
    """17 to 23 devices are no worse than 16, because they are the same plan."""
    graph = tiny("autoencoder")
    sixteen, more = (Planner(graph, uart(n)).best("latency") for n in (16, 19))
    assert more.latency_us <= sixteen.latency_us


def test_the_least_arena_is_the_least_of_all_objectives():
    graph = tiny("transformer")
    for world_size in (2, 4):
        planner = Planner(graph, default_cluster(world_size, "spi"))
        arenas = {objective: planner.best(objective).arena_bytes for objective in OBJECTIVES}
        assert arenas["ram"] == min(arenas.values())


def test_fast_wires_use_all_devices():
    """So that leaving devices out is a choice, not a habit."""
    wires = LinkSpec(bit_rate=1_000_000_000, bits_per_byte=8.0)
    assert Planner(tiny("mobilenet"), slow(4, wires)).best("latency").plan.world_size == 4


def test_the_slowest_leaves_first_then_the_one_with_least_room_then_the_highest_rank():
    speeds = [device.clock_hz / device.cycles.pointwise for device in mixed().devices]
    leaving = [speeds[rank] for rank in order_of_leaving(mixed())]  # of a Teensy, two Picos, a Nano
    assert leaving == sorted(leaving)
    assert len(leaving) == 3
    assert order_of_leaving(uart(4)) == (3, 2, 1)
    small = replace(uart(4).devices[1], arena_limit_bytes=1000)
    cluster = replace(uart(4), devices=(uart(4).devices[0], small, *uart(4).devices[2:]))
    assert order_of_leaving(cluster) == (1, 3, 2)


def test_what_the_host_is_wired_to_stays_and_the_middle_of_a_star():
    line_of = replace(uart(5), topology=Topology.LINE, input_rank=2, output_rank=2)
    assert order_of_leaving(line_of) == (4, 0, 3, 1)  # the farthest from the host first
    star = replace(uart(4), topology=Topology.STAR, input_rank=3, output_rank=3)
    assert order_of_leaving(star) == (2, 1)
    with pytest.raises(ClusterError, match="of 4 devices 2 to 4 can be used, not 1"):
        fewer(star, 1)
    made, left_out = fewer(line_of, 3)
    assert left_out == (0, 4)
    assert (made.world_size, made.input_rank, made.output_rank) == (3, 1, 1)
    assert fewer(uart(3), 3) == (uart(3), ())


def test_a_wire_that_closes_a_gap_is_as_slow_as_the_slowest_that_it_stands_for():
    text = (
        '[link]\nbit_rate = 6_000_000\n[[device]]\nboard = "teensy41"\ncount = 4\n'
        "[[wire]]\nranks = [1, 2]\nbit_rate = 1_000_000\n"
        "[[wire]]\nranks = [0, 3]\nbit_rate = 2_000_000\n"
    )
    cluster = parse_cluster(text)
    inner = without(cluster, [2])  # 1 -- 2 -- 3 becomes 1 -- 2
    assert inner.link_of((1, 2)).bit_rate == 1_000_000
    assert inner.link_of((0, 2)).bit_rate == 2_000_000
    assert inner.link_of((0, 1)).bit_rate == 6_000_000
    last = without(cluster, [3])  # 2 -- 3 -- 0 becomes 2 -- 0
    assert last.link_of((0, 2)).bit_rate == 2_000_000
    assert last.link_of((1, 2)).bit_rate == 1_000_000
