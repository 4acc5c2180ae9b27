# SPDX-License-Identifier: Apache-2.0
"""ASKs: what is asked for, into which memory, and that the checker finds what is wrong with one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.tiny import NETWORKS
from tests.passes.test_early_receives import messages, split
from tests.splits import compared, needs_tflm, tiny
from tflsplit.check.device_graphs import check_devices
from tflsplit.check.early import check_asked
from tflsplit.firmware.slots import slots_of
from tflsplit.ir import DType, Graph, Node, Value
from tflsplit.memory.arena import predict_arena
from tflsplit.ops.own.custom_check import problems
from tflsplit.ops.own.custom_options import AskOptions, RecvOptions
from tflsplit.passes.ask_ahead import ask_ahead
from tflsplit.passes.prepare import prepare
from tflsplit.plan.policy import choose_plan
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import Split
from tflsplit.split.devices import DeviceGraph
from tflsplit.split.lower import lower
from tflsplit.wire import custom_ops as wire


def asks(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.op == wire.ASK]


def reader(graph: Graph, ask: Node) -> Node:
    (found,) = [node for node in graph.nodes if ask.output in node.operands]
    return found


@pytest.fixture(scope="module")
def rows() -> tuple[Graph, tuple[DeviceGraph, ...]]:
    return split("mobilenet", 3)


@needs_tflm
def test_the_bits_stay_the_same():
    model = tiny("mobilenet")
    whole = prepare(model)
    plan = choose_plan(whole, Wishes(3, "rows", fuse=True, weights_limit=1.0))
    plan = replace(plan, overlap=True)
    devices = lower(whole, plan)
    assert any(asks(device.graph) for device in devices)
    assert compared(Split(whole, plan, devices, model)).passed


def test_a_message_is_asked_for_before_the_kernel_in_front_of_its_recv(
    rows: tuple[Graph, tuple[DeviceGraph, ...]],
):
    whole, devices = rows
    _, before = split("mobilenet", 3, overlap=False)
    assert check_devices(whole, devices) == []
    for device, other in zip(devices, before, strict=True):
        graph = device.graph
        assert asks(graph)
        assert messages(device) == messages(other)
        for ask in asks(graph):
            recv = reader(graph, ask)
            between = graph.nodes[graph.nodes.index(ask) + 1 : graph.nodes.index(recv)]
            kernels = [n for n in between if n.op not in (wire.SEND, wire.RECV, wire.ASK)]
            assert len(kernels) == 1
            sizes = [piece.box.size for piece in RecvOptions.of(recv).pieces]
            assert [size for *_, size in AskOptions.of(ask).messages] == sizes


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_network_stays_sound(name: str):
    whole, devices = split(name, 3, "auto")
    assert check_devices(whole, devices) == []


def test_a_device_has_slots_for_what_is_asked_for(rows: tuple[Graph, tuple[DeviceGraph, ...]]):
    _, devices = rows
    _, before = split("mobilenet", 3, overlap=False)
    pairs = list(zip(slots_of(devices), slots_of(before), strict=True))
    assert all(some.recv >= few.recv and some.grant >= few.grant for some, few in pairs)
    assert any(some.recv > few.recv for some, few in pairs)  # the next RECV's, during one


def test_no_more_memory_than_at_the_peak(rows: tuple[Graph, tuple[DeviceGraph, ...]]):
    _, devices = rows
    for device in devices:
        nodes = [node for node in device.graph.nodes if node.op != wire.ASK]
        asked = {ask.output for ask in asks(device.graph)}
        plain = replace(
            device.graph,
            metadata={},
            nodes=[
                replace(node, inputs=tuple(x for x in node.inputs if x not in asked))
                for node in nodes
            ],
        )
        again = ask_ahead(plain, host_rank=3)
        assert len(asks(again)) == len(asked)
        head = predict_arena(plain).head_bytes
        assert predict_arena(device.graph).head_bytes <= head


def test_sums_are_not_asked_for():
    _, devices = split("mobilenet", 2, "in_channels")
    for device in devices:
        for ask in asks(device.graph):
            assert not RecvOptions.of(reader(device.graph, ask)).add


def test_stock_kernels_know_no_ask():
    whole = prepare(tiny("mobilenet"))
    plan = choose_plan(whole, Wishes(2, "rows", stock_kernels=True))
    assert not any(asks(d.graph) for d in lower(whole, replace(plan, overlap=True)))
    plan = choose_plan(whole, Wishes(2, "rows"))
    assert any(asks(d.graph) for d in lower(whole, replace(plan, overlap=True)))


def changed(devices: tuple[DeviceGraph, ...], how: str) -> list[DeviceGraph]:
    device = devices[0]
    graph, nodes = device.graph, list(device.graph.nodes)
    ask = asks(graph)[0]
    at, recv = nodes.index(ask), reader(graph, ask)
    if how == "unread":
        place = nodes.index(recv)
        nodes[place] = replace(recv, inputs=tuple(x for x in recv.inputs if x is not ask.output))
    elif how == "late":
        nodes.remove(ask)
        nodes.insert(nodes.index(recv) + 1, ask)
    elif how == "others":
        options = dict(wire.decode(ask))
        options["channels"] = tuple(c + 1 for c in options["channels"])  # type: ignore[union-attr, operator]
        nodes[at] = replace(ask, attrs=wire.encode(wire.ASK, options))
    else:
        nodes.append(replace(recv, name="again"))
    return [replace(device, graph=replace(graph, nodes=nodes)), *devices[1:]]


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("unread", "not one RECV alone"),
        ("twice", "not one RECV alone"),
        ("late", "no RECV behind it"),
        ("others", "asks for other messages"),
    ],
)
def test_the_checker_finds_an_ask_that_is_wrong(
    rows: tuple[Graph, tuple[DeviceGraph, ...]], how: str, text: str
):
    _, devices = rows
    assert check_asked(devices) == []
    assert any(text in problem for problem in check_asked(changed(devices, how)))


def test_memory_of_another_size_is_a_contradiction(rows: tuple[Graph, tuple[DeviceGraph, ...]]):
    _, devices = rows
    ask = asks(devices[0].graph)[0]
    assert problems(ask) == []
    small = Value("m", (1,), DType.INT8)
    assert "must make int8" in problems(replace(ask, outputs=(small,)))[0]
    twice = dict(wire.decode(ask))
    for key in ("channels", "from", "bytes"):
        twice[key] = twice[key][:1] * 2  # type: ignore[index]
    again = replace(ask, attrs=wire.encode(wire.ASK, twice))
    assert "asked for twice" in problems(again)[0]
