# SPDX-License-Identifier: Apache-2.0
"""Weights that a processor waits for: once if a cache holds them, else for every four positions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.kernel_shapes import all_cases
from tests.plan.networks import plan_of, two_convolutions, whole
from tflsplit.cluster import default_cluster, known_board, parse_cluster
from tflsplit.errors import ClusterError
from tflsplit.ops.own.packed import packed
from tflsplit.plan.cost import local_node_us, predict
from tflsplit.plan.cost.flash import reads_of

GRAPH = two_convolutions()
FIRST, SECOND = GRAPH.nodes
CASES = dict(all_cases())
FAST = known_board("teensy41")
SLOW = replace(FAST, flash_bytes_per_s=66e6, flash_cache_bytes=32 * 1024)


@pytest.mark.parametrize(
    ("name", "reads"),
    [
        ("1x1 7x7x160 to 480", ((160 * 480, 13),)),  # 49 positions by fours
        ("3x3/1 8x8, 64 to 64", ((9 * 64 * 64, 16),)),
        ("depthwise/1 7x7x480", ((9 * 480, 7),)),  # rows
        ("dense 640 to 128", ((640 * 128, 1),)),
        ("block (1, 7, 14, 64, 384, 64)", ((64 * 384, 25), (9 * 384, 7), (384 * 64, 25))),
        ("requantize 20x20x8", ()),
        ("mean 7x7x1280", ()),
    ],
)
def test_what_is_read_and_how_often(name, reads):
    assert reads_of(CASES[name]) == reads
    assert reads_of(packed(CASES[name])) == reads


def test_a_cache_reads_once_what_fits():
    node = CASES["1x1 7x7x160 to 480"]  # 76,800 bytes of weights
    fast_us = local_node_us(FAST, node)
    assert local_node_us(SLOW, node) == pytest.approx(fast_us + 13 * 76_800 / 66)
    large = replace(SLOW, flash_cache_bytes=76_800)
    assert local_node_us(large, node) == pytest.approx(fast_us + 76_800 / 66)


def test_a_plan_waits_as_its_devices_do():
    """Of one device: the predicted plan, and the device graph node by node."""
    cluster = replace(default_cluster(1), background_poll_us=0.0)
    plan = plan_of(1, whole(FIRST, 0), whole(SECOND, 0))
    slow = replace(cluster, devices=(replace(SLOW, flash_cache_bytes=0),))
    more_us = predict(GRAPH, plan, slow).graph_us - predict(GRAPH, plan, cluster).graph_us
    # Kernels of 3x3x3x6 and 3x3x6x4, 8 x 4 positions by fours.
    assert more_us == pytest.approx(8 * (6 * 27 + 4 * 54) / 66)


def test_a_cluster_file_says_the_rate():
    text = '[[device]]\nboard = "pico"\nflash_bytes_per_s = 16e6\nflash_cache_bytes = 16_384\n'
    device = parse_cluster(text).devices[0]
    assert (device.flash_bytes_per_s, device.flash_cache_bytes) == (16e6, 16384)
    assert known_board("pico").flash_bytes_per_s is None
    with pytest.raises(ClusterError, match="flash_bytes_per_s"):
        parse_cluster('[[device]]\nboard = "pico"\nflash_bytes_per_s = 0\n')
