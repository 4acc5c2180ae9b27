# SPDX-License-Identifier: Apache-2.0
"""Results over what RECV and SLICE move: where that is sound, and who finds that it is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.memory.test_overlays import at
from tests.ops.test_fused import activation
from tflsplit.ir import DType, Graph, Node, Value
from tflsplit.memory import plan_violations, predict_arena
from tflsplit.memory.better import plan_offline
from tflsplit.memory.overlays import find_overlays
from tflsplit.ops import Box
from tflsplit.ops.own.custom import recv
from tflsplit.ops.own.custom_options import RecvPiece
from tflsplit.runtime.engines import Array
from tflsplit.verify.replay import Replay

SHARD = (1, 6, 4, 16)


def widened(pending: bool = False, add: bool = False, dtype: DType = DType.INT8) -> Graph:
    """Columns 1..5 of a map, and one on either side that comes from another device."""
    shard, y = activation("shard", *SHARD), activation("y", 1, 6, 6, 16)
    shard, y = replace(shard, dtype=dtype), replace(y, dtype=dtype)
    halos = [Box.at((0, 0, column, 0), (1, 6, 1, 16)) for column in (0, 5)]
    receive = recv(
        output=y, tensor="map", origin=(0, 0, 0, 0), local=shard,
        local_box=Box.at((0, 0, 1, 0), SHARD), local_origin=(0, 0, 1, 0),
        pieces=[RecvPiece(1 + i, 1, halo) for i, halo in enumerate(halos)],
        pending=[shard] if pending else [], add=add, name="recv",
    )  # fmt: skip
    return Graph("g", (shard,), (y,), [receive])


def values_of(graph: Graph) -> dict[Value, Array]:
    """What a RECV or SLICE moves, and other bytes around it."""
    (x,), (y,) = graph.inputs, graph.outputs
    values = {x: np.arange(x.size).astype(x.dtype.numpy).reshape(x.shape)}
    values[y] = np.full(y.shape, 77, y.dtype.numpy)
    if x.size < y.size:
        values[y][:, :, 1:5] = values[x]
    return values


def found(graph: Graph, distance_bytes: int) -> tuple[int, int]:
    """What the checker and the replay have to say of a result so far behind its operand."""
    plan = at(graph, graph.inputs[0], distance_bytes)
    return len(plan_violations(graph, plan)), len(Replay(graph, plan).problems(values_of(graph)))


@pytest.mark.parametrize("distance", [-256, -16, 0, 16, 192])
def test_a_shard_of_columns_may_lie_anywhere_under_what_is_received(distance: int) -> None:
    graph = widened()
    (overlay,) = find_overlays(graph)
    assert overlay.low_bytes <= distance <= overlay.high_bytes
    assert found(graph, distance) == (0, 0)
    planned = plan_offline(graph)
    assert predict_arena(planned).head_bytes == graph.outputs[0].size_bytes


@pytest.mark.parametrize("graph", [widened(pending=True), widened(add=True, dtype=DType.INT32)])
def test_what_may_still_be_sent_or_is_added_to_may_not(graph: Graph) -> None:
    assert find_overlays(graph) == []
    assert found(graph, 0) == (1, 1)
    both = sum(value.size_bytes for value in (*graph.inputs, *graph.outputs))
    assert predict_arena(plan_offline(graph)).head_bytes == both


def test_rows_stay_where_they_are_instead() -> None:
    """A tie says more than an overlay: the shard may even be sent meanwhile."""
    graph = widened()
    (node,) = graph.nodes
    y = replace(graph.outputs[0], shape=(1, 8, 4, 16))
    rows = recv(
        output=y, tensor="map", origin=(0, 0, 0, 0), local=graph.inputs[0],
        local_box=Box.at((0, 1, 0, 0), SHARD), local_origin=(0, 1, 0, 0),
        pieces=[RecvPiece(1 + i, 1, Box.at((0, row, 0, 0), (1, 1, 4, 16)))
                for i, row in enumerate((0, 7))],
        pending=[], name=node.name,
    )  # fmt: skip
    assert find_overlays(replace(graph, nodes=[rows], outputs=(y,))) == []


def sliced(begin: Sequence[int], size: Sequence[int], op: str = "SLICE") -> Graph:
    """A part of a map."""
    x, y = activation("x", *SHARD), activation("y", *size)
    numbers = [
        Value(name, (4,), DType.INT32, data=np.array(of, np.int32))
        for name, of in (("begin", begin), ("size", size))
    ]
    return Graph("g", (x,), (y,), [Node(op, (x, *numbers), (y,), name="slice")])


def test_columns_are_cut_off_in_place() -> None:
    """TFLM's kernel goes upwards: to lower places; no value is written before it is read."""
    graph = sliced((0, 0, 1, 0), (1, 6, 3, 16))
    (overlay,) = find_overlays(graph)
    assert overlay.high_bytes == 16
    # The replay goes row by row, and so finds only what comes from another row.
    for distance, expected in ((16, (0, 0)), (-48, (0, 0)), (32, (1, 0)), (64, (1, 1))):
        (x,), (y,) = graph.inputs, graph.outputs
        values = {x: np.arange(x.size, dtype=np.int16).astype(np.int8).reshape(x.shape)}
        values[y] = values[x][:, :, 1:]
        plan = at(graph, x, distance)
        problems = plan_violations(graph, plan), Replay(graph, plan).problems(values)
        assert tuple(map(len, problems)) == expected, distance
    assert predict_arena(plan_offline(graph)).head_bytes == graph.inputs[0].size_bytes


def test_of_other_operators_nothing_is_known() -> None:
    graph = sliced((0, 0, 0, 0), (1, 6, 3, 16), op="MIRROR_PAD")
    assert find_overlays(graph) == []
    assert found(graph, 0)[0] == 1
