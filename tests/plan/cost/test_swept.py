# SPDX-License-Identifier: Apache-2.0
"""How often runs of columns and products are begun where few rows are kept."""

from __future__ import annotations

import pytest

from benchmarks.kernel_shapes import SWEPT, all_cases
from tflsplit.cluster import Family, known_board
from tflsplit.ir import Node
from tflsplit.plan.cost import local_node_us
from tflsplit.plan.cost.swept import Begun, begun_by_block, begun_by_chain
from tflsplit.plan.cost.work import work_of

CASES = dict(all_cases())


def swept(*block: int) -> Node:
    return CASES[f"swept {block}"]


@pytest.mark.parametrize(
    ("block", "runs", "apart"),
    [
        # e: 2 of 2 columns as a four, a row; y: the same
        ((1, 14, 2, 64, 384, 64, 2), 1, (2, 2)),
        # e: 5, then 4, then 4, then 1 of 14 columns: 5 fours; y: 4, 4, 4, 2: 4 fours
        ((1, 14, 14, 64, 384, 96, 4), 4, (6, 2)),
        # e: 2, then one by one: 13 fours; y: one by one
        ((1, 14, 14, 96, 576, 96, 1), 14, (38, 42)),
    ],
)
def test_what_a_row_begins(block: tuple[int, ...], runs: int, apart: tuple[int, int]) -> None:
    _, rows, _, depth, wide, made, _ = block
    begun = begun_by_block(swept(*block))
    of_e, of_y = apart
    assert begun == Begun(
        runs * rows * wide,
        runs * rows * wide,
        rows * (of_e * wide * (depth + 8) + of_y * made * (wide + 8)),
    )


def test_a_stride_brings_two_new_rows() -> None:
    begun = begun_by_block(swept(2, 7, 7, 96, 576, 160, 7))
    assert (begun.runs, begun.fresh) == (7 * 576, 2 * 7 * 576)


def test_of_a_chain_each_unit_begins_its_own() -> None:
    first, last = begun_by_chain(CASES["chain 56x16, 1 at a time"])
    assert first.runs > last.runs > 28 * 144
    wide = begun_by_chain(CASES["chain 56x16, 4 at a time"])
    assert all(a.runs < b.runs for a, b in zip(wide, (first, last), strict=True))


@pytest.mark.parametrize("block", SWEPT)
def test_fewer_columns_at_a_time_cost_more(block: tuple[int, ...]) -> None:
    """Than whole rows that are kept: those have no such work."""
    node, board = swept(*block), known_board("mps2_an500")
    extra = sum(w.amount * board.cycles.of(w.family) for w in work_of(node)
                if w.family in (Family.RUN, Family.APART))  # fmt: skip
    assert 0 < extra < local_node_us(board, node) * board.clock_hz / 1e6
