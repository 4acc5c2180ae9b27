# SPDX-License-Identifier: Apache-2.0
"""The unsplit model: its state is kept, and what TFLM leaves unwritten is no difference."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from tests.random_models.net import Net
from tests.random_models.stateful import svdf
from tests.splits import needs_tflm
from tflsplit.ir import Attrs, DType, Graph, Node, Value
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import Split, split_model
from tflsplit.runtime.engines import TflmProgram, engine
from tflsplit.tflite import load
from tflsplit.tflite.flexmap import encode_map
from tflsplit.verify import make_cases, verify_devices
from tflsplit.verify.reference import differing
from tflsplit.verify.unwritten import filled, unwritten

pytestmark = needs_tflm


def energy(start: int, stop: int) -> Node:
    x = Value("x", (16,), DType.INT16)
    y = Value("y", (8,), DType.UINT32)
    options = encode_map({"start_index": start, "end_index": stop})
    return Node("SignalEnergy", (x,), (y,), Attrs(custom_options=options), is_custom=True)


def test_signal_energy_writes_a_part():
    node = energy(2, 5)
    (mask,) = unwritten(Graph("g", (node.input(0),), node.outputs, [node])).values()
    assert mask.tolist() == [True, True, False, False, False, True, True, True]
    node = energy(0, 8)
    assert unwritten(Graph("g", (node.input(0),), node.outputs, [node])) == {}


def test_filling_leaves_the_rest():
    array = np.arange(3, dtype=np.uint32)
    result = filled(array, np.array([False, True, False]), 0xFF)
    assert result.tolist() == [0, 0xFFFFFFFF, 2]
    assert array.tolist() == [0, 1, 2]


def test_differences_apart_from_what_means_nothing():
    a, b = np.array([1, 2, 3], np.int8), np.array([1, 0, 3], np.int8)
    assert differing(a, a, None) is None
    different = differing(a, b, None)
    assert different is not None
    assert different.tolist() == [False, True, False]
    assert differing(a, b, np.array([False, True, False])) is None
    assert differing(a, b, np.array([True, False, True])) is not None
    nan = np.array([np.nan, 1], np.float32)
    assert differing(nan, nan.copy(), None) is None
    assert differing(nan, np.array([np.nan, 2], np.float32), None) is not None


@pytest.fixture
def audio(shared_models: Path) -> Graph:
    path = shared_models / "odd" / "audio_preprocessor.tflite"
    if not path.is_file():
        pytest.skip("needs odd/audio_preprocessor.tflite in the folder of public models")
    return load(path)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_an_audio_front_end_has_the_same_bits(audio: Graph, count: int):
    split = split_model(audio, Wishes(count))
    cases = make_cases(split.whole, 3, seed=1)
    verdict = verify_devices(split.whole, split.devices, "tflm", engine("tflm")[1], cases)
    assert verdict.passed, verdict.mismatch or verdict.problems


def test_what_depends_on_unwritten_elements_is_compared_beside_them(
    audio: Graph, monkeypatch: pytest.MonkeyPatch
):
    """Nothing is masked but those: a wrong number in the written part is found."""
    split = split_model(audio, Wishes(2))
    run = TflmProgram.run

    def wrong(self, inputs):
        results = run(self, inputs)
        graph = self._graph
        for value, array in zip(graph.outputs, results, strict=True):
            if value.name == "signal_energy" and value in split.devices[0].graph.values():
                array[7] += 1
        return results

    monkeypatch.setattr(TflmProgram, "run", wrong)
    cases = make_cases(split.whole, 1, seed=1)
    verdict = verify_devices(split.whole, split.devices, "tflm", engine("tflm")[1], cases)
    assert verdict.mismatch is not None
    assert (verdict.mismatch.tensor, verdict.mismatch.index) == ("signal_energy", (7,))


def with_state() -> Split:
    net = Net(random.Random(2))
    made = svdf(net, net.input((2, 5)))
    assert made is not None
    return split_model(net.finish("svdf"), Wishes(2))


def test_a_device_that_forgets_is_found(monkeypatch: pytest.MonkeyPatch):
    split = with_state()
    name, make = engine("tflm")
    assert verify_devices(
        split.whole, split.devices, name, make, make_cases(split.whole, 5, 1)
    ).passed
    mine = set(split.devices[1].graph.values())
    run = TflmProgram.run

    def forgetful(self, inputs):
        results = run(self, inputs)
        if mine.intersection(self._graph.outputs):
            self.__init__(self._graph)
        return results

    monkeypatch.setattr(TflmProgram, "run", forgetful)
    verdict = verify_devices(split.whole, split.devices, name, make, make_cases(split.whole, 5, 1))
    assert verdict.mismatch is not None
    assert verdict.mismatch.rank == 1
    assert verdict.cases > 1  # the first inference is right
