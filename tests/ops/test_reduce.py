# SPDX-License-Identifier: Apache-2.0
"""Reductions, softmax and their kin: shards assembled are the whole, bit for bit, on TFLM."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.support import all_dims, check_drawn, check_rule, contents_of, integers, node, tensor
from tflsplit.ir import DType, Node
from tflsplit.ops import rule_of
from tflsplit.ops.dims import dim_name
from tflsplit.ops.factors import SAME_INDEX, Factor
from tflsplit.ops.own import mean_sums
from tflsplit.ops.stock import reduce
from tflsplit.ops.stock.softmax import LastDimRule

SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


@st.composite
def reductions(draw: st.DrawFn, op: str) -> Node:
    shape = draw(SHAPES)
    dims = draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    keep = draw(st.booleans())
    after = tuple(
        1 if dim in dims else extent for dim, extent in enumerate(shape) if keep or dim not in dims
    )
    axes = [dim - draw(st.sampled_from([0, len(shape)])) for dim in sorted(dims)]
    scale = 0.05 if op.startswith("REDUCE") else 0.03
    x, y = tensor("x", shape), tensor("y", after, scale=scale)
    return node(op, [x, integers("axes", axes)], y, keep_dims=keep)


@settings(max_examples=60)
@given(st.sampled_from(["MEAN", "SUM", "REDUCE_MAX"]).flatmap(reductions), st.data())
def test_every_kept_dimension(op: Node, data: st.DataObject):
    rank, axes = len(op.input(0).shape), op.input(1).data
    assert axes is not None
    kept = [dim for dim in range(rank) if dim not in axes % rank]
    places = kept if op.attrs["keep_dims"] else range(len(kept))
    check_drawn(data, op, {dim_name(place, len(op.output.shape)) for place in places})


SCALES = st.sampled_from([0.0007, 0.02, 0.05, 0.4])
ZERO_POINTS = st.integers(-128, 127)


@settings(max_examples=40)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 8), st.integers(1, 5)),
    st.tuples(SCALES, SCALES, ZERO_POINTS, ZERO_POINTS),
    st.booleans(),
    st.data(),
)
def test_exact_sums_of_a_map_at_any_scale_and_zero_point(
    extent: tuple[int, int, int],
    quantization: tuple[float, float, int, int],
    keep: bool,
    data: st.DataObject,
):
    x_scale, y_scale, x_zero_point, y_zero_point = quantization
    x = tensor("x", (1, *extent), scale=x_scale, zero_point=x_zero_point)
    after = (1, 1, 1, extent[2]) if keep else (1, extent[2])
    y = tensor("y", after, scale=y_scale, zero_point=y_zero_point)
    mean = node("MEAN", [x, integers("axes", [2, 1])], y, keep_dims=keep)
    sums = {f"in_{name}" for name, n in zip(("rows", "columns"), extent, strict=False) if n > 1}
    check_drawn(data, mean, {"batch", "channels"} | sums)


def test_the_comparison_sees_a_mean_that_divides_by_another_number(
    monkeypatch: pytest.MonkeyPatch,
):
    x, y = tensor("x", (1, 7, 7, 20)), tensor("y", (1, 20))
    mean = node("MEAN", [x, integers("axes", [1, 2])], y, keep_dims=False)
    exact = mean_sums.mean_multiplier
    bounds = {"batch": (0, 1), "channels": (0, 9, 20), "in_rows": (0, 3, 7), "in_columns": (0, 7)}
    check_rule(mean, contents_of(mean, 0), bounds)
    monkeypatch.setattr(reduce, "mean_multiplier", lambda *given: exact(given[0], given[1] + 1))
    with pytest.raises(AssertionError, match="sums over in_rows"):
        check_rule(mean, contents_of(mean, 0), bounds)


def test_what_is_no_run_of_dimensions_or_has_nothing_left_is_not_summed_in_parts():
    x = tensor("x", (2, 3, 4, 5))
    apart = node("MEAN", [x, integers("axes", [0, 2])], tensor("y", (3, 5)), keep_dims=False)
    all_of_it = node("MEAN", [x, integers("axes", [0, 1, 2, 3])], tensor("y", ()), keep_dims=False)
    names = [{f.name for f in rule_of(op).factors(op)} for op in (apart, all_of_it)]
    assert names == [{"batch", "channels"}, set()]


@settings(max_examples=20)
@given(SHAPES, st.sampled_from(["ARG_MAX", "ARG_MIN"]), st.data())
def test_arg_max(shape: tuple[int, ...], op: str, data: st.DataObject):
    axis = data.draw(st.integers(0, len(shape) - 1))
    after = (*shape[:axis], *shape[axis + 1 :])
    y = tensor("y", after, DType.INT32, None)
    split = node(op, [tensor("x", shape), integers("axis", [axis])], y, output_type=2)
    check_drawn(data, split, all_dims(split))


@pytest.mark.parametrize("op", ["SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION"])
@settings(max_examples=12)
@given(SHAPES, st.data())
def test_along_the_last_dimension(op: str, shape: tuple[int, ...], data: st.DataObject):
    scale, zero_point = {
        "SOFTMAX": (1 / 256, -128),
        "LOG_SOFTMAX": (16 / 256, 127),
        "L2_NORMALIZATION": (1 / 128, 0),
    }[op]
    assume(len(shape) > 1)
    attrs = {"beta": 1.0} if op == "SOFTMAX" else {}
    y = tensor("y", shape, scale=scale, zero_point=zero_point)
    softmax = node(op, [tensor("x", shape)], y, **attrs)
    check_drawn(data, softmax)
    assert len(rule_of(softmax).factors(softmax)) == len(shape) - 1


def test_the_mobilenet_mean_splits_by_channels_and_as_sums_of_rows_or_columns():
    x, y = tensor("x", (1, 7, 7, 20)), tensor("y", (1, 20))
    mean = node("MEAN", [x, integers("axes", [1, 2])], y, keep_dims=False)
    sizes = {factor.name: factor.size for factor in rule_of(mean).factors(mean)}
    assert sizes == {"batch": 1, "channels": 20, "in_rows": 7, "in_columns": 7}


def test_computed_axes_stay_whole():
    x, axes = tensor("x", (1, 7, 7, 20)), tensor("axes", (2,), DType.INT32, None)
    mean = node("MEAN", [x, axes], tensor("y", (1, 20)), keep_dims=False)
    assert rule_of(mean).factors(mean) == ()


def test_the_comparison_sees_a_split_softmax(monkeypatch: pytest.MonkeyPatch):
    y = tensor("y", (2, 6), scale=1 / 256, zero_point=-128)
    softmax = node("SOFTMAX", [tensor("x", (2, 6))], y, beta=1.0)
    wrong = Factor("channels", 6, {0: (1, SAME_INDEX)}, {0: (1, 1)})
    monkeypatch.setattr(LastDimRule, "find_factors", lambda *_: (wrong,))
    with pytest.raises(AssertionError, match="split by channels"):
        check_rule(softmax, contents_of(softmax, 0), {"channels": (0, 3, 6)})
