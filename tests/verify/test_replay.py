# SPDX-License-Identifier: Apache-2.0
"""An inference in one arena: sound plans are found sound, and every planted fault is found."""

from __future__ import annotations

import numpy as np
import pytest

from tflsplit.ir import DType, Graph, Node, Value
from tflsplit.memory import ArenaPlan, Buffer
from tflsplit.verify.replay import Replay

SCRATCH = "scratch"


def chain() -> tuple[Graph, dict[str, Value]]:
    """x -> a -> b -> y, where y reads x too; the second node has a scratch buffer."""
    values = {name: Value(name, (32,), DType.INT8) for name in "xaby"}
    x, a, b, y = values.values()
    nodes = [
        Node("FLOOR", (x,), (a,), name="n1"),
        Node("FLOOR", (a,), (b,), name="n2"),
        Node("FLOOR", (b, x), (y,), name="n3"),
    ]
    return Graph("g", (x,), (y,), nodes), values


SPANS = {"x": (0, 3), "a": (1, 2), "b": (2, 3), "y": (3, 3), SCRATCH: (2, 2)}
SOUND = {"x": 0, "a": 32, "b": 64, "y": 32, SCRATCH: 96}


def problems(places: dict[str, int], same: tuple[str, ...] = ()) -> list[str]:
    """Of the chain with its tensors at ``places``; those in ``same`` hold the same data."""
    graph, values = chain()
    plan = ArenaPlan(
        {
            Buffer(32, *SPANS[name], values.get(name), name): at
            for name, at in places.items()
        }
    )  # fmt: skip
    draw = np.random.default_rng(5)
    arrays = {value: draw.integers(-128, 128, 32, np.int8) for value in values.values()}
    for name in same:
        arrays[values[name]] = arrays[values[same[0]]]
    replay = Replay(graph, plan)
    assert set(replay.wanted) == set(values.values())
    return replay.problems(arrays) + replay.problems(arrays)  # one inference after another


def test_a_sound_plan_has_everything_where_it_was_left():
    assert problems(SOUND) == []


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"a": 16}, "FLOOR 'n1' overwrites tensor 'x'"),
        ({"b": 16}, "FLOOR 'n2' overwrites tensor 'x'"),
        ({"b": 32}, "FLOOR 'n2' overwrites tensor 'a'"),
        ({SCRATCH: 0}, "FLOOR 'n2' overwrites tensor 'x'"),
        ({SCRATCH: 48}, "FLOOR 'n2' overwrites tensor 'a'"),
        ({"y": 64}, "FLOOR 'n3' overwrites tensor 'b'"),
    ],
)
def test_whatever_is_overwritten_is_found(changes: dict[str, int], found: str):
    assert problems({**SOUND, **changes})[0].startswith(found)


def test_equal_tensors_may_lie_over_each_other():
    places = {**SOUND, "b": 32, "y": 64}
    assert problems(places, same=("a", "b")) == []
    assert problems(places)[0].startswith("FLOOR 'n2' overwrites tensor 'a'")


def test_what_dies_does_not_take_its_bytes_from_those_who_hold_the_same():
    """a ends at step 2, b at the same address lives on."""
    assert problems({**SOUND, "b": 32, "y": 96, SCRATCH: 64}, same=("a", "b")) == []


def test_a_tensor_that_is_used_after_its_span_is_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(SPANS, "x", (0, 2))
    assert problems(SOUND)[0].startswith("FLOOR 'n3' finds no longer tensor 'x'")
