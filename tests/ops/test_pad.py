# SPDX-License-Identifier: Apache-2.0
"""PAD, PADV2 and MIRROR_PAD: shards assembled are the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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
    integers,
    node,
    tensor,
)
from tflsplit.ir import DType, Node
from tflsplit.ops import rule_of
from tflsplit.ops.stock.pad import PadRule

Pairs = Sequence[tuple[int, int]]


def pad(op: str, shape: Sequence[int], pairs: Pairs, dtype: DType = DType.INT8) -> Node:
    zero_point = 11 if dtype is DType.INT8 else 0
    after = [n + before + behind for n, (before, behind) in zip(shape, pairs, strict=True)]
    x, y = tensor("x", shape, dtype, 0.05, zero_point), tensor("y", after, dtype, 0.05, zero_point)
    inputs = [x, integers("paddings", pairs)]
    if op == "PADV2":
        inputs.append(constant("value", np.array([-7], dtype.numpy), 0.05, zero_point))
    attrs = {"mode": 0} if op == "MIRROR_PAD" else {}
    return node(op, inputs, y, **attrs)


@st.composite
def pads(draw: st.DrawFn) -> Node:
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    pairs = [draw(st.tuples(st.integers(0, 3), st.integers(0, 3))) for _ in shape]
    dtype = draw(st.sampled_from([DType.INT8, DType.INT16]))
    return pad(draw(st.sampled_from(["PAD", "PADV2"])), shape, pairs, dtype)


@settings(max_examples=60)
@given(pads(), st.data())
def test_every_dimension(split: Node, data: st.DataObject):
    check_drawn(data, split, all_dims(split))


@settings(max_examples=20)
@given(st.lists(st.integers(3, 5), min_size=2, max_size=4), st.data())
def test_mirror_pad_along_the_other_dimensions(shape: list[int], data: st.DataObject):
    dim = data.draw(st.integers(0, len(shape) - 1))
    pairs = [(2, 1) if d == dim else (0, 0) for d in range(len(shape))]
    split = pad("MIRROR_PAD", shape, pairs)
    check_drawn(data, split)
    assert len(rule_of(split).factors(split)) == len(shape) - 1


def test_a_piece_of_nothing_but_padding_reads_nothing():
    split = pad("PAD", (1, 4, 3, 2), [(0, 0), (3, 2), (0, 0), (0, 0)])
    piece = rule_of(split).piece(split, {"rows": (0, 2)})
    assert piece.operands[0] is not None
    assert piece.operands[0].is_empty
    assert piece.results[0].shape == (1, 2, 3, 2)
    bounds = {factor.name: (0, factor.size) for factor in rule_of(split).factors(split)}
    check_rule(split, contents_of(split, 0), {**bounds, "rows": (0, 2, 5, 8, 9)})


def test_shapes_that_do_not_fit_stay_whole():
    split = pad("PAD", (4,), [(1, 1)])
    wrong = replace(split, outputs=(tensor("y", (5,)),))
    assert rule_of(wrong).factors(wrong) == ()


def test_the_comparison_sees_the_whole_paddings_on_a_piece(monkeypatch: pytest.MonkeyPatch):
    split = pad("PAD", (1, 4), [(0, 0), (1, 1)])
    original = PadRule.localize

    def swapped(self, n, piece, inputs, outputs):
        pads = tuple((behind, before) for before, behind in piece.pads[0])
        wrong = replace(piece, pads=(pads, *piece.pads[1:]))
        return original(self, n, wrong, inputs, outputs)

    monkeypatch.setattr(PadRule, "localize", swapped)
    with pytest.raises(AssertionError, match="split by channels"):
        check_rule(split, contents_of(split, 0), {"batch": (0, 1), "channels": (0, 3, 6)})
