# SPDX-License-Identifier: Apache-2.0
"""Pooling: shards assembled are the whole, bit for bit, on TFLM."""

from __future__ import annotations

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from tests.ops.test_conv import ACTIVATIONS, PADDINGS
from tests.support import check_drawn, check_rule, contents_of, node, tensor
from tflsplit.ir import DType, Node, Padding
from tflsplit.ops import rule_of
from tflsplit.ops.own.mean_sums import pool_multiplier
from tflsplit.ops.stock.pooling import AveragePoolRule
from tflsplit.ops.window import WindowAxis


def pool(
    op: str,
    extent: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: int,
    dtype: DType = DType.INT8,
    channels: int = 3,
    activation: int = 0,
) -> Node:
    axes = [WindowAxis(k, s) for k, s in zip(kernel, stride, strict=True)]
    out = [axis.out_extent(padding, n) for axis, n in zip(axes, extent, strict=True)]
    if min(out) < 1:
        reject()
    zero_point = 0 if dtype is not DType.INT8 else -20
    return node(
        op,
        [tensor("x", (2, *extent, channels), dtype, 0.05, zero_point)],
        tensor("y", (2, *out, channels), dtype, 0.05, zero_point),
        padding=padding,
        stride_h=stride[0],
        stride_w=stride[1],
        filter_height=kernel[0],
        filter_width=kernel[1],
        fused_activation_function=activation,
    )


small = st.tuples(st.integers(1, 3), st.integers(1, 3))
pools = st.builds(
    pool,
    st.sampled_from(["AVERAGE_POOL_2D", "MAX_POOL_2D"]),
    st.tuples(st.integers(1, 11), st.integers(1, 6)),
    st.tuples(st.integers(1, 5), st.integers(1, 3)),
    small,
    PADDINGS,
    st.sampled_from([DType.INT8, DType.INT8, DType.INT16]),
    st.integers(1, 5),
    ACTIVATIONS,
)
no_overlap = small.flatmap(
    lambda kernel: st.builds(
        pool,
        st.just("AVERAGE_POOL_2D"),
        st.tuples(st.integers(1, 11), st.integers(1, 7)),
        st.just(kernel),
        st.just(kernel),
        st.just(Padding.SAME),
    )
)


@settings(max_examples=60)
@given(pools, st.data())
def test_every_factor(node: Node, data: st.DataObject):
    must_have = {"batch", "channels"}
    if node.op == "MAX_POOL_2D" or node.attrs["padding"] == Padding.VALID:
        must_have |= {"rows", "columns"}
    check_drawn(data, node, must_have)


@settings(max_examples=40)
@given(no_overlap, st.data())
def test_every_factor_of_averages_without_overlap(node: Node, data: st.DataObject):
    check_drawn(data, node, {"batch", "channels"})


def names(node: Node) -> set[str]:
    return {factor.name for factor in rule_of(node).factors(node)}


@settings(max_examples=30)
@given(
    st.sampled_from([(3, 3), (7, 7), (5, 1), (1, 9), (11, 5)]),
    st.sampled_from([0, 1, 3]),
    st.data(),
)
def test_averages_of_a_whole_map_as_exact_sums(
    extent: tuple[int, int], activation: int, data: st.DataObject
):
    whole = pool("AVERAGE_POOL_2D", extent, extent, extent, Padding.VALID, activation=activation)
    sums = {f"in_{name}" for name, n in zip(("rows", "columns"), extent, strict=True) if n > 1}
    check_drawn(data, whole, {"batch", "channels"} | sums)


def test_averages_that_have_halves_to_round_are_not_summed_in_parts():
    """TFLM rounds halves away from the stored 0, which no multiplier does beside a zero point."""
    even = pool("AVERAGE_POOL_2D", (8, 8), (8, 8), (8, 8), Padding.VALID)
    assert names(even) == {"batch", "rows", "columns", "channels"}
    assert pool_multiplier(64, -20) is None
    assert pool_multiplier(64, 0) is not None
    assert all(pool_multiplier(count, -128) for count in (3, 9, 49, 225, 1001))


def test_averages_whose_divisor_counts_padding_keep_their_rows():
    same = pool("AVERAGE_POOL_2D", (6, 6), (3, 3), (1, 1), Padding.SAME)
    assert names(same) == {"batch", "channels"}
    halves = pool("AVERAGE_POOL_2D", (7, 6), (2, 2), (2, 2), Padding.SAME)
    assert names(halves) == {"batch", "rows", "columns", "channels"}


def test_float_maxima_with_padding_keep_their_rows():
    floats = pool("MAX_POOL_2D", (6, 6), (3, 3), (1, 1), Padding.SAME, DType.FLOAT32)
    assert names(floats) == {"batch", "channels"}


def test_the_comparison_sees_averages_that_count_padding(monkeypatch: pytest.MonkeyPatch):
    same = pool("AVERAGE_POOL_2D", (6, 6), (3, 3), (1, 1), Padding.SAME)
    monkeypatch.setattr(AveragePoolRule, "spatial_dims", lambda *_: (1, 2))
    monkeypatch.setattr(AveragePoolRule, "neutral", lambda *_: -20)
    bounds = {"batch": (0, 2), "rows": (0, 3, 6), "columns": (0, 6), "channels": (0, 3)}
    with pytest.raises(AssertionError, match="split by rows"):
        check_rule(same, contents_of(same, 0), bounds)
