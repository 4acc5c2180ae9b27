# SPDX-License-Identifier: Apache-2.0
"""Plans that people have edited: every violation is found, each can occur, none is invented."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plan.networks import in_channels, out_channels, plan_of, rows, two_convolutions, whole
from tests.splits import networks, plans, tiny
from tflsplit.ir import DType, Graph, Node, Quantization, Value
from tflsplit.plan.check import plan_problems
from tflsplit.plan.policy import choose_plan
from tflsplit.plan.shards import tile_factor
from tflsplit.plan.spec import NodeSplit, Plan, Way
from tflsplit.plan.wishes import Wishes

GRAPH = two_convolutions()
A, B = GRAPH.nodes
GOOD = plan_of(2, rows(A, 0, 4, 8), in_channels(B, (0, 3, 6), (0, 2, 4)))


def changed(index: int, **fields: Any) -> Plan:
    splits = list(GOOD.splits)
    splits[index] = replace(splits[index], **fields)
    return replace(GOOD, splits=tuple(splits))


def test_a_good_plan_has_no_problems():
    assert plan_problems(GRAPH, GOOD) == []
    # Each rank takes the rows that are its own a few at a time.
    assert plan_problems(GRAPH, changed(0, gather_tiles=2)) == []
    uneven = replace(whole(A, 1), gather_tiles=2, tile_bounds=(0, 6, 8))
    assert plan_problems(GRAPH, replace(GOOD, splits=(uneven, GOOD.splits[1]))) == []


def test_a_node_without_rows_has_no_tiles():
    softmax = tiny("ds_cnn").nodes[-1]
    graph = Graph("end", tuple(softmax.operands), softmax.outputs, [softmax])
    plan = plan_of(1, NodeSplit(softmax.name, Way.WHOLE, gather_tiles=2))
    assert [text for text in plan_problems(graph, plan) if "cannot be run in tiles" in text]


def test_nothing_joins_tiles_of_uint8():
    """How converters end a network whose output is uint8: TFLM's CONCATENATION takes none."""
    to = Value("y", A.output.shape, DType.UINT8, Quantization((0.1,), (128,)))
    end = Node("QUANTIZE", (A.output,), (to,), version=2)
    graph = Graph("end", (A.output,), (to,), [end])
    split = NodeSplit(end.name, Way.WHOLE, gather_tiles=2)
    assert tile_factor(end, split) is None
    assert (
        "QUANTIZE, split so, cannot be run in tiles" in plan_problems(graph, plan_of(1, split))[0]
    )


