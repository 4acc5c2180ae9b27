# SPDX-License-Identifier: Apache-2.0
"""Transfers under way at once, counted from graphs."""

import pytest

from tests.bundles import bundle_of
from tflsplit.bundle import read_bundle
from tflsplit.errors import ClusterError
from tflsplit.firmware.slots import most_posted, slots_of
from tflsplit.ir import DType, Graph, Node, Value
from tflsplit.split.devices import DeviceGraph
from tflsplit.wire import custom_ops as wire


def value(name):
    return Value(name, (4, 2), DType.INT8)


def send(channel, x, to, boxes=(0, 4, 0, 2)):
    attrs = wire.encode(wire.SEND, {"channel": channel, "to": to, "tensor": x.name, "boxes": boxes,
                                    "origin": (0, 0)})  # fmt: skip
    return Node(wire.SEND, (x,), (), attrs, name=f"send{channel}", is_custom=True)


def recv(y, pieces, pending=()):
    """pieces: (channel, source)."""
    attrs = wire.encode(wire.RECV, {
        "tensor": "t", "origin": (0, 0), "local": (), "local_origin": (), "sum": 0,
        "early": 0,
        "channels": tuple(c for c, _ in pieces), "from": tuple(s for _, s in pieces),
        "boxes": tuple(b for i in range(len(pieces)) for b in (i, i + 1, 0, 2)),
    })  # fmt: skip
    outputs = (y,) if y is not None else ()
    return Node(wire.RECV, tuple(pending), outputs, attrs, name=f"recv{pieces}", is_custom=True)


def device(rank, inputs, nodes, outputs):
    return DeviceGraph(rank, Graph("g", tuple(inputs), tuple(outputs), nodes), {}, {}, 0)


def test_a_send_counts_until_the_recv_that_lists_its_tensor():
    a, b, y = value("a"), value("b"), value("y")
    nodes = [send(1, a, (1,)), send(2, b, (1,)), recv(None, [], (a,)), send(3, b, (1,))]
    graph = Graph("g", (a, b), (), nodes)
    assert most_posted(graph) == 2
    assert most_posted(Graph("g", (a, b), (y,), [*nodes, recv(y, [(9, 1)], (b,))])) == 2
    assert most_posted(Graph("g", (a, b), (a, b), nodes)) == 4, "outputs join what is still posted"


def test_a_scatter_counts_each_of_its_boxes_and_a_multicast_one():
    a = value("a")
    scatter = send(1, a, (1, 2, 3), (0, 1, 0, 2, 1, 2, 0, 2, 2, 4, 0, 2))
    assert most_posted(Graph("g", (a,), (), [scatter])) == 3
    assert most_posted(Graph("g", (a,), (), [send(1, a, (1, 2, 3))])) == 1


def test_grants_are_those_of_one_recv_of_each_other_rank_and_the_host():
    x, y, z = value("x"), value("y"), value("z")
    zero = device(0, [x], [send(1, x, (1, 2))], [x])
    one = device(1, [], [recv(y, [(1, 0), (2, 0)]), recv(z, [(3, 0)])], [])
    two = device(2, [], [recv(z, [(4, 0), (5, 1)])], [])
    slots = slots_of([zero, one, two])
    assert slots[0].grant == 2 + 1 + 2, "its output, of this inference and of the next"
    assert slots[1].grant == 1
    assert [s.recv for s in slots] == [1, 2, 2]
    assert slots[0].send == 1 + 1, "the SEND and the output"
    ahead = slots_of([zero, one, two], ahead=True)
    assert [s.recv for s in ahead] == [1 + 1, 2, 2], "and the next inference's input"


def test_more_slots_than_a_device_can_have_are_refused():
    a = value("a")
    graph = [send(channel, a, (1,)) for channel in range(256)]
    with pytest.raises(ClusterError, match="rank 0 needs 256 send slots; a device has at most 255"):
        slots_of([device(0, [a], graph, [])])


@pytest.mark.parametrize("world_size", [1, 2, 8])
def test_real_plans_need_few(tmp_path, world_size):
    bundle = read_bundle(bundle_of(tmp_path / "out", world_size=world_size))
    for slots in slots_of(bundle.devices):
        assert 1 <= slots.send <= 4 * world_size
        assert 1 <= slots.recv <= 2 * world_size
        assert 1 <= slots.grant <= 2 * world_size
