# SPDX-License-Identifier: Apache-2.0
"""What a block adds is read out of a received x where its place is under the windows' middles."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.ops.test_fused import PLAIN, activation, stage, tables
from tflsplit.ir import DType, Graph, Quantization, Value
from tflsplit.memory import predict_arena
from tflsplit.ops import Box
from tflsplit.ops.own.custom import problems, recv
from tflsplit.ops.own.custom_options import RecvPiece
from tflsplit.ops.own.fused import RESIDUAL, FusedOptions, ResidualAdd, fused_block, unfused
from tflsplit.ops.own.middle import middle_of
from tflsplit.ops.own.packed import packed
from tflsplit.ops.quantmath import add_multipliers
from tflsplit.passes.residuals_in_x import residuals_in_x
from tflsplit.split.devices import DeviceGraph
from tflsplit.split.lower import with_offsets
from tflsplit.wire import custom_ops as wire


def received(shard_from: int = 1) -> Graph:
    """The last 40 columns of a map, and one that comes from another device.

    shard_from: the column of x at which the shard lies that is added to y.
    """
    shard, x = activation("r", 1, 24, 40, 4), activation("x", 1, 24, 41, 4)
    y = Value("y", (1, 24, 40, 4), DType.INT8, Quantization((0.75,), (4,)))
    add = ResidualAdd((-128, 127), -7, 0.25, 0, add_multipliers(0.25, 0.5, 0.75), -7)
    window = stage(pads=(1, 1, 0, 1))
    halo = Box.at((0, 0, 0 if shard_from else 40, 0), (1, 24, 1, 4))
    receive = recv(
        output=x, tensor="map", origin=(0, 0, 0, 0), local=shard,
        local_box=Box.at((0, 0, shard_from, 0), shard.shape),
        local_origin=(0, 0, shard_from, 0), pieces=[RecvPiece(1, 1, halo)], pending=[],
        name="recv",
    )  # fmt: skip
    block = fused_block(
        x,
        tables("e", 12, 12, 1, 1, 4),
        tables("d", 12, 1, 3, 3, 12),
        tables("p", 4, 4, 1, 1, 12),
        y,
        FusedOptions(PLAIN, window, add=add),
        "block",
        shard,
    )
    return Graph("g", (shard,), (y,), [receive, block])


def test_the_residual_is_taken_from_x_and_the_shard_goes() -> None:
    before = received()
    after = residuals_in_x(before)
    block = after.nodes[1]
    assert block.inputs[RESIDUAL] is block.input(0)
    assert middle_of(block, block.input(0)) == (0, 1)
    assert problems(block) == problems(packed(block)) == []
    begin = unfused(block)[-2].input(1).data
    assert begin is not None
    assert begin.tolist() == [0, 0, 1, 0]

    def arena(graph: Graph) -> int:
        device = DeviceGraph(0, graph, {}, {}, 0)
        return predict_arena(with_offsets([device])[0].graph).head_bytes

    shard = before.inputs[0].size_bytes
    assert arena(before) - arena(after) > shard // 2


def test_a_shard_that_lies_elsewhere_in_x_is_added_as_it_is() -> None:
    elsewhere = received(shard_from=0)
    assert residuals_in_x(elsewhere).nodes == elsewhere.nodes


def test_what_was_not_received_is_added_as_it_is() -> None:
    graph = received()
    alone = replace(graph, nodes=graph.nodes[1:], inputs=(graph.nodes[0].output, *graph.inputs))
    assert residuals_in_x(alone).nodes == alone.nodes


@pytest.mark.parametrize(
    ("pads", "message"),
    [((1, 1, 2, 1), "outside x"), ((2, 1, 0, 1), "outside x")],
)
def test_middles_that_leave_x_are_found(pads: tuple[int, int, int, int], message: str) -> None:
    block = residuals_in_x(received()).nodes[1]
    options = FusedOptions.of(block)
    moved = replace(options, depthwise=stage(pads=pads))
    changed = replace(block, attrs=wire.encode(wire.FUSED_BLOCK, moved.attrs()))
    assert any(message in problem for problem in problems(changed))
