# SPDX-License-Identifier: Apache-2.0
"""Which engine runs, what is said where there is none, and what an engine's refusal looks like."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.splits import needs_litert, needs_tflm, tiny
from tests.support import node, tensor
from tflsplit.errors import EngineError
from tflsplit.ir import Graph
from tflsplit.runtime.engines import (
    LitertProgram,
    TflmProgram,
    available_engines,
    engine,
)

PACKAGES = {"tflm": "tflite_micro", "litert": "ai_edge_litert"}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend that only these engines are installed."""

    def only(*names: str) -> None:
        there = {PACKAGES[name] for name in names}
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: object() if name in there else None
        )

    return only


def test_the_oracle_comes_first(installed: Callable[..., None]):
    installed("litert", "tflm")
    assert available_engines() == ("tflm", "litert")
    assert engine() == ("tflm", TflmProgram)
    assert engine("litert") == ("litert", LitertProgram)


def test_litert_carries_on_where_tflm_is_not(installed: Callable[..., None]):
    installed("litert")
    assert engine() == ("litert", LitertProgram)
    with pytest.raises(EngineError) as caught:
        engine("tflm")
    text = str(caught.value)
    assert "tflite-micro (Linux on x86-64 only) is not installed" in text
    assert "pip install 'tflsplit[host]', or use --engine litert" in text


@needs_tflm
def test_a_scalar_goes_in_and_out():
    """Audio front ends have tensors of rank 0 between nodes."""
    x, y = tensor("x", ()), tensor("y", ())
    program = TflmProgram(Graph("scalar", (x,), (y,), [node("RELU", [x], y)]))
    (result,) = program.run([np.array(5, np.int8)])
    assert result.shape == ()
    assert result == 5


def test_no_engine_at_all(installed: Callable[..., None]):
    installed()
    for name in (None, "tflm", "litert"):
        with pytest.raises(EngineError, match=r"is not installed; pip install 'tflsplit\[host\]'$"):
            engine(name)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(TflmProgram, marks=needs_tflm),
        pytest.param(LitertProgram, marks=needs_litert),
    ],
)
def test_a_refusal_says_which_engine_and_operators(
    make: type[TflmProgram] | type[LitertProgram], capfd: pytest.CaptureFixture[str]
):
    x, y = tensor("x", (1, 4)), tensor("y", (1, 4))
    softmax = replace(node("SOFTMAX", [x], y, beta=1.0), version=2)  # of a scale nobody takes
    bad = Graph("bad", (x,), (y,), [softmax, replace(node("NO_SUCH", [y], x), is_custom=True)])
    with pytest.raises(EngineError, match=r"^(TFLM|LiteRT) refuses a graph of NO_SUCH, SOFTMAX: "):
        make(bad)
    assert capfd.readouterr().err == "", "the engine's chatter reached the terminal"


@needs_tflm
@needs_litert
def test_results_are_fresh_arrays():
    graph = tiny("autoencoder")
    zeros, ones = np.zeros((1, 160), np.int8), np.ones((1, 160), np.int8)
    for make in (TflmProgram, LitertProgram):
        program = make(graph)
        (first,) = program.run([zeros])
        kept = first.copy()
        (second,) = program.run([ones])
        assert (first != second).any()
        np.testing.assert_array_equal(first, kept)
        np.testing.assert_array_equal(program.run([zeros])[0], kept)
