# SPDX-License-Identifier: Apache-2.0
"""Nodes inside the tiles of what reads them: the very rows, who exchanges what, what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.builder import NONE
from models.layers import LayerBuilder
from tests.plan.networks import expansion, in_channels, out_channels, plan_of, rows, whole
from tests.splits import bounds, compared, needs_tflm, plans
from tflsplit.check.device_graphs import check_devices
from tflsplit.errors import PlanError
from tflsplit.ir import Graph, Node
from tflsplit.memory.lifetimes import peak_live_bytes
from tflsplit.ops import Box
from tflsplit.ops.region import covers
from tflsplit.plan.check import plan_problems
from tflsplit.plan.layout import Layouts, lay_out
from tflsplit.plan.shards import tile_factor
from tflsplit.plan.spec import NodeSplit, Plan, Way
from tflsplit.plan.transfers import schedule
from tflsplit.rewriting.rewrite import Split
from tflsplit.split.lower import lower
from tflsplit.split.partition import partition

GRAPH = expansion()  # int8[1, 8, 4, 4] -- 1x1 to 4 -- 1x1 to 24 -- depthwise 3x3 -- 1x1 to 4
FIRST, EXPAND, DEPTHWISE, PROJECT = GRAPH.nodes


def channels(*cuts: int) -> NodeSplit:
    return NodeSplit(DEPTHWISE.name, Way.CHANNELS, "channels", cuts)


def block(project: NodeSplit, streamed: bool = True) -> Plan:
    return plan_of(
        2,
        out_channels(FIRST, 0, 2, 4),
        replace(out_channels(EXPAND, 0, 12, 24), streamed=streamed),
        replace(channels(0, 12, 24), streamed=streamed),
        project,
    )


SUMS = block(replace(in_channels(PROJECT, (0, 12, 24), (0, 2, 4)), sum_tiles=2))
GATHERED = block(replace(out_channels(PROJECT, 0, 2, 4), gather_tiles=2))


def row_spans(boxes: Sequence[Box]) -> list[tuple[int, int]]:
    return [box.intervals[1] for box in boxes]


@pytest.mark.parametrize("plan", [SUMS, GATHERED], ids=["sums", "gathered"])
def test_each_tile_makes_the_rows_that_it_needs(plan: Plan):
    """Rows 0:4 and 4:8 of the result need 0:5 and 3:8 of the expanded map under a 3x3 window."""
    layouts = lay_out(GRAPH, plan)
    assert row_spans(layouts.streamed[EXPAND.output][1]) == [(0, 5), (3, 8)]
    assert row_spans(layouts.streamed[DEPTHWISE.output][1]) == [(0, 4), (4, 8)]
    assert {box.intervals[3] for box in layouts.streamed[EXPAND.output][1]} == {(12, 24)}
    assert [len(shards.tiles) for shards in layouts.nodes] == [1, 0, 0, 2]
    assert all(value not in layouts.reads for value in layouts.streamed)


def sent_rows(layouts: Layouts) -> dict[tuple[int, int, int], set[tuple[str, tuple[int, int]]]]:
    return {
        step: {(t.value.name, box.intervals[1]) for t in transfers for box in t.boxes}
        for step, transfers in schedule(layouts).sends.items()
        if transfers
    }


def test_what_is_exchanged_for_sums():
    x = FIRST.output.name
    assert sent_rows(lay_out(GRAPH, SUMS)) == {
        (3, 0, 0): {(x, (0, 5))},
        (3, 1, 0): {(x, (3, 8))},
    }


def test_what_is_exchanged_for_output_channels():
    """The input before the expansion, then the tile of the map that all devices read."""
    x, d = FIRST.output.name, DEPTHWISE.output.name
    assert sent_rows(lay_out(GRAPH, GATHERED)) == {
        (3, 0, 0): {(x, (0, 5))},
        (3, 0, 2): {(d, (0, 4))},
        (3, 1, 0): {(x, (3, 8))},
        (3, 1, 2): {(d, (4, 8))},
    }


@pytest.mark.parametrize("plan", [SUMS, GATHERED], ids=["sums", "gathered"])
def test_no_expanded_map_is_whole_in_memory(plan: Plan):
    at_once = replace(
        plan,
        splits=tuple(
            replace(split, streamed=False, sum_tiles=1, gather_tiles=1) for split in plan.splits
        ),
    )
    last = plan.splits[3]
    tiles = (4, 1) if last.scatter_factor else (1, 4)
    last = replace(last, sum_tiles=tiles[0], gather_tiles=tiles[1])
    plan = replace(plan, splits=(*plan.splits[:3], last))
    streamed, before = partition(GRAPH, plan)[0].graph, partition(GRAPH, at_once)[0].graph
    half_of_expanded = EXPAND.output.size // 2
    assert any(value.size >= half_of_expanded for value in before.values())
    assert not any(
        value.size >= half_of_expanded for value in streamed.values() if not value.is_constant
    )
    assert peak_live_bytes(streamed) < peak_live_bytes(before)


def test_channels_that_a_slice_leaves_out_are_made_all_the_same():
    net = LayerBuilder("sliced", 1, images=2)
    x = net.conv(net.input((9, 3, 2)), 8, (1, 1))
    numbers = (net.constant(np.array(n, np.int32)) for n in ([0, 0, 0, 0], [1, 6, 3, 3]))
    y = net.emit("SLICE", [x.value, *numbers], x.samples[:, :6, :, :3], x.quantization)
    graph = net.finish(y)
    first, second = graph.nodes
    tiles = replace(whole(second, 1), gather_tiles=3)
    columns = NodeSplit(first.name, Way.COLUMNS, "columns", (0, 2, 3), streamed=True)
    plan = plan_of(2, columns, tiles)
    made = lay_out(graph, plan).streamed[first.output]
    assert row_spans(made[0]) == [(0, 2), (2, 4), (4, 9)]
    assert {box.intervals[2:] for box in made[1]} == {((2, 3), (0, 8))}
    assert check_devices(graph, partition(graph, plan)) == []


@pytest.mark.parametrize("way", ["rows", "columns"])
def test_what_nobody_reads_is_made_where_ranks_make_what_they_read_themselves(way: str):
    """The SLICE takes rows 1 to 6, the second column and three channels of eight."""
    net = LayerBuilder("sliced", 1, images=2)
    x = net.conv(net.input((9, 3, 2)), 8, (1, 1))
    numbers = (net.constant(np.array(n, np.int32)) for n in ([0, 1, 1, 0], [1, 6, 2, 3]))
    y = net.emit("SLICE", [x.value, *numbers], x.samples[:, 1:7, 1:, :3], x.quantization)
    graph = net.finish(y)
    first, second = graph.nodes
    bounds = {"rows": (0, 4, 9), "columns": (0, 2, 3)}[way]
    cut = {"rows": (0, 2, 6), "columns": (0, 1, 2)}[way]
    plan = plan_of(
        2,
        NodeSplit(first.name, Way(way), way, bounds, streamed=True),
        NodeSplit(second.name, Way(way), way, cut, gather_tiles=2),
    )
    made = lay_out(graph, plan).streamed[first.output]
    assert covers([box for of_rank in made for box in of_rank], first.output.shape)
    assert check_devices(graph, partition(graph, plan)) == []


def test_rows_that_a_stride_steps_over_are_made_all_the_same():
    net = LayerBuilder("strided", 1, images=2)
    x = net.conv(net.conv(net.input((9, 3, 2)), 4, (1, 1)), 4, (1, 1))
    graph = net.finish(net.conv(x, 6, (1, 1), (3, 3)))
    first, second, third = graph.nodes
    plan = plan_of(
        2,
        whole(first, 0),
        replace(out_channels(second, 0, 2, 4), streamed=True),
        replace(out_channels(third, 0, 3, 6), gather_tiles=3),
    )
    layouts = lay_out(graph, plan)
    assert row_spans(layouts.streamed[second.output][0]) == [(0, 3), (3, 6), (6, 9)]
    assert check_devices(graph, partition(graph, plan)) == []


@pytest.mark.parametrize(
    ("index", "split", "text"),
    [
        (
            3,
            replace(rows(PROJECT, 0, 4, 8), streamed=True),
            "no node reads its result",
        ),
        (0, replace(out_channels(FIRST, 0, 2, 4), streamed=True, gather_tiles=2), "of its own"),
        (
            0,
            replace(in_channels(FIRST, (0, 2, 4), (0, 2, 4)), streamed=True),
            "it has sums or tiles of its own",
        ),
    ],
    ids=["output", "tiles", "sums"],
)
def test_what_cannot_be_streamed(index: int, split: NodeSplit, text: str):
    splits = list(SUMS.splits)
    splits[index] = split
    with pytest.raises(PlanError, match=text) as caught:
        lay_out(GRAPH, replace(SUMS, splits=tuple(splits)))
    assert repr(split.node) in str(caught.value)


def test_what_is_read_in_the_tiles_of_two_nodes_cannot_be_streamed():
    graph = expansion(residual=True)
    splits = [NodeSplit(node.name, Way.REPLICATED) for node in graph.nodes]
    splits[0] = replace(splits[0], streamed=True)
    names = f"{graph.nodes[1].name!r} and of {graph.nodes[4].name!r}"
    with pytest.raises(PlanError, match=names) as caught:
        lay_out(graph, plan_of(2, *splits))
    assert repr(splits[0].node) in str(caught.value)
    assert plan_problems(graph, plan_of(2, *splits)) == [
        f"{splits[0].node!r}: streamed needs one result, which layers read that all run in the "
        "same tiles"
    ]


def test_what_several_read_is_made_once_a_tile_for_all_of_them():
    """The ADD adds rows 0:4, the window before it reads 0:5: those are made, and once."""
    graph = expansion(residual=True)
    splits = [NodeSplit(node.name, Way.REPLICATED, streamed=True) for node in graph.nodes]
    splits[-1] = replace(splits[-1], streamed=False, gather_tiles=2)
    plan = plan_of(1, *splits)
    assert plan_problems(graph, plan) == []
    layouts = lay_out(graph, plan)
    assert row_spans(layouts.streamed[graph.nodes[0].output][0]) == [(0, 5), (3, 8)]
    (device,) = partition(graph, plan)
    assert sum("DEPTHWISE" in node.op for node in device.graph.nodes) == 2


@st.composite
def branched(draw: st.DrawFn) -> tuple[Graph, Plan]:
    """Two branches of any windows, pools and pads of channels, all in the tiles of the last ADD."""
    net = LayerBuilder("branches", draw(st.integers(0, 99)), images=2)
    x = net.input(draw(st.tuples(st.integers(4, 11), st.integers(4, 9), st.integers(1, 4))))
    x = net.conv(x, draw(st.integers(1, 5)))
    for _ in range(draw(st.integers(1, 2))):
        channels, stride = x.value.shape[3], draw(st.sampled_from([1, 2]))
        more = draw(st.integers(0, 3))
        kernel = draw(st.sampled_from([(3, 3), (1, 1), (5, 3)]))
        y = net.conv(x, channels + more, kernel, (stride, stride))
        if stride == 2:
            x = net.max_pool(x, (2, 2), (2, 2), same=True)
        if more:
            x = net.pad(x, (0, 0), (0, 0), (0, more))
        x = net.add(x, y)
    graph = net.finish(x)
    ranks = draw(st.integers(1, 3))
    way = draw(st.sampled_from([Way.ROWS, Way.COLUMNS, Way.WHOLE, Way.REPLICATED]))

    def split(node: Node) -> NodeSplit:
        if way in (Way.WHOLE, Way.REPLICATED):
            return NodeSplit(node.name, way, streamed=True)
        size = node.output.shape[1 if way is Way.ROWS else 2]
        return NodeSplit(node.name, way, way.value, draw(bounds(size, ranks)), streamed=True)

    *inner, last = map(split, graph.nodes)
    tiles = draw(st.integers(2, 5))
    last = replace(last, streamed=False, gather_tiles=tiles)
    if tile_factor(graph.nodes[-1], last) is None and way is not Way.ROWS:
        last, inner = replace(last, gather_tiles=1), [replace(s, streamed=False) for s in inner]
    return graph, replace(plan_of(ranks, *inner, last), fuse=True)


@needs_tflm
@settings(max_examples=25)
@given(branched())
def test_any_streamed_branches_give_the_same_bits(drawn: tuple[Graph, Plan]):
    graph, plan = drawn
    assert plan_problems(graph, plan) == []
    devices = lower(graph, plan)
    assert check_devices(graph, devices) == []
    verdict = compared(Split(graph, plan, devices), runs=1)
    assert verdict.passed, verdict


@st.composite
def blocks(draw: st.DrawFn) -> tuple[Graph, Plan]:
    """A block of any window and stride, with any cuts, tiles and streams."""
    net = LayerBuilder("block", draw(st.integers(0, 99)), images=2)
    shape = draw(st.tuples(st.integers(2, 9), st.integers(1, 5), st.integers(1, 3)))
    thin, wide = draw(st.integers(2, 6)), draw(st.integers(2, 12))
    stride = draw(st.sampled_from([(1, 1), (2, 2), (2, 1), (3, 1)]))
    x = net.conv(net.input(shape), thin)
    e = net.conv(x, wide, draw(st.sampled_from([(1, 1), (3, 3)])))
    d = net.depthwise(e, draw(st.sampled_from([(3, 3), (1, 1), (5, 2), (2, 2)])), stride)
    y = net.conv(d, thin, (1, 1), activation=NONE)
    graph = net.finish(net.add(y, x) if stride == (1, 1) else y)
    ranks = draw(st.integers(1, 6))
    _, expand, depthwise, project, *rest = graph.nodes
    cuts, kept = draw(bounds(wide, ranks)), draw(bounds(thin, ranks))
    other = draw(st.sampled_from([cuts, draw(bounds(wide, ranks))]))
    tiles = draw(st.integers(2, 8))
    last = draw(
        st.sampled_from(
            [
                replace(in_channels(project, cuts, kept), sum_tiles=tiles),
                replace(out_channels(project, *kept), gather_tiles=tiles),
                NodeSplit(project.name, Way.WHOLE, rank=ranks - 1, gather_tiles=tiles),
            ]
        )
    )
    if tile_factor(project, last) is None:
        last = replace(last, sum_tiles=1, gather_tiles=1)
    splits = (
        draw(plans(graph, ranks)).splits[0],
        replace(out_channels(expand, *other), streamed=draw(st.booleans())),
        NodeSplit(depthwise.name, Way.CHANNELS, "channels", cuts, streamed=True),
        last,
        *(NodeSplit(node.name, Way.CHANNELS, "channels", kept) for node in rest),
    )
    first_split = replace(splits[0], streamed=False)
    return graph, replace(
        plan_of(ranks, first_split, *splits[1:]), fuse=draw(st.booleans(), label="fuse")
    )


@needs_tflm
@settings(max_examples=50)
@given(blocks())
def test_any_streamed_block_gives_the_same_bits(drawn: tuple[Graph, Plan]):
    graph, plan = drawn
    devices = lower(graph, plan)
    assert check_devices(graph, devices) == []
    verdict = compared(Split(graph, plan, devices), runs=1)
    assert verdict.passed, verdict
