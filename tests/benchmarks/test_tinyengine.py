# SPDX-License-Identifier: Apache-2.0
"""Which layers TinyEngine is asked for, and how its sources are named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import tinyengine
from benchmarks.kernel_shapes import all_cases
from benchmarks.operands import seeded
from benchmarks.other_kernels import Call, calls
from tests.kernels.cortex_m import EMULATOR, needs
from tflsplit.errors import UserError

CASES = dict(all_cases())


def test_layers_that_it_has_no_kernel_for_are_not_counted() -> None:
    taken = ("1x1 25x5x64 to 64", "3x3/2 48x48, 3 to 8", "depthwise/2 24x24x16", "dense 64 to 12")
    others = ("5x5/1 16x16, 8 to 16", "10x4/2 25x5, 1 to 64", "3x3/2 16x16, 16 to 32")
    assert all(None not in _calls(name) for name in taken)
    assert all(_calls(name) == [None] for name in others)


def test_a_window_with_its_padding_stands_for_others() -> None:
    (call,) = _calls("depthwise/2 24x24x16")
    assert call is not None
    _, integers, (x, weights, *_), expected = call
    assert x.shape == (1, 48, 48, 16)
    assert weights.shape == (16, 3, 3)
    assert integers[14:18] == (1, 0, 1, 0)
    assert expected.shape == (1, 24, 24, 16)


def test_sources_that_are_not_whole_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFLSPLIT_TINYENGINE_DIR", str(tmp_path))
    with pytest.raises(UserError, match="recurse-submodules"):
        tinyengine.sources()
    monkeypatch.delenv("TFLSPLIT_TINYENGINE_DIR")
    assert tinyengine.sources() is None


@pytest.mark.skipif(not os.environ.get("TFLSPLIT_TINYENGINE_DIR"), reason="needs TinyEngine")
def test_its_kernels_have_the_bits(tmp_path: Path) -> None:
    needs(EMULATOR)
    tree = tinyengine.sources()
    assert tree is not None
    board = tinyengine.TinyEngine("mps2_an500", tree, tmp_path)
    for name in ("1x1 3x12x64 to 64", "3x3/2 48x48, 3 to 8", "depthwise/1 12x24x32"):
        found = board.measure(CASES[name], seeded(CASES[name]))
        assert found is not None
        assert found[2]
        assert found[0] > 0


def _calls(name: str) -> list[Call | None]:
    node = CASES[name]
    return list(calls(node, seeded(node), tinyengine.call_of))
