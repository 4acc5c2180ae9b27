# SPDX-License-Identifier: Apache-2.0
"""What models are verified with: every edge of the range, and seeded inputs that use all of it."""

import numpy as np
import pytest

from tests.splits import compared, needs_tflm, tiny
from tests.support import constant, integers, node, tensor
from tflsplit.errors import ModelError
from tflsplit.ir import DType, Graph, Value
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import split_model
from tflsplit.verify import Case, make_cases


def cases_of(graph: Graph, runs: int = 4, seed: int = 0) -> dict[str, Case]:
    return {case.name: case for case in make_cases(graph, runs, seed)}


def of_type(dtype: DType, scale: float | None = 0.5, zero_point: int = 0) -> Graph:
    """A copy of an input of some type, quantized to int8 where it is float."""
    x = tensor("x", (1, 6, 6, 2), dtype, scale, zero_point)
    y = tensor("y", (1, 6, 6, 2), DType.INT8, 0.25, -10)
    return Graph("g", (x,), (y,), [node("QUANTIZE", [x], y)])


def test_edges_come_first_then_smooth_images_and_noise_in_turn():
    names = list(cases_of(tiny("mobilenet"), runs=4, seed=9))
    assert names == [
        "all min",
        "all max",
        "zero point",
        "smooth 0 (seed 9)",
        "noise 1 (seed 9)",
        "smooth 2 (seed 9)",
        "noise 3 (seed 9)",
    ]
    assert list(cases_of(tiny("mobilenet"), runs=0)) == names[:3]


def test_edges_of_int8():
    graph = of_type(DType.INT8, zero_point=17)
    for name, stored in (("all min", -128), ("all max", 127), ("zero point", 17)):
        array = cases_of(graph)[name].inputs["x"]
        assert array.dtype == np.int8
        assert array.shape == (1, 6, 6, 2)
        assert set(array.reshape(-1).tolist()) == {stored}


@pytest.mark.parametrize("dtype", [DType.INT8, DType.UINT8, DType.INT16])
def test_seeded_inputs_reach_both_ends(dtype: DType):
    info = np.iinfo(dtype.numpy)  # type: ignore[type-var]
    span = int(info.max) - int(info.min)
    for name, case in list(cases_of(of_type(dtype), runs=6).items())[3:]:
        array = case.inputs["x"]
        assert array.dtype == dtype.numpy
        assert int(array.max()) - int(array.min()) > 0.8 * span, name


def test_a_float_input_covers_what_its_quantization_can_express():
    """scale 0.25, zero point -10: from -29.5 to 34.25."""
    found = cases_of(of_type(DType.FLOAT32, scale=None), runs=6)
    assert set(found["all min"].inputs["x"].reshape(-1)) == {np.float32(-29.5)}
    assert set(found["all max"].inputs["x"].reshape(-1)) == {np.float32(34.25)}
    assert set(found["zero point"].inputs["x"].reshape(-1)) == {np.float32(0)}
    for case in list(found.values())[3:]:
        array = case.inputs["x"]
        assert array.dtype == np.float32
        assert array.min() >= -29.5
        assert array.max() <= 34.25
        assert array.max() - array.min() > 40


def test_the_seed_decides():
    graph = tiny("temporal")
    first, again, other = (cases_of(graph, seed=seed) for seed in (1, 1, 2))
    name = "noise 1 (seed 1)"
    for label, array in first[name].inputs.items():
        np.testing.assert_array_equal(array, again[name].inputs[label])
        assert (array != other["noise 1 (seed 2)"].inputs[label]).any()


def test_every_run_and_every_input_differs():
    found = cases_of(tiny("temporal"), runs=4)
    assert all(set(case.inputs) == {"input_0", "input_1"} for case in found.values())
    for label in ("input_0", "input_1"):
        contents = {case.inputs[label].tobytes() for case in found.values()}
        assert len(contents) == len(found)


def test_smooth_is_smoother_than_noise():
    found = cases_of(tiny("mobilenet"), runs=2)
    steps = {
        kind: np.abs(np.diff(case.inputs["input_0"].astype(int), axis=1)).mean()
        for kind, case in ((name.split()[0], case) for name, case in found.items())
    }
    assert steps["smooth"] < steps["noise"] / 2


def embedding(op: str) -> Graph:
    """Words, and what a table of 20 has of each; one sees them through a RESHAPE."""
    words, flat = tensor("words", (2, 12), DType.INT32, None), tensor("flat", (24,), DType.INT32)
    table = constant("table", np.arange(100, dtype=np.int8).reshape(20, 5), [0.1])
    y = tensor("y", (24, 5), DType.INT8, 0.1)
    moved = node("RESHAPE", [words, integers("shape", [24])], flat)
    if op == "EMBEDDING_LOOKUP":
        return Graph("g", (words,), (y,), [moved, node(op, [flat, table], y)])
    if op == "GATHER":
        return Graph("g", (words,), (y,), [moved, node(op, [table, flat], y, axis=0)])
    column = tensor("column", (24, 1), DType.INT32, None)
    moved = node("RESHAPE", [words, integers("shape", [24, 1])], column)
    return Graph("g", (words,), (y,), [moved, node("GATHER_ND", [table, column], y)])


@pytest.mark.parametrize("op", ["GATHER", "GATHER_ND", "EMBEDDING_LOOKUP"])
def test_indices_stay_inside_of_what_they_index(op: str):
    found = cases_of(embedding(op), runs=6)
    assert set(found["all min"].inputs["words"].reshape(-1).tolist()) == {0}
    assert set(found["all max"].inputs["words"].reshape(-1).tolist()) == {19}
    drawn = {n for case in found.values() for n in case.inputs["words"].reshape(-1).tolist()}
    assert drawn == set(range(20))


@needs_tflm
def test_words_are_looked_up_by_every_device():
    assert compared(split_model(embedding("GATHER"), Wishes(2)), runs=1).passed


def test_a_type_that_has_no_range():
    x = Value("x", (1, 3), DType.STRING)
    with pytest.raises(ModelError, match="input 'x' is STRING; tflsplit makes inputs of integers"):
        cases_of(Graph("g", (x,), (x,), []))
