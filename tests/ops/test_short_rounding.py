# SPDX-License-Identifier: Apache-2.0
"""A short rounding is chosen where it gives TFLM's bits for every sum, and refused where not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.custom_cases import constant
from tflsplit.ops.own.packed_stage import PackedStage
from tflsplit.ops.own.semantics import requantize
from tflsplit.ops.own.short_rounding import (
    Finish,
    Rounding,
    Short,
    halves_fit,
    shortest,
    sum_bounds,
)
from tflsplit.ops.quantmath import Int32Array


def finish(
    multiplier: int = 2**30,
    shift: int = -8,
    bias: int = 0,
    y_zero_point: int = -128,
    activation: tuple[int, int] = (-128, 127),
) -> Finish:
    tables = [np.array([number], np.int32) for number in (bias, multiplier, shift)]
    return Finish(tables[0], tables[1], tables[2], y_zero_point, activation)


def weights(*numbers: int) -> np.ndarray:
    return np.array([numbers], np.int8)


def shortened(short: Short, sums: Int32Array, activation: tuple[int, int]) -> np.ndarray:
    """What the kernels do, in int64; nothing may leave int32 on the way."""
    wide = sums.astype(np.int64)
    high = (2 * wide * short.multiplier.astype(np.int64) + 2**31) >> 32
    if short.rounding is Rounding.TWICE:
        high += high >> 31
    total = high + short.addend.astype(np.int64)
    for array in (2 * wide, total):
        assert array.min() >= -(2**31)
        assert array.max() < 2**31
    return np.asarray(np.clip(total >> short.shift.astype(np.int64), *activation))


@settings(max_examples=300)
@given(st.data())
def test_the_bits_are_those_of_two_roundings(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    products = data.draw(st.sampled_from([1, 9, 27, 960, 9000]))
    x_zero_point, y_zero_point = (data.draw(st.integers(-128, 127)) for _ in range(2))
    low = data.draw(st.sampled_from([-128, y_zero_point, max(-128, y_zero_point - 1)]))
    shift = data.draw(st.integers(-31, 3))
    table = rng.integers(-128, 128, (1, products), np.int8)
    made = Finish(
        np.array([data.draw(st.integers(-(2**31), 2**31 - 1))], np.int32),
        rng.integers(2**30, 2**31, 1).astype(np.int32),
        np.array([shift], np.int32),
        y_zero_point,
        (low, 127),
    )
    short = shortest(made, table, x_zero_point)
    if short.rounding is Rounding.ANY:
        return
    least, most = (int(bound[0]) for bound in sum_bounds(table, x_zero_point))
    folded = x_zero_point * int(table.astype(np.int64).sum())
    bias = int(np.int64(int(made.bias[0]) + folded).astype(np.int32))
    # Sums at both ends, anywhere between them, and next to the points where rounding turns.
    turns = np.rint((np.arange(-400, 400) + 0.5) * 2.0 ** (31 - shift) / made.multiplier[0])
    near = np.concatenate([turns + step for step in (-1, 0, 1)])
    sums = np.concatenate(
        [rng.integers(least, most + 1, 500) + bias, near, [least + bias, most + bias]]
    )
    sums = sums[(sums >= least + bias) & (sums <= most + bias)].astype(np.int64).astype(np.int32)
    expected = requantize(
        sums[:, None], None, made.multiplier, made.shift, y_zero_point, (low, 127)
    )
    np.testing.assert_array_equal(shortened(short, sums[:, None], (low, 127)), expected)


def test_a_usual_layer_is_short() -> None:
    assert shortest(finish(), weights(1, 2, 3), -128).rounding is Rounding.ONCE
    assert shortest(finish(y_zero_point=3), weights(1, 2, 3), -128).rounding is Rounding.TWICE


@pytest.mark.parametrize(
    ("made", "table"),
    [
        pytest.param(finish(shift=0), weights(1), id="no shift to the right"),
        pytest.param(finish(shift=3), weights(1), id="a shift to the left"),
        pytest.param(
            finish(shift=-29, bias=2**30 - 300), weights(1), id="the zero point leaves int32"
        ),
        pytest.param(finish(bias=2**30), weights(1), id="the doubled sum leaves int32"),
        pytest.param(finish(bias=-(2**30) - 1), weights(-1), id="the same below"),
        pytest.param(
            finish(shift=-24, bias=2**30 - 300, y_zero_point=127), weights(1), id="addend"
        ),
    ],
)
def test_where_it_cannot_be_proved_it_is_refused(made: Finish, table: np.ndarray) -> None:
    assert shortest(made, table, 0).rounding is Rounding.ANY


@pytest.mark.parametrize(
    ("places", "fit"), [((0, 2), False), ((5, 7), False), ((0, 3, 4, 5), True)]
)
def test_two_products_fit_a_half_word(places: tuple[int, ...], fit: bool) -> None:
    """Unless both weights are -128; where they are, packed pairs say so."""
    table = np.zeros((3, 9), np.int8)
    table[1, list(places)] = -128
    assert halves_fit(table) is fit
    stage = PackedStage(table.shape, 0, -128, (-128, 127))
    operands = [constant("weights", table)]
    for name, number in (("bias", 0), ("multiplier", 2**30), ("shift", -8)):
        operands.append(constant(name, np.full(3, number, np.int32)))
    assert stage.pack(operands)[1] is (Rounding.ONCE if fit else Rounding.ANY)


def test_the_bounds_are_those_of_int8() -> None:
    """A bias at the very end is taken, one more is not."""
    most = int(sum_bounds(weights(2, -1), 5)[1][0])
    assert most == 2 * 122 + 133
    last = 2**30 - 1 - most
    taken, refused = (
        shortest(finish(bias=last + more - 5 * 1, shift=-9), weights(2, -1), 5).rounding
        for more in (0, 1)
    )
    assert (taken, refused) == (Rounding.ONCE, Rounding.ANY)


def test_one_rounding_needs_an_activation_from_the_zero_point_on() -> None:
    for zero_point, low, expected in ((0, 0, 2), (0, 1, 2), (0, -1, 1), (-128, -128, 2)):
        made = finish(y_zero_point=zero_point, activation=(low, 127))
        assert shortest(made, weights(1), 0).rounding == expected


def test_a_quiet_channel_spoils_no_layer() -> None:
    """Its scale is far below the others': every result is the zero point."""
    two = Finish(
        np.zeros(2, np.int32),
        np.array([2**30, 2**30], np.int32),
        np.array([-8, -31], np.int32),
        -128,
        (-128, 127),
    )
    short = shortest(two, np.array([[1, 2], [3, 4]], np.int8), 0)
    assert short.rounding is Rounding.ONCE
    assert short.multiplier.tolist() == [2**30, 0]
    assert short.shift.tolist() == [8, 1]
