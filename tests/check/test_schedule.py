# SPDX-License-Identifier: Apache-2.0
"""Schedules that end, that never end, and that end only if a multicast goes out piecemeal."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from models.tiny import NETWORKS
from tests.splits import tiny_split
from tflsplit.check.schedule import check_progress, exchanges, multicasts_can_wait
from tflsplit.ir import DType, Graph, Node, Value
from tflsplit.ops.own.custom import recv, send
from tflsplit.ops.own.custom_options import RecvPiece
from tflsplit.ops.region import Box
from tflsplit.split.devices import DeviceGraph

WHOLE = Box.whole((4,))
HALVES = (Box.at((0,), (2,)), Box.at((2,), (2,)))


def posts(channel: int, *to: int, boxes: Sequence[Box] = (WHOLE,)) -> Node:
    """A SEND of four elements: the same to all ranks, or a box to each."""
    x = Value(f"x{channel}", (4,), DType.INT8)
    each = boxes if len(boxes) > 1 else [WHOLE] * len(to)
    return send(
        x, channel=channel, to=to, tensor="t", boxes=each, origin=(0,), name=f"send{channel}"
    )


def takes(channel: int, source: int, box: Box = WHOLE) -> Node:
    y = Value(f"y{channel}", box.shape, DType.INT8)
    return recv(
        output=y, tensor="t", origin=box.origin, local=None, local_box=None, local_origin=(),
        pieces=[RecvPiece(channel, source, box)], pending=[], name=f"recv{channel}",
    )  # fmt: skip


def devices(*programs: Sequence[Node]) -> list[DeviceGraph]:
    return [
        DeviceGraph(rank, Graph(f"node{rank}", (), (), list(nodes)), {}, {}, 0)
        for rank, nodes in enumerate(programs)
    ]


def waiting(found: list[DeviceGraph]) -> list[str]:
    return check_progress(exchanges([device.graph for device in found]))


CHAIN = devices([posts(0, 1, 2)], [takes(0, 0), posts(1, 2)], [takes(1, 1), takes(0, 0)])


def test_a_multicast_whose_receivers_depend_on_each_other_must_not_wait():
    assert waiting(CHAIN) == []
    assert not multicasts_can_wait(CHAIN)


def test_the_other_order_can_wait():
    found = devices([posts(0, 1, 2)], [takes(0, 0), posts(1, 2)], [takes(0, 0), takes(1, 1)])
    assert waiting(found) == []
    assert multicasts_can_wait(found)


def test_a_scatter_is_one_message_for_each():
    found = devices(
        [posts(0, 1, 2, boxes=HALVES)],
        [takes(0, 0, HALVES[0]), posts(1, 2)],
        [takes(1, 1), takes(0, 0, HALVES[1])],
    )
    assert multicasts_can_wait(found)


def test_who_waits_for_each_other_never_ends():
    found = devices([takes(1, 1), posts(0, 1)], [takes(0, 0), posts(1, 0)])
    assert waiting(found) == [
        "rank 0 waits for ever in 'recv1'",
        "rank 1 waits for ever in 'recv0'",
    ]
    assert not multicasts_can_wait(found)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("world_size", [3, 8])
def test_multicasts_of_real_plans_can_wait(name: str, world_size: int):
    assert multicasts_can_wait(tiny_split(name, world_size).devices)
