# SPDX-License-Identifier: Apache-2.0
"""TRANSPOSE_CONV: shards assembled are the whole, bit for bit, on TFLM."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.test_conv import ACTIVATIONS, weights_and_bias
from tests.support import (
    check_drawn,
    contents_of,
    integers,
    node,
    pieces_of,
    run_shards,
    run_whole,
    tensor,
)
from tflsplit.ir import Node, Padding
from tflsplit.ops import rule_of


def transpose_conv(
    seed: int,
    extent: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: int,
    channels: tuple[int, int] = (3, 4),
    bias: bool = True,
    activation: int = 0,
) -> Node:
    """The result is as large as Keras makes it."""
    out = [
        n * s if padding == Padding.SAME else n * s + max(k - s, 0)
        for n, k, s in zip(extent, kernel, stride, strict=True)
    ]
    x = tensor("x", (2, *extent, channels[0]), zero_point=-11)
    rng = np.random.default_rng(seed)
    shape = (channels[1], *kernel, channels[0])
    weights, bias_value, scale = weights_and_bias(rng, shape, 0, x, bool(seed % 2), bias)
    y = tensor("y", (2, *out, channels[1]), scale=scale, zero_point=6)
    return node(
        "TRANSPOSE_CONV",
        [integers("shape", y.shape), weights, x, bias_value][: 4 if bias else 3],
        y,
        padding=padding,
        stride_h=stride[0],
        stride_w=stride[1],
        fused_activation_function=activation,
    )


small = st.integers(1, 4)
nodes = st.builds(
    transpose_conv,
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 6), st.integers(1, 4)),
    st.tuples(small, small),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.sampled_from([Padding.SAME, Padding.VALID]),
    st.tuples(small, small),
    st.booleans(),
    ACTIVATIONS,
)


@settings(max_examples=60)
@given(nodes, st.data())
def test_every_factor(split: Node, data: st.DataObject):
    must_have = {"batch", "out_channels"}
    for dim, name in ((1, "rows"), (2, "columns")):
        stride = split.attrs.integer("stride_h" if dim == 1 else "stride_w")
        if stride <= split.input(1).shape[dim]:
            must_have.add(name)
    check_drawn(data, split, must_have)


def test_upsampling_by_two_reads_half_the_rows():
    split = transpose_conv(0, (8, 8), (2, 2), (2, 2), Padding.SAME)
    box = rule_of(split).piece(split, {"rows": (4, 8)}).operands[2]
    assert box is not None
    assert box.intervals[1] == (2, 4)


def test_gaps_between_kernels_stay_whole():
    split = transpose_conv(0, (4, 4), (1, 3), (2, 2), Padding.SAME)
    names = {factor.name for factor in rule_of(split).factors(split)}
    assert names == {"batch", "columns", "out_channels"}


def test_the_comparison_sees_a_missing_row():
    split = transpose_conv(0, (6, 4), (3, 3), (2, 2), Padding.SAME)
    known, rule = contents_of(split, 0), rule_of(split)
    rows = next(factor for factor in rule.factors(split) if factor.name == "rows")
    pieces = pieces_of(rule, split, rows, (0, 5, 12))
    whole = run_whole(split, known)[0]
    np.testing.assert_array_equal(run_shards(split, pieces, known)[0], whole)
    box = pieces[0].operands[2]
    assert box is not None
    start, stop = box.intervals[1]
    short = box.with_dim(1, (start, stop - 1))
    pieces[0] = replace(
        pieces[0], operands=(*pieces[0].operands[:2], short, *pieces[0].operands[3:])
    )
    assert (run_shards(split, pieces, known)[0] != whole).any()
