# SPDX-License-Identifier: Apache-2.0
"""Networks and clusters that can be enumerated, and plans judged on TFLM."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from models.builder import NONE
from models.layers import LayerBuilder
from tests.splits import compared
from tflsplit.cluster import Cluster, LinkSpec, default_cluster, parse_cluster
from tflsplit.ir import Graph
from tflsplit.planner import Planned
from tflsplit.planner.cost.evaluate import Step
from tflsplit.planner.searching.choices import Choices
from tflsplit.rewriting.rewrite import Split
from tflsplit.verify import Verdict

MIXED = """\
topology = "line"

[[device]]
board = "teensy41"

[[device]]
board = "pico"
count = 2

[[device]]
board = "nano33ble"
"""
"""One Teensy 4.1, two Picos, one Nano 33 BLE."""


@cache
def residual(size: int = 14, wide: int = 24, last: int = 12) -> Graph:
    """conv -- (1x1 -- depthwise -- 1x1 -- ADD) -- conv: three units."""
    net = LayerBuilder("residual", 3, images=2)
    x = net.conv(net.input((size, size, 3)), 8)
    inner = net.conv(net.depthwise(net.conv(x, wide, (1, 1))), 8, (1, 1), activation=NONE)
    return net.finish(net.conv(net.add(inner, x), last))


def limited(cluster: Cluster, arena: int | None = None, weights: int | None = None) -> Cluster:
    """The same cluster with less room on every device."""
    devices = tuple(
        replace(device, arena_limit_bytes=arena, weights_limit_bytes=weights)
        for device in cluster.devices
    )
    return replace(cluster, devices=devices)


def mixed(arena: int | None = None) -> Cluster:
    return limited(parse_cluster(MIXED), arena)


def uart(world_size: int) -> Cluster:
    return default_cluster(world_size)


FAST = LinkSpec(bit_rate=1_000_000_000, bits_per_byte=8.0)
"""So fast that receiving a halo always beats computing it."""


def slow(world_size: int, link: LinkSpec) -> Cluster:
    """Devices so slow that it pays to divide a tiny network.

    At 4 MHz a convolution of kernels of today takes about as long as TFLM's did at 10 MHz, which is
    what this was before cycles were counted part by part: the wires are to be as they were.  They
    are no boards: the interrupts of a Teensy would take most of a processor at that clock.
    """
    cluster = uart(world_size)
    devices = tuple(replace(device, board="", clock_hz=4_000_000) for device in cluster.devices)
    return replace(cluster, devices=devices, link=link, host_link=FAST)


def every_way(choices: Choices, way: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """All combinations of options, by plain recursion."""
    index = len(way)
    if index == len(choices.units):
        yield way
        return
    given = choices.given(index, way[-1].layouts if way else ())
    for step in choices.expand(index, given, choices.everything):
        yield from every_way(choices, (*way, step))


def verdict(graph: Graph, planned: Planned) -> Verdict:
    """The plan against the unsplit model, bit for bit, on TFLM."""
    return compared(Split(graph, planned.plan, planned.devices))
