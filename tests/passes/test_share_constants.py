# SPDX-License-Identifier: Apache-2.0
"""Tiles of one layer share their constants; layers do not."""

from __future__ import annotations

from dataclasses import replace

from tests.plan.networks import out_channels, plan_of, two_convolutions
from tflsplit.passes.own_kernels import own_kernels
from tflsplit.passes.share_constants import share_constants
from tflsplit.split.devices import DeviceGraph, constant_bytes
from tflsplit.split.lower import lower
from tflsplit.split.partition import partition

GRAPH = two_convolutions((1, 1))
FIRST, SECOND = GRAPH.nodes


def device_of(tiles: int, fuse: bool = True) -> DeviceGraph:
    second = replace(out_channels(SECOND, 0, 2, 4), gather_tiles=tiles)
    plan = replace(plan_of(2, out_channels(FIRST, 0, 3, 6), second), fuse=fuse)
    return lower(GRAPH, plan)[1]


def test_tiles_need_no_more_flash_than_the_layer_at_once():
    assert constant_bytes(device_of(4).graph) == constant_bytes(device_of(1).graph)
    assert constant_bytes(device_of(4, fuse=False).graph) == constant_bytes(
        device_of(1, fuse=False).graph
    )
    convolutions = [n for n in device_of(4).graph.nodes if n.op == "TFLSPLIT_CONV_2D"]
    assert len(convolutions) == 5
    assert {node.inputs[1:] for node in convolutions[1:]} == {convolutions[1].inputs[1:]}


def test_without_the_pass_they_would_be_repeated():
    second = replace(out_channels(SECOND, 0, 2, 4), gather_tiles=4)
    device = partition(GRAPH, plan_of(2, out_channels(FIRST, 0, 3, 6), second))[1]
    graph = own_kernels(device.graph)
    # 2 channels, a multiplier and a shift of 4 bytes each, in 3 further tiles.
    saved = constant_bytes(graph) - constant_bytes(share_constants(graph, device.steps))
    assert saved == 3 * 2 * 8


def test_equal_constants_of_different_layers_stay_apart():
    device = device_of(4)
    layers = {node.name: node.name for node in device.graph.nodes}
    again = share_constants(device.graph, layers)
    assert [node.inputs for node in again.nodes] == [node.inputs for node in device.graph.nodes]