BAD: dict[str, tuple[Plan, str]] = {
    "bounds too short": (changed(0, bounds=(0, 8)), "bounds has 2 numbers, not 3"),
    "bounds end early": (changed(0, bounds=(0, 4, 7)), "goes from 0 to 7, not from 0 to 8"),
    "bounds descend": (changed(0, bounds=(0, 9, 8)), "does not ascend"),
    "factor unknown": (changed(0, factor="pages"), "cannot be split by 'pages', only by"),
    "extent outside": (
        changed(0, extents=((0, 5), (3, 9))),
        "extent of rank 1, 3 to 9, is outside",
    ),
    "extents missing": (changed(0, extents=((0, 5),)), "extents has 1 intervals, not 2"),
    "sums of rows": (changed(0, scatter_factor="columns"), "rows makes no sums"),
    "tiles of sums of rows": (changed(0, sum_tiles=2), "rows makes no sums: sum_tiles must be 1"),
    "gathered sums": (changed(1, gather_tiles=2), "in_channels makes sums, which have sum_tiles"),
    "streamed result": (
        replace(GOOD, splits=(GOOD.splits[0], replace(rows(B, 0, 4, 8), streamed=True))),
        "one result, which layers read that all run in the same tiles",
    ),
    "streamed extents": (
        changed(0, streamed=True, extents=((0, 5), (3, 8))),
        "streamed has no extents",
    ),
    "streamed tiles": (
        replace(GOOD, splits=(replace(whole(A, 1), gather_tiles=2, streamed=True), GOOD.splits[1])),
        "streamed has no sums and no tiles of its own",
    ),
    "gather tiles": (
        replace(GOOD, splits=(replace(whole(A, 1), gather_tiles=0), GOOD.splits[1])),
        "gather_tiles is 0, not within 1..10",
    ),
    "tile bounds without tiles": (
        replace(GOOD, splits=(replace(whole(A, 1), tile_bounds=(0, 8)), GOOD.splits[1])),
        "tile_bounds are of gather_tiles only",
    ),
    "tile bounds of shared rows": (
        changed(0, gather_tiles=2, tile_bounds=(0, 5, 8)),
        "not from 0 to nothing: the devices share the rows out",
    ),
    **{
        f"tile bounds {bounds}": (
            replace(
                GOOD,
                splits=(
                    replace(whole(A, 1), gather_tiles=2, tile_bounds=bounds),
                    GOOD.splits[1],
                ),
            ),
            message,
        )
        for bounds, message in (
            ((0, 8), "tile_bounds has 2 numbers, not 3"),
            ((0, 5, 7), "tile_bounds goes from 0 to 7, not from 0 to 8"),
            ((0, 8, 8), "tile_bounds [0, 8, 8] does not ascend"),
        )
    },
    "sums scattered by rows": (
        changed(1, scatter_factor="rows", scatter_bounds=(0, 4, 8), sum_tiles=2),
        "cannot be run in tiles of rows: sum_tiles must be 1",
    ),
    "sums nowhere": (changed(1, scatter_factor="rows?"), "cannot be scattered by 'rows?'"),
    "scatter bounds": (changed(1, scatter_bounds=(0, 2, 3)), "scatter_bounds goes from 0 to 3"),
    "tiles": (changed(1, sum_tiles=11), "sum_tiles is 11, not within 1..10"),
    "scratch": (changed(0, scratch_limit_bytes=0), "scratch_limit_bytes is 0"),
    "rank": (replace(GOOD, splits=(whole(A, 2), GOOD.splits[1])), "rank 2 is none of 0..1"),
    "whole with bounds": (
        replace(GOOD, splits=(NodeSplit(A.name, Way.WHOLE, "rows", (0, 4, 8)), GOOD.splits[1])),
        "takes neither factor nor bounds",
    ),
    "missing": (replace(GOOD, splits=GOOD.splits[:1]), "nothing is said of"),
    "twice": (replace(GOOD, splits=(*GOOD.splits, GOOD.splits[0])), "is listed 2 times"),
    "unknown": (replace(GOOD, splits=(*GOOD.splits, NodeSplit("x", Way.WHOLE))), "no layer 'x'"),
    "shares": (replace(GOOD, shares=(0.5, 0.6)), "are not fractions of 1"),
    "number of shares": (replace(GOOD, shares=(1.0,)), "there are 1 shares for 2 devices"),
    "stock": (replace(GOOD, stock_kernels=True), "stock kernels cannot return"),
}


@pytest.mark.parametrize("name", BAD)
def test_each_violation_is_found_alone(name: str):
    plan, text = BAD[name]
    problems = plan_problems(GRAPH, plan)
    assert len(problems) == 1, problems
    assert text in problems[0]


def test_all_violations_are_found_at_once():
    splits = (replace(GOOD.splits[0], bounds=(0, 8)), replace(GOOD.splits[1], sum_tiles=11))
    problems = plan_problems(GRAPH, replace(GOOD, splits=splits, shares=(1.0,)))
    assert len(problems) == 3
    assert any(A.name in text for text in problems)
    assert any(B.name in text for text in problems)


@pytest.mark.parametrize("name", ["mobilenet", "unet", "squeeze_excite", "temporal"])
@pytest.mark.parametrize("split", ["auto", "rows", "channels", "out_channels"])
def test_nothing_is_wrong_with_the_policys_plans(name: str, split: str):
    graph = tiny(name)
    for world_size in (1, 2, 5):
        wishes = Wishes(world_size, split, fuse=True)
        assert plan_problems(graph, choose_plan(graph, wishes)) == []


@given(st.data())
def test_nothing_is_wrong_with_any_plan_at_all(data: st.DataObject):
    graph = data.draw(networks())
    assert plan_problems(graph, data.draw(plans(graph, 3))) == []


def test_of_two_nodes_only_the_damaged_one_is_named():
    plan = plan_of(2, rows(A, 0, 4, 8), out_channels(B, 0, 5, 4))
    (problem,) = plan_problems(GRAPH, plan)
    assert B.name in problem
    assert A.name not in problem
