# SPDX-License-Identifier: Apache-2.0
"""BATCH_MATMUL: shards assembled are the whole, bit for bit, on TFLM."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import (
    all_dims,
    check_drawn,
    check_rule,
    constant,
    contents_of,
    local_inputs,
    node,
    tensor,
)
from tflsplit.ir import DType, Node, Value
from tflsplit.memory.abi import CORTEX_M
from tflsplit.memory.demand import node_demand
from tflsplit.ops import Piece, local_value, rule_of
from tflsplit.ops.dims import passing_factor
from tflsplit.ops.factors import SAME_INDEX
from tflsplit.ops.stock.batch_matmul import BatchMatmulRule

STACKS = st.lists(st.integers(1, 3), max_size=2).map(tuple)
SIZES = st.integers(1, 6)


def product(
    x: Value, y: Value, stack: tuple[int, ...], adj_x: bool = False, adj_y: bool = False
) -> Node:
    """The BATCH_MATMUL of two operands whose stacks broadcast to ``stack``."""
    rows, columns = x.shape[-1 if adj_x else -2], y.shape[-2 if adj_y else -1]
    quantized = x.dtype is not DType.FLOAT32
    zero_point = -5 if x.dtype is DType.INT8 else 0
    result = tensor("z", (*stack, rows, columns), x.dtype, 0.02 if quantized else None, zero_point)
    return node("BATCH_MATMUL", [x, y], result, adj_x=adj_x, adj_y=adj_y)


def matrices(
    name: str, stack: tuple[int, ...], rows: int, columns: int, adjoint: bool, dtype: DType
) -> Value:
    shape = (*stack, columns, rows) if adjoint else (*stack, rows, columns)
    zero_point = 3 if dtype is DType.INT8 else 0
    scale = None if dtype is DType.FLOAT32 else 0.05 if dtype is DType.INT8 else 0.001
    return tensor(name, shape, dtype, scale, zero_point)


@st.composite
def products(draw: st.DrawFn, dtype: DType = DType.INT8) -> Node:
    stack = draw(STACKS)
    rows, summed, columns = draw(SIZES), draw(SIZES), draw(SIZES)
    adj_x, adj_y = draw(st.booleans()), draw(st.booleans())
    x = matrices("x", stack, rows, summed, adj_x, dtype)
    y = matrices("y", stack, summed, columns, adj_y, dtype)
    if draw(st.booleans()) and dtype is DType.INT8:
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        y = constant("y", rng.integers(-128, 128, y.shape).astype(np.int8), 0.01)
    return product(x, y, stack, adj_x, adj_y)


@settings(max_examples=60)
@given(products(), st.data())
def test_every_factor_of_int8(matmul: Node, data: st.DataObject):
    check_drawn(data, matmul, all_dims(matmul))


@settings(max_examples=20)
@given(products(DType.INT16), st.data())
def test_every_factor_of_int16(matmul: Node, data: st.DataObject):
    check_drawn(data, matmul, all_dims(matmul))


@settings(max_examples=10)
@given(products(DType.FLOAT32), st.data())
def test_every_factor_of_floats(matmul: Node, data: st.DataObject):
    check_drawn(data, matmul, all_dims(matmul))


@settings(max_examples=60)
@given(STACKS, STACKS, SIZES, SIZES, st.booleans(), st.booleans(), st.data())
def test_stacks_that_broadcast(
    a: tuple[int, ...],
    b: tuple[int, ...],
    rows: int,
    columns: int,
    adj_x: bool,
    adj_y: bool,
    data: st.DataObject,
):
    try:
        stack = np.broadcast_shapes(a, b)
    except ValueError:
        a, stack = (), b
    x = matrices("x", a, rows, 4, adj_x, DType.INT8)
    y = matrices("y", b, 4, columns, adj_y, DType.INT8)
    check_drawn(data, product(x, y, stack, adj_x, adj_y))


def test_the_comparison_sees_columns_that_follow_the_wrong_dimension(
    monkeypatch: pytest.MonkeyPatch,
):
    matmul = product(tensor("x", (2, 4, 4)), tensor("y", (2, 4, 4)), (2,))
    wrong = passing_factor(matmul.output, 2, {1: (1, SAME_INDEX)})
    monkeypatch.setattr(BatchMatmulRule, "find_factors", lambda *_: (wrong,))
    with pytest.raises((AssertionError, RuntimeError)):
        check_rule(matmul, contents_of(matmul, 1), {"channels": (0, 2, 4)})


@pytest.mark.parametrize("adj_x", [False, True])
@pytest.mark.parametrize("adj_y", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_a_shard_keeps_no_transposed_copy_in_the_tail(adj_x: bool, adj_y: bool, known: bool):
    """TFLM keeps one of x with adj_x, and of y without adj_y; the whole node stays as it is."""
    x = matrices("x", (2,), 16, 16, adj_x, DType.INT8)
    y = matrices("y", (2,), 16, 16, adj_y, DType.INT8)
    if known:
        y = constant("y", np.arange(512, dtype=np.int8).reshape(2, 16, 16), 0.01)
    matmul = product(x, y, (2,), adj_x, adj_y)
    rule = rule_of(matmul)
    half, whole = (rule.piece(matmul, {"batch": (0, stop)}) for stop in (1, 2))
    assert [made.op for made in local_nodes(matmul, whole)] == ["BATCH_MATMUL"]
    *moves, shard = local_nodes(matmul, half)
    assert [move.op for move in moves] == ["TRANSPOSE"] * (adj_x + (not adj_y and not known))
    kept = node_demand(shard, CORTEX_M, "reference").prepared.persistent
    assert sum(kept) < 16 * 16


def local_nodes(matmul: Node, piece: Piece) -> list[Node]:
    inputs, _ = local_inputs(matmul, piece, contents_of(matmul, 1))
    output = local_value(matmul.output, piece.results[0])
    return rule_of(matmul).localize(matmul, piece, inputs, [output])


def test_work():
    matmul = product(tensor("x", (2, 3, 5)), tensor("y", (2, 5, 7)), (2,))
    rule = rule_of(matmul)
    assert rule.macs(matmul) == 2 * 3 * 5 * 7
    assert rule.piece(matmul, {"rows": (1, 2)}).macs == 2 * 5 * 7
    assert rule.piece(matmul, {"batch": (0, 1)}).macs == 3 * 5 * 7


@pytest.mark.parametrize(
    ("x_shape", "y_shape", "result"),
    [
        ((3, 4), (5, 6), (3, 6)),
        ((3, 4), (4, 6), (3, 5)),
        ((2, 3, 4), (3, 4, 6), (2, 3, 6)),
        ((4,), (4, 6), (6,)),
    ],
)
def test_shapes_that_do_not_belong_together_stay_whole(
    x_shape: tuple[int, ...], y_shape: tuple[int, ...], result: tuple[int, ...]
):
    matmul = node("BATCH_MATMUL", [tensor("x", x_shape), tensor("y", y_shape)], tensor("z", result))
    assert rule_of(matmul).factors(matmul) == ()
