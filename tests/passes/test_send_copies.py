# SPDX-License-Identifier: Apache-2.0
"""SENDs copy what leaves where a device then needs less at its peak."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.ops.test_fused import activation
from tflsplit.check.device_graphs import check_lifetimes
from tflsplit.check.schedule import exchanges
from tflsplit.ir import Graph, Node
from tflsplit.memory import plan_violations, predict_arena
from tflsplit.ops import Box
from tflsplit.ops.own.custom import problems, recv, send
from tflsplit.ops.own.custom_options import RecvPiece
from tflsplit.passes.send_copies import send_copies
from tflsplit.split.devices import DeviceGraph
from tflsplit.split.lower import with_offsets

SHARD = (1, 24, 40, 4)
HALO = Box.at((0, 0, 40, 0), (1, 24, 1, 4))


def exchanging(wide: int = 1) -> Graph:
    """A map's left half, which gives columns to another device and gets as many.

    wide: columns of what is made behind it.
    """
    image, x = activation("image", *SHARD), activation("x", *SHARD)
    y, z = activation("y", 1, 24, 41, 4), activation("z", 1, 24, wide, 4)
    give = send(
        x, channel=1, to=[1], tensor="map", boxes=[Box.at((0, 0, 39, 0), HALO.shape)],
        origin=(0, 0, 0, 0), name="send",
    )  # fmt: skip
    take = recv(
        output=y, tensor="map", origin=(0, 0, 0, 0), local=x,
        local_box=Box.at((0, 0, 0, 0), SHARD), local_origin=(0, 0, 0, 0),
        pieces=[RecvPiece(2, 1, HALO)], pending=[x], name="recv",
    )  # fmt: skip
    made, read = (Node(op, (a,), (b,), name=op) for op, a, b in (("ABS", image, x), ("NEG", y, z)))
    return Graph("g", (image,), (z,), [made, give, take, read])


def head_bytes(graph: Graph) -> int:
    (device,) = with_offsets([DeviceGraph(0, graph, {}, {}, 0)])
    arena = predict_arena(device.graph)
    assert plan_violations(device.graph, arena.plan) == []
    return arena.head_bytes


def test_the_map_is_made_wider_where_it_lies() -> None:
    before = exchanging()
    after = send_copies(before)
    _, give, take, _ = after.nodes
    assert [node.op for node in after.nodes] == [node.op for node in before.nodes]
    assert problems(give) == problems(take) == []
    assert give.output.shape == (24 * 4,)
    assert take.inputs == (give.input(0), give.output)
    assert check_lifetimes(exchanges([after])) == []
    y = take.output.size_bytes
    assert head_bytes(before) == before.inputs[0].size_bytes + y
    assert head_bytes(after) == max(2 * before.inputs[0].size_bytes, 96 + y)


def test_nothing_is_copied_where_the_peak_is_elsewhere() -> None:
    graph = exchanging(wide=80)
    assert send_copies(graph) is graph


@pytest.mark.parametrize("change", ["output", "read later"])
def test_what_is_needed_anyway_is_not_copied(change: str) -> None:
    graph = exchanging()
    x = graph.nodes[1].input(0)
    if change == "output":
        graph = replace(graph, outputs=(*graph.outputs, x))
    else:
        late = Node("ABS", (x,), (activation("late", *SHARD),), name="late")
        graph = replace(graph, nodes=[*graph.nodes, late])
    assert send_copies(graph) is graph


def test_a_copy_takes_the_place_of_what_only_waits() -> None:
    """Behind its last reader a map stays only because its SEND may not have left."""
    graph = exchanging()
    made, give, _, _ = graph.nodes
    x = give.input(0)
    a, b = activation("a", 1, 24, 30, 4), activation("b", *SHARD)
    wait = recv(
        output=None, tensor="", origin=(), local=None, local_box=None, local_origin=(), pieces=[],
        pending=[x], name="wait",
    )  # fmt: skip
    nodes = [made, give, Node("ABS", (x,), (a,), name="a"), Node("ABS", (a,), (b,), name="b"), wait]
    graph = replace(graph, nodes=nodes, outputs=(b,))
    after = send_copies(graph)
    assert after.nodes[1].outputs == after.nodes[-1].inputs
    assert head_bytes(graph) == x.size_bytes + a.size_bytes + b.size_bytes
    assert head_bytes(after) == max(2 * x.size_bytes, 96 + a.size_bytes + b.size_bytes)


def test_a_copy_that_nobody_waits_for_is_found() -> None:
    after = send_copies(exchanging())
    made, give, take, read = after.nodes
    forgotten = replace(take, inputs=take.inputs[:1])
    nodes = [made, give, forgotten, read]
    (problem,) = check_lifetimes(exchanges([replace(after, nodes=nodes)]))
    assert "nothing keeps 'send/copy' alive until SEND 1 has left" in problem
    again = replace(take, inputs=(give.input(0), give.input(0)))  # of what is not read any more
    assert check_lifetimes(exchanges([replace(after, nodes=[made, give, again, read])]))
