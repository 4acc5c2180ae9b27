# SPDX-License-Identifier: Apache-2.0
"""Early RECVs: which become early, what waits instead, and that nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.tiny import NETWORKS
from tests.splits import compared, needs_tflm, tiny
from tflsplit.check.device_graphs import check_devices
from tflsplit.check.early import check_early
from tflsplit.firmware.slots import most_posted
from tflsplit.ir import Graph, Node
from tflsplit.ops.own.custom_options import RecvOptions, SendOptions
from tflsplit.passes.early_receives import early_receives
from tflsplit.passes.prepare import prepare
from tflsplit.plan.policy import choose_plan
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import Split
from tflsplit.split.devices import DeviceGraph
from tflsplit.split.lower import lower
from tflsplit.wire import custom_ops as wire


def split(
    name: str, world_size: int, way: str = "rows", overlap: bool = True
) -> tuple[Graph, tuple[DeviceGraph, ...]]:
    graph = prepare(tiny(name))
    plan = choose_plan(graph, Wishes(world_size, way, fuse=True, weights_limit=1.0))
    return graph, lower(graph, replace(plan, overlap=overlap))


@needs_tflm
def test_the_bits_stay_the_same():
    model = tiny("mobilenet")
    whole = prepare(model)
    plan = choose_plan(whole, Wishes(3, "rows", fuse=True, weights_limit=1.0))
    plan = replace(plan, overlap=True)
    devices = lower(whole, plan)
    assert any(early(device) for device in devices)
    assert compared(Split(whole, plan, devices, model)).passed


def early(device: DeviceGraph) -> list[tuple[Node, Node]]:
    """Early RECVs, each with the node behind it."""
    nodes = device.graph.nodes
    return [
        (node, nodes[place + 1])
        for place, node in enumerate(nodes)
        if node.op == wire.RECV and RecvOptions.of(node).early
    ]


def messages(device: DeviceGraph) -> list[object]:
    """What is sent and received, in order."""
    result: list[object] = []
    for node in device.graph.nodes:
        if node.op == wire.SEND:
            result.append(SendOptions.of(node))
        elif node.op == wire.RECV and node.outputs:
            result.append(RecvOptions.of(node).pieces)
    return result


@pytest.mark.parametrize("name", ["mobilenet", "ds_cnn"])
@pytest.mark.parametrize("world_size", [2, 3, 5])
def test_a_block_that_follows_at_once_waits_for_its_own_rows(name: str, world_size: int):
    whole, devices = split(name, world_size)
    _, before = split(name, world_size, overlap=False)
    assert any(early(device) for device in devices)
    assert not any(early(device) for device in before)
    assert check_devices(whole, devices) == []
    for device, other in zip(devices, before, strict=True):
        assert messages(device) == messages(other)
        for node, after in early(device):
            assert after.op == wire.FUSED_BLOCK
            assert after.input(0) is node.output
            local, *pending = node.operands
            assert local not in pending  # of earlier exchanges only


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_network_stays_sound_and_keeps_what_is_sent_alive(name: str):
    whole, devices = split(name, 3, "auto")
    assert check_devices(whole, devices) == []
    for device in devices:
        assert most_posted(device.graph) >= 0


def test_what_is_sent_is_waited_for_by_the_next_recv_or_behind_the_block():
    _, devices = split("mobilenet", 3)
    waited = set()
    for device in devices:
        nodes = device.graph.nodes
        for node, after in early(device):
            place = nodes.index(after) + 1
            while nodes[place].op in (wire.SEND, wire.ASK):
                place += 1
            local = node.input(0)
            if any(n.op == wire.SEND and n.input(0) is local for n in nodes):
                assert nodes[place].op == wire.RECV
                assert local in nodes[place].operands
                waited.add(bool(nodes[place].outputs))
    assert waited  # by a RECV, by a pure wait, or both


def test_the_checker_finds_an_early_recv_that_nothing_waits_for():
    whole, devices = split("mobilenet", 2)
    device = next(each for each in devices if early(each))
    receive, after = early(device)[0]
    graph = device.graph
    others = [node for node in graph.nodes if node is not after]
    others.insert(others.index(receive) - 1, after)
    late = replace(device, graph=replace(graph, nodes=others))
    assert any("the next node does not wait" in text for text in check_early([late]))
    last = replace(device, graph=replace(graph, nodes=[receive]))
    assert any("the next node does not wait" in text for text in check_early([last]))
    assert check_early(devices) == []
    assert any(
        "is an early RECV" in text
        for text in check_devices(whole, [late if d is device else d for d in devices])
    )


def test_sums_and_graphs_without_blocks_have_none():
    _, devices = split("mobilenet", 2, "in_channels")
    for device in devices:
        for node, _ in early(device):
            assert not RecvOptions.of(node).add
    plain = lower(prepare(tiny("resnet")), choose_plan(prepare(tiny("resnet")), Wishes(2, "rows")))
    for device in plain:
        assert early_receives(device.graph) is device.graph
