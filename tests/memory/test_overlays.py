# SPDX-License-Identifier: Apache-2.0
"""y over x: a lead that is safe, the smallest; checker and replay find one row too many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from tests.memory.measuring import measured
from tests.memory.op_cases import tensor
from tests.ops.custom_cases import Case, fused_block_cases, middle_cases, run_case
from tests.ops.test_fused import adding_block, block, stage
from tflsplit.errors import InternalError
from tflsplit.ir import DType, Graph, Node, Value
from tflsplit.memory import ArenaPlan, plan_violations, predict_arena
from tflsplit.memory.better import plan_offline
from tflsplit.memory.overlays import find_overlays
from tflsplit.memory.progress import is_read_before_written
from tflsplit.ops import Box
from tflsplit.ops.own.custom import recv
from tflsplit.ops.own.custom_options import RecvPiece
from tflsplit.ops.own.fused import RESIDUAL
from tflsplit.ops.own.middle import first_value, middle_of
from tflsplit.verify.replay import Replay

ROW = 16  # bytes


def graph_of(node: Node) -> Graph:
    """A block alone; every tensor with a name of its own."""
    inputs = [v for v in dict.fromkeys((node.input(0), *node.inputs[RESIDUAL:])) if v is not None]
    for number, value in enumerate((*inputs, node.output)):
        value.name = f"t{number}"
    return Graph("block", tuple(inputs), (node.output,), [replace(node, name="block")])


def at(graph: Graph, operand: Value, distance_bytes: int) -> ArenaPlan:
    """The arena of a node whose result lies so far behind an operand, all else elsewhere."""
    plan = predict_arena(graph).plan
    beyond = 4 * sum(buffer.size_bytes for buffer in plan.offsets)
    offsets = {buffer: beyond + start for buffer, start in plan.offsets.items()}
    for buffer in offsets:
        if buffer.value is operand:
            offsets[buffer] = max(0, -distance_bytes)
        elif buffer.value is graph.nodes[0].output:
            offsets[buffer] = max(0, distance_bytes)
    return ArenaPlan(offsets)


@settings(max_examples=200)
@given(case=fused_block_cases())
def test_what_is_planned_is_sound_and_found_so_by_all(case: Case) -> None:
    graph = graph_of(case.node)
    (node,) = graph.nodes
    values = dict(zip(graph.inputs, case.arrays, strict=True)) | {node.output: run_case(case)}
    for overlay in find_overlays(graph):
        plan = at(graph, overlay.operand, overlay.high_bytes)
        assert plan_violations(graph, plan) == []
        assert Replay(graph, plan).problems(values) == []
        assert is_read_before_written(node, overlay.operand, node.output, overlay.low_bytes)


@settings(max_examples=100)
@given(case=middle_cases())
def test_y_lies_as_high_over_x_as_what_is_added_allows(case: Case) -> None:
    graph = graph_of(case.node)
    (node,), (x,) = graph.nodes, graph.inputs
    values = {x: case.arrays[0], node.output: run_case(case)}
    for overlay in find_overlays(graph):
        plan = at(graph, x, overlay.high_bytes)
        assert plan_violations(graph, plan) == []
        assert Replay(graph, plan).problems(values) == []
    place = middle_of(node, x)
    if place is not None:  # one value further is too far, whatever windows read
        beyond = first_value(x, place) + 1
        assert not is_read_before_written(node, x, node.output, beyond)


def rows_of(node: Node) -> tuple[Graph, Value, int]:
    """The graph of a block, its x, and how high y may lie over it."""
    graph = graph_of(node)
    (overlay,) = (each for each in find_overlays(graph) if each.operand is node.input(0))
    return graph, node.input(0), overlay.high_bytes


STRIDED = stage(stride=(2, 2), pads=(0, 1, 0, 1))


@pytest.mark.parametrize(
    ("node", "lead"),
    [
        # y [8, 4, 5]: row q ends at 20 (q + 1), rows of x above q + 1 are still needed
        (block(extent=(8, 4)), 7 * ROW - 6 * 20),
        # y [4, 4, 5]; row 0 needs rows 0..2 of x; behind it row 3 must still be there
        (block(depthwise=STRIDED, extent=(8, 8)), 3 * 2 * ROW - 20),
        # small rows are kept without expansion too
        (block(expand=None, extent=(8, 4)), 7 * ROW - 6 * 20),
        # 4 * 3 * 344 bytes are not: the last chunk of 32 columns reads row 6 of x once more
        (block(expand=None, extent=(8, 342)), 6 * 342 * 4 - (7 * 342 + 320) * 5),
    ],
)
def test_the_lead_follows_from_the_geometry(node: Node, lead: int) -> None:
    graph, x, high = rows_of(node)
    assert high == lead // 16 * 16
    (found,) = graph.nodes
    assert is_read_before_written(found, x, found.output, lead)
    assert not is_read_before_written(found, x, found.output, lead + 1)


@pytest.mark.parametrize("node", [block(extent=(8, 4)), block(expand=None, extent=(8, 4))])
def test_one_row_too_high_is_found_by_checker_and_replay(node: Node) -> None:
    graph, x, high = rows_of(node)
    values = {x: np.arange(x.size, dtype=np.int8).reshape(x.shape)}
    values[node.output] = np.full(node.output.shape, 77, np.int8)
    assert Replay(graph, at(graph, x, high)).problems(values) == []
    plan = at(graph, x, high + 16)
    (problem,) = plan_violations(graph, plan)
    assert "t0" in problem
    assert "share bytes at step 1" in problem
    (problem, *_) = Replay(graph, plan).problems(values)
    assert problem.startswith("TFLSPLIT_FUSED_BLOCK 'block' finds no longer all of tensor 't0'")


def placed(graph: Graph, places: Mapping[str, int]) -> ArenaPlan:
    """The arena with tensors of some names at ``places``, all else elsewhere."""
    plan = predict_arena(graph).plan
    return ArenaPlan(
        {
            buffer: 4096 + start
            if buffer.value is None or buffer.value.name not in places
            else places[buffer.value.name]
            for buffer, start in plan.offsets.items()
        }
    )


def test_what_lies_inside_x_and_lives_on_is_kept() -> None:
    """A view of the last rows of x is read once more behind the block; y ends before them."""
    graph = graph_of(block(extent=(8, 4)))
    (node,), (x,), (y,) = graph.nodes, graph.inputs, graph.outputs
    view = replace(y, name="view", shape=(1, 2, *x.shape[2:]), quantization=x.quantization)
    begin, size = (
        Value(name, (4,), DType.INT32, data=np.array(numbers, np.int32))
        for name, numbers in (("begin", (0, 6, 0, 0)), ("size", view.shape))
    )
    slicing = Node("SLICE", (x, begin, size), (view,), name="slice")
    graph = replace(graph, nodes=[slicing, node], outputs=(y, view))
    values = {x: np.arange(x.size, dtype=np.int8).reshape(x.shape)}
    values |= {view: values[x][:, 6:], y: np.full(y.shape, 77, np.int8)}
    below, inside = {"t0": 256, "view": 256 + 6 * ROW}, 256 + 6 * ROW - y.size_bytes
    plan = placed(graph, {**below, "t1": inside})
    assert plan_violations(graph, plan) == []
    assert Replay(graph, plan).problems(values) == []
    plan = placed(graph, {**below, "t1": inside + 16})  # x would allow it
    assert len(plan_violations(graph, plan)) == 1
    (problem, *_) = Replay(graph, plan).problems(values)
    assert "overwrites tensor 'view'" in problem


def test_nothing_is_written_over_what_may_still_arrive() -> None:
    graph = graph_of(block(extent=(8, 4)))
    (node,), (x,), (y,) = graph.nodes, graph.inputs, graph.outputs
    local = replace(x, name="local", shape=(1, 4, *x.shape[2:]))
    piece = RecvPiece(1, 1, Box.at((0, 4, 0, 0), local.shape))
    values = {local: np.ones(local.shape, np.int8), x: np.ones(x.shape, np.int8)}
    values[y] = np.full(y.shape, 77, np.int8)
    found = []
    for early in (False, True):
        receive = recv(
            output=x, tensor="x", origin=(0, 0, 0, 0), local=local,
            local_box=Box.at((0, 0, 0, 0), local.shape), local_origin=(0, 0, 0, 0),
            pieces=[piece], pending=[], early=early, name="recv",
        )  # fmt: skip
        received = replace(graph, nodes=[receive, node], inputs=(local,))
        plan = placed(received, {"t0": 256, "t1": 256 - ROW})
        found.append(
            (
                len(find_overlays(received)),
                len(plan_violations(received, plan)),
                len(Replay(received, plan).problems(values)),
            )
        )
    assert found == [(1, 0, 0), (0, 1, 1)]


def test_what_is_added_may_lie_under_the_sum_and_not_behind_its_start() -> None:
    node = adding_block()
    graph, residual = graph_of(node), node.inputs[RESIDUAL]
    assert residual is not None
    assert plan_violations(graph, at(graph, residual, 0)) == []
    assert plan_violations(graph, at(graph, residual, -16)) == []
    assert len(plan_violations(graph, at(graph, residual, 16))) == 1


def test_column_tiles_read_x_again_but_add_each_value_once() -> None:
    tiled = block(tile_columns=3)
    assert find_overlays(graph_of(tiled)) == []
    adding = adding_block()
    adding = replace(adding, attrs=adding.attrs.replace(tile_columns=3))
    graph, residual = graph_of(adding), adding.inputs[RESIDUAL]
    (overlay,) = find_overlays(graph)
    assert (overlay.operand, overlay.low_bytes, overlay.high_bytes) == (residual, 0, 0)
    assert plan_violations(graph, at(graph, overlay.operand, 0)) == []
    assert len(plan_violations(graph, at(graph, overlay.operand, -16))) == 1
    assert len(plan_violations(graph, at(graph, graph.inputs[0], 0))) == 1


def quantize(x: DType = DType.UINT8, y: DType = DType.INT8) -> Graph:
    a, b = tensor((1, 4, 4, 3), x), tensor((1, 4, 4, 3), y)
    a.name, b.name = "a", "b"
    return Graph("g", (a,), (b,), [Node("QUANTIZE", (a,), (b,), name="quantize")])


def test_quantize_works_in_place() -> None:
    graph = quantize()
    planned = plan_offline(graph)
    assert predict_arena(planned).head_bytes == measured(planned).head_bytes == 48
    (x,), (y,) = graph.inputs, graph.outputs
    values = {x: np.arange(48, dtype=np.uint8).reshape(x.shape)}
    values[y] = (values[x] ^ 0x80).view(np.int8)
    plan = predict_arena(planned).plan
    assert plan_violations(planned, plan) == []
    assert Replay(planned, plan).problems(values) == []
    assert len(plan_violations(graph, at(graph, x, 16))) == 1
    assert len(plan_violations(graph, at(graph, x, -16))) == 1


def test_values_of_another_size_are_not_written_over_each_other() -> None:
    graph = quantize(DType.INT8, DType.INT16)
    assert find_overlays(graph) == []
    assert len(plan_violations(graph, at(graph, graph.inputs[0], 0))) == 1


def test_what_is_needed_later_is_not_written_over() -> None:
    graph = quantize()
    kept = replace(graph, outputs=(*graph.inputs, *graph.outputs))
    assert find_overlays(kept) == []
    assert len(plan_violations(kept, at(kept, kept.inputs[0], 0))) == 1
    assert predict_arena(plan_offline(kept)).head_bytes == 2 * 48


def test_a_planner_that_leads_too_little_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of(block(extent=(8, 4)))
    (right,) = find_overlays(graph)
    wrong = replace(right, high_bytes=right.operand.size_bytes)
    monkeypatch.setattr("tflsplit.memory.better.find_overlays", lambda *_: [wrong])
    with pytest.raises(InternalError, match="the planned arena is unsound"):
        plan_offline(graph)
